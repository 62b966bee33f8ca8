import { createPace } from '../lib/pace.ts';
import type { Query, Statement } from './client.ts';

/** How many rows are held at once: a statement may give a million. */
const ROWS_A_FETCH = 1_000;

/** Hands over the rows of a statement bit by bit, without ever holding all of them. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- as of a query: the statement decides.
export type ReadEach = <Row>(
  statement: Statement,
  /** Takes some rows; may run other statements meanwhile. */
  take: (rows: readonly Row[]) => void | Promise<void>,
  options: { readonly pageByPage: boolean },
) => Promise<void>;

export function readEachWith(query: Query): ReadEach {
  let cursors = 0;
  const pace = createPace();
  return async (statement, take, options) => {
    cursors += 1;
    const cursor = `rows_${cursors}`;
    // Postgres plans the statement when the cursor is opened, not when rows are fetched.
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

/** Makes the statements of `read` look at each page once, whatever the order of the rows. */
export async function pageByPage<Result>(query: Query, read: () => Promise<Result>): Promise<Result> {
  await query(pageByPageStatement(true));
  const result = await read();
  await query(pageByPageStatement(false));
  return result;
}

/**
 * Rows of runs that are live at the same time lie on the same pages. An index scan looks at a page again for each row,
 * a bitmap scan once. Postgres assumes that the rows of a run lie together, as they do in the index, and would choose
 * the index scan.
 */
export function pageByPageStatement(on: boolean): Statement {
  return {
    name: 'page_by_page',
    text: `SELECT set_config('enable_indexscan', $1, true)`,
    values: [on ? 'off' : 'on'],
  };
}

/** Opens a cursor for a statement, to read its rows bit by bit. The name is valid in the transaction. */
export function openCursorStatement(cursor: string, { name, text, values }: Statement): Statement {
  return { name: `open_${name}`, text: `DECLARE ${cursor} NO SCROLL CURSOR FOR ${text}`, values };
}

export function fetchStatement(cursor: string, rows: number): Statement {
  return { name: 'fetch', text: `FETCH ${rows} FROM ${cursor}`, values: [] };
}

export function closeCursorStatement(cursor: string): Statement {
  return { name: 'close', text: `CLOSE ${cursor}`, values: [] };
}

/** Sets a savepoint: a later failure can be undone without ending the transaction. */
export function savepointStatement(): Statement {
  return { name: 'savepoint', text: 'SAVEPOINT before', values: [] };
}

export function backToSavepointStatement(): Statement {
  return { name: 'back_to_savepoint', text: 'ROLLBACK TO SAVEPOINT before', values: [] };
}
