import { versionsStatement } from './airflow/queries.ts';
import type { RowId } from './airflow/queries.ts';
import type { Shape } from './airflow/shape.ts';
import type { Query } from './clients/postgres.ts';
import type { Entry } from './entry.ts';
import { chunks } from './lib/chunks.ts';
import { rowId } from './sampled-row.ts';

/** Rows that one statement names. */
const ROWS_A_STATEMENT = 1_000;

/**
 * Reads the rows behind bad news once more and gives the slots of those that are still there. A retry deletes the
 * object first and the row after it, so an object that is not there counts only if its row still is, in the same
 * version.
 */
export async function confirm(
  query: Query,
  shape: Shape,
  { suspects, entryOf }: { suspects: readonly number[]; entryOf: (slot: number) => Entry },
): Promise<Set<number>> {
  const confirmed = new Set<number>();
  for (const slots of chunks(suspects, ROWS_A_STATEMENT)) {
    const entries = slots.map(entryOf);
    for (const source of shape.sources) {
      const ours = entries.filter(({ row }) => row.table === source.table);
      if (ours.length === 0) continue;
      const ids = ours.map(({ row }) => row);
      const rows = await query<RowId & { version: string }>(versionsStatement(shape, source, ids));
      const versions = new Map(rows.map((row) => [rowId(source.table, row), row.version]));
      for (const { slot, row } of ours)
        if (versions.get(rowId(source.table, row)) === row.version) confirmed.add(slot);
    }
  }
  return confirmed;
}
