import {
  closeCursorStatement,
  fetchStatement,
  openCursorStatement,
  pageByPageStatement,
} from './airflow/queries.ts';
import type { Statement } from './airflow/queries.ts';
import type { Query } from './clients/postgres.ts';
import { createPace } from './lib/pace.ts';

/** Rows that are held at once: what a statement gives may be a million. */
const ROWS_A_FETCH = 1_000;

/** Hands over the rows of a statement by and by, without ever holding all of them. */
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- as of a query: the statement decides.
export type ReadEach = <Row>(
  statement: Statement,
  /** May ask for something else meanwhile. */
  take: (rows: readonly Row[]) => void | Promise<void>,
  options: { readonly pageByPage: boolean },
) => Promise<void>;

export function readEachWith(query: Query): ReadEach {
  let cursors = 0;
  const pace = createPace();
  return async (statement, take, options) => {
    cursors += 1;
    const cursor = `rows_${cursors}`;
    // How it is read is settled here, and not when rows are fetched.
    const open = () => query(openCursorStatement(cursor, statement));
    await (options.pageByPage ? pageByPage(query, open) : open());
    for (;;) {
      const rows = await query<never>(fetchStatement(cursor, ROWS_A_FETCH));
      await pace.rest();
      await take(rows);
      await pace.rest();
      if (rows.length < ROWS_A_FETCH) break;
    }
    await query(closeCursorStatement(cursor));
  };
}

/** Lets what is asked for in between look at each page once, in whatever order its rows are found. */
export async function pageByPage<Result>(query: Query, read: () => Promise<Result>): Promise<Result> {
  await query(pageByPageStatement(true));
  const result = await read();
  await query(pageByPageStatement(false));
  return result;
}
