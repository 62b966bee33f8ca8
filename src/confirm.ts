import { versionsStatement } from './airflow/queries.ts';
import type { RowId } from './airflow/queries.ts';
import type { Shape } from './airflow/shape.ts';
import type { Query } from './clients/postgres.ts';
import type { Entry } from './ledger.ts';
import { rowId } from './sampled-row.ts';

/**
 * Reads the rows behind bad news once more. A retry deletes the object first and the row after it, so an
 * object that is not there counts only if its row still is, in the same version.
 */
export async function confirm(query: Query, shape: Shape, suspects: readonly Entry[]): Promise<Set<Entry>> {
  const confirmed = new Set<Entry>();
  for (const source of shape.sources) {
    const ours = suspects.filter(({ row }) => row.table === source.table);
    if (ours.length === 0) continue;
    const rows = await query<RowId & { version: string }>(
      versionsStatement(
        shape,
        source,
        ours.map(({ row }) => row),
      ),
    );
    const versions = new Map(rows.map((row) => [rowId(source.table, row), row.version]));
    for (const entry of ours) if (versions.get(entry.id) === entry.row.version) confirmed.add(entry);
  }
  return confirmed;
}
