import type { Counts } from '../lib/histogram.ts';
import { createHistogram } from '../lib/histogram.ts';
import { bestOf, createTop } from '../lib/top.ts';
import type { RowChunk } from '../window/columns.ts';
import type { Ledger } from '../window/ledger.ts';
import { readRow } from '../window/remembered-row.ts';
import { nameAt, runAt, timeAt, workerAt } from '../window/row-fields.ts';
import type { Kind } from './evidence-kinds.ts';
import type { Evidence } from './evidence.ts';
import { byTime, finding, MAX_FINDINGS, NO_EVIDENCE, topPlaces } from './evidence.ts';
import { ownersOf } from './leaked-paths.ts';

/** Rows of one kind as numbers. Numbers are turned into names only for what is told, which is little. */
export interface Gathered {
  readonly rows: number;
  /** When the first and the last of the rows were written, epoch ms. */
  readonly first: number;
  readonly last: number;
  readonly runs: Counts;
  readonly names: Counts;
  readonly workers: Counts;
  /** Slots of the latest rows, the latest first. */
  readonly latest: readonly number[];
}

/** The kinds that have rows. */
export type GatheredByKind = ReadonlyMap<Kind, Gathered>;

/** Gathers rows kind by kind, one part of the window after the other. */
export interface Gathering {
  add(kind: Kind, chunk: RowChunk, index: number): void;
  /** Gives what was added, and begins anew. */
  take(): GatheredByKind;
}

export function createGathering(): Gathering {
  const kinds = new Map<Kind, ReturnType<typeof createGatheringOfKind>>();
  return {
    add(kind, chunk, index) {
      let ofKind = kinds.get(kind);
      if (ofKind === undefined) kinds.set(kind, (ofKind = createGatheringOfKind()));
      ofKind.add(chunk, index);
    },
    take() {
      const gathered = new Map<Kind, Gathered>();
      for (const [kind, ofKind] of kinds) {
        const taken = ofKind.take();
        if (taken.rows > 0) gathered.set(kind, taken);
      }
      return gathered;
    },
  };
}

function createGatheringOfKind() {
  const runs = createHistogram();
  const names = createHistogram();
  const workers = createHistogram();
  let slots: number[] = [];
  let times: number[] = [];
  return {
    add(chunk: RowChunk, index: number): void {
      runs.add(runAt(chunk, index));
      names.add(nameAt(chunk, index));
      workers.add(workerAt(chunk, index));
      slots.push(chunk.first + index);
      times.push(timeAt(chunk, index));
    },
    take(): Gathered {
      const latest = createTop(MAX_FINDINGS);
      let first = Infinity;
      let last = -Infinity;
      // From the end: most of the latest rows are there, and after them the others are put aside quickly.
      for (let at = slots.length - 1; at >= 0; at -= 1) {
        const time = times[at] ?? 0;
        first = Math.min(first, time);
        last = Math.max(last, time);
        latest.offer(slots[at] ?? 0, time);
      }
      const rows = slots.length;
      slots = [];
      times = [];
      return {
        rows,
        first,
        last,
        runs: runs.take(),
        names: names.take(),
        workers: workers.take(),
        latest: latest.items(),
      };
    },
  };
}

/** The evidence of one kind of rows, from what was gathered of it in each part of the window. */
export function tell(ledger: Ledger, parts: readonly Gathered[]): Evidence {
  if (parts.length === 0) return NO_EVIDENCE;
  const store = ledger.rows();
  const runs = createHistogram();
  const names = createHistogram();
  const workers = createHistogram();
  for (const part of parts) {
    runs.join(part.runs);
    names.join(part.names);
    workers.join(part.workers);
  }
  const slots = bestOf(
    MAX_FINDINGS,
    parts.map(({ latest }) => latest),
    (slot) => store.timeOf(slot),
  );
  const owners = ownersOf(ledger, slots);
  return {
    rows: parts.reduce((sum, { rows }) => sum + rows, 0),
    where: [
      ...topPlaces('dag', { counts: runs, nameOf: (run) => ledger.runAt(run).dagId }),
      ...topPlaces('task', { counts: names, nameOf: (name) => store.names.at(name).taskId }),
      ...topPlaces('queue', {
        counts: workers,
        nameOf: (worker) => (worker === 0 ? null : store.workers.at(worker).queue),
      }),
    ],
    findings: slots
      .map((slot) => finding(readRow(store, ledger.runOf(slot), slot), owners.get(slot) ?? null))
      .sort(byTime),
    written: {
      first: Math.min(...parts.map(({ first }) => first)),
      last: Math.max(...parts.map(({ last }) => last)),
    },
  };
}
