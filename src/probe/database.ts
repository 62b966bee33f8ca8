import type { Database } from '../postgres/client.ts';
import { DatabaseError } from '../postgres/failure.ts';

export interface DatabaseProbe {
  readonly ok: boolean;
  readonly seconds: number;
  readonly reason?: string;
}

/** Whether the database answers, and how fast. Anything but a failure of the database is a mistake of ours and goes through. */
export async function probeDatabase(
  database: Pick<Database, 'read'>,
  signal: AbortSignal,
): Promise<DatabaseProbe> {
  let before = performance.now();
  const seconds = () => (performance.now() - before) / 1000;
  try {
    return await database.read(async (query) => {
      // Its turn may come late: a cycle that is under way says nothing of how fast the database answers.
      before = performance.now();
      await query({ name: 'probe', text: 'SELECT 1', values: [] });
      return { ok: true, seconds: seconds() };
    }, signal);
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    return { ok: false, seconds: seconds(), reason: error.reason };
  }
}
