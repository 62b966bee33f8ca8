import type { Query, Statement } from '../postgres/client.ts';
import { backToSavepointStatement, savepointStatement } from '../postgres/cursor.ts';
import { DatabaseError } from '../postgres/failure.ts';

/**
 * Runs a statement that the server may take too long for, or not manage at all: then gives the failure, and the
 * transaction continues. Any other failure is thrown.
 */
export async function attempt<Row>(query: Query, statement: Statement): Promise<Row[] | DatabaseError> {
  await query(savepointStatement());
  try {
    return await query<Row>(statement);
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    if (error.reason !== 'statement_timeout' && error.reason !== 'query_failed') throw error;
    await query(backToSavepointStatement());
    return error;
  }
}
