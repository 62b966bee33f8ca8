import { entryOf } from './entry.ts';
import { byTime, finding, MAX_FINDINGS, topPlaces } from './evidence.ts';
import type { Evidence } from './evidence.ts';
import type { Ledger } from './ledger.ts';
import { createHistogram } from './lib/histogram.ts';
import { createTop } from './lib/top.ts';
import type { RowChunk } from './row-columns.ts';

/** Gathers rows of one kind in a pass over the columns: numbers first, names only for what is told. */
export interface Gathering {
  add(chunk: RowChunk, index: number): void;
  rows(): number;
  tell(): Evidence;
}

export function gather(ledger: Ledger): Gathering {
  const runs = createHistogram();
  const names = createHistogram();
  const workers = createHistogram();
  const latest = createTop(MAX_FINDINGS);
  let count = 0;
  return {
    add(chunk, index) {
      count += 1;
      runs.add(chunk.run[index] ?? 0);
      names.add(chunk.name[index] ?? 0);
      workers.add(chunk.worker[index] ?? 0);
      latest.offer(chunk.first + index, chunk.at[index] ?? 0);
    },
    rows: () => count,
    tell() {
      const rows = ledger.rows();
      return {
        rows: count,
        where: [
          ...topPlaces(
            'dag',
            mapped(runs.entries(), (run) => ledger.runAt(run).dagId),
          ),
          ...topPlaces(
            'task',
            mapped(names.entries(), (name) => rows.names.at(name).taskId),
          ),
          ...topPlaces(
            'queue',
            mapped(workers.entries(), (worker) => (worker === 0 ? null : rows.workers.at(worker).queue)),
          ),
        ],
        findings: latest
          .items()
          .map((slot) => finding(entryOf(rows, ledger.runOf(slot), slot)))
          .sort(byTime),
      };
    },
  };
}

function* mapped<Name>(
  counts: Iterable<readonly [number: number, times: number]>,
  name: (number: number) => Name,
): Generator<readonly [Name, number]> {
  for (const [number, times] of counts) yield [name(number), times];
}
