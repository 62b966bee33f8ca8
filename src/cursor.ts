import { closeCursorStatement, fetchStatement, openCursorStatement } from './airflow/queries.ts';
import type { Statement } from './airflow/queries.ts';
import type { Query } from './clients/postgres.ts';
import { createPace } from './lib/pace.ts';
import type { RawRow } from './sampled-row.ts';

/** Rows that are held at once: what a statement gives may be a million. */
const ROWS_A_FETCH = 1_000;

/** Hands over the rows of a statement one by one, without ever holding all of them. */
export type ReadEach = (statement: Statement, take: (row: RawRow) => void) => Promise<void>;

export function readEachWith(query: Query): ReadEach {
  let cursors = 0;
  const pace = createPace();
  return async (statement, take) => {
    cursors += 1;
    const cursor = `rows_${cursors}`;
    await query(openCursorStatement(cursor, statement));
    for (;;) {
      const rows = await query<RawRow>(fetchStatement(cursor, ROWS_A_FETCH));
      await pace.rest();
      for (const row of rows) take(row);
      await pace.rest();
      if (rows.length < ROWS_A_FETCH) break;
    }
    await query(closeCursorStatement(cursor));
  };
}
