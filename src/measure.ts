import { measureStatement } from './airflow/queries.ts';
import type { Shape } from './airflow/shape.ts';
import type { Query } from './clients/postgres.ts';
import { chunks } from './lib/chunks.ts';
import type { Remembered } from './sample.ts';
import { rowId, sampledRow } from './sampled-row.ts';
import type { RawRow, SampledRow } from './sampled-row.ts';

/** What one cycle unpacks at most, in stored bytes and in rows. */
const MEASURED_BYTES = 64 * 1024 * 1024;
const MEASURED_ROWS = 1_000;

/** A reading under way: what has been read so far, by run. */
export interface Reading {
  readonly query: Query;
  readonly shape: Shape;
  readonly knowsCompression: boolean;
  readonly rowsOf: Map<number, SampledRow[]>;
}

/**
 * Unpacks the values whose stored size does not tell, smallest first, up to the cap; not again what was
 * remembered. The rest waits for the next reading, but for the first one, which is to form the baseline, and
 * for values that no cap would let through: of those the stored size stands.
 */
export async function measure(
  { query, shape, knowsCompression, rowsOf }: Reading,
  remembered: Remembered,
): Promise<{ unmeasured: number; incomplete: ReadonlySet<number> }> {
  let unmeasured = 0;
  let bytesLeft = MEASURED_BYTES;
  let rowsLeft = MEASURED_ROWS;
  const incomplete = new Set<number>();
  for (const source of shape.sources) {
    const open = [...rowsOf.values()]
      .flat()
      .filter((row) => row.table === source.table && row.bytes === null && !row.isNull)
      .filter((row) => {
        const before = remembered.runs.get(row.dagRunId)?.rows.get(rowId(row.table, row));
        return before?.row.version !== row.version;
      })
      .sort((a, b) => a.stored - b.stored);
    const chosen = open.filter(({ stored }) => {
      if (rowsLeft <= 0 || stored > bytesLeft) return false;
      rowsLeft -= 1;
      bytesLeft -= stored;
      return true;
    });
    unmeasured += open.length - chosen.length;
    const taken = new Set(chosen);
    const waiting = new Set(
      remembered.lastRunId === null
        ? []
        : open.filter((row) => !taken.has(row) && row.stored <= MEASURED_BYTES),
    );
    for (const { dagRunId } of waiting) incomplete.add(dagRunId);
    for (const id of incomplete) rowsOf.set(id, rowsOf.get(id)?.filter((row) => !waiting.has(row)) ?? []);
    for (const rows of chunks(chosen, 100)) {
      const answers = await query<RawRow>(measureStatement(shape, source, { rows, knowsCompression }));
      const byId = new Map(answers.map((row) => [rowId(source.table, row), row]));
      for (const row of rows) {
        const answer = byId.get(rowId(source.table, row));
        const list = rowsOf.get(row.dagRunId);
        if (answer !== undefined && list !== undefined) list[list.indexOf(row)] = sampledRow(source, answer);
      }
    }
  }
  return { unmeasured, incomplete };
}
