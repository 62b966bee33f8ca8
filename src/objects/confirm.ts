import type { RowId } from '../airflow/row-queries.ts';
import { versionsStatement } from '../airflow/row-queries.ts';
import type { Shape } from '../airflow/shape.ts';
import { rowId } from '../airflow/xcom-row.ts';
import { chunks } from '../lib/chunks.ts';
import type { Query } from '../postgres/client.ts';
import type { RememberedRow } from '../window/remembered-row.ts';

/** How many rows one statement names. */
const ROWS_A_STATEMENT = 1_000;

/** More about a row that still exists. */
export interface Confirmed {
  /** The row belongs to an earlier try, which no task reads. Null: the role may not read what tells this. */
  readonly archived: boolean | null;
  /** The row's task instance has begun to run lately, and may be about to delete the row. */
  readonly purging: boolean;
}

/**
 * Reads the rows behind bad news once more and returns the slots of the rows that still exist. A retry deletes first
 * the object and then the row. So a missing object counts only if its row still exists in the same version and nobody
 * is about to delete it.
 */
export async function confirm(
  query: Query,
  shape: Shape,
  { suspects, entryOf }: { suspects: readonly number[]; entryOf: (slot: number) => RememberedRow },
): Promise<Map<number, Confirmed>> {
  const confirmed = new Map<number, Confirmed>();
  for (const slots of chunks(suspects, ROWS_A_STATEMENT)) {
    const entries = slots.map(entryOf);
    for (const source of shape.sources) {
      const ours = entries.filter(({ row }) => row.table === source.table);
      if (ours.length === 0) continue;
      const ids = ours.map(({ row }) => row);
      const rows = await query<RowId & Confirmed & { version: string }>(
        versionsStatement(shape, source, ids),
      );
      const found = new Map(rows.map((row) => [rowId(source.table, row), row]));
      for (const { slot, row } of ours) {
        const there = found.get(rowId(source.table, row));
        if (there?.version === row.version) {
          const { archived, purging } = there;
          confirmed.set(slot, { archived, purging });
        }
      }
    }
  }
  return confirmed;
}
