import type { Logger } from 'pino';
import type { Database } from '../postgres/client.ts';
import { DatabaseError } from '../postgres/failure.ts';
import type { JobEnd } from '../status/jobs.ts';

/** The role of one of several exporters with `ha`. `unknown`: the database could not be asked. */
export type Role = 'leads' | 'stands by' | 'unknown';

export interface Leadership {
  readonly role: Role;
  readonly failure: JobEnd['failure'];
}

/** The answer to whether this exporter leads now. */
export interface Leading {
  readonly leads: boolean;
  /** Why the lock could not be asked for; null: it could. */
  readonly failure: JobEnd['failure'];
}

/** Asks for the lock that only one exporter holds. Logs each change once and no repetitions. */
export function createLeadership(options: {
  readonly database: Pick<Database, 'lead'>;
  readonly log: Logger;
}): (signal: AbortSignal) => Promise<Leadership> {
  let said: string | null = null;
  let led = false;

  return async (signal) => {
    const now = await ask(options.database, signal);
    if (signal.aborted) return now;
    const words = { leads: LEADS, 'stands by': led ? LOST : STANDS_BY, unknown: led ? LOST_SIGHT : BLIND };
    const line = `${now.role} ${now.failure?.reason ?? ''}`;
    if (line !== said) {
      const { failure } = now;
      if (failure === null) options.log.info({ role: now.role }, words[now.role]);
      else
        options.log.warn({ role: now.role, reason: failure.reason, detail: failure.detail }, words[now.role]);
    }
    said = line;
    led = now.role === 'leads';
    return now;
  };
}

const LEADS = 'ha: this exporter holds the lock and samples';
const STANDS_BY = 'ha: another exporter holds the lock, this one stands by';
const LOST = 'ha: the lock is lost to another exporter, this one stands by';
const LOST_SIGHT = 'ha: the lock is lost with its session, this exporter stands by';
const BLIND = 'ha: the lock cannot be asked for, this exporter stands by';

async function ask(database: Pick<Database, 'lead'>, signal: AbortSignal): Promise<Leadership> {
  try {
    return { role: (await database.lead(signal)) ? 'leads' : 'stands by', failure: null };
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    return { role: 'unknown', failure: { reason: error.reason, detail: error.message } };
  }
}
