import type { Database } from '../postgres/client.ts';
import { DatabaseError } from '../postgres/failure.ts';

export interface DatabaseProbe {
  readonly ok: boolean;
  readonly seconds: number;
  readonly reason?: string;
}

/**
 * Whether the database answers, and how fast. An error that is not a failure of the database is our own mistake and is
 * thrown.
 */
export async function probeDatabase(
  database: Pick<Database, 'read'>,
  signal: AbortSignal,
): Promise<DatabaseProbe> {
  let before = performance.now();
  const seconds = () => (performance.now() - before) / 1000;
  try {
    return await database.read(async (query) => {
      // The turn may come late: a cycle under way says nothing about how fast the database answers.
      before = performance.now();
      await query({ name: 'probe', text: 'SELECT 1', values: [] });
      return { ok: true, seconds: seconds() };
    }, signal);
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    return { ok: false, seconds: seconds(), reason: error.reason };
  }
}
