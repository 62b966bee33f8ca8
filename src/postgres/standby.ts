import { setTimeout as sleep } from 'node:timers/promises';
import type { Database, Query, Statement } from './client.ts';
import { backToSavepointStatement, savepointStatement } from './cursor.ts';
import { DatabaseError } from './failure.ts';

/** The age of the rows that a database shows. */
export interface Age {
  /**
   * Everything committed up to this moment is there; epoch ms, by the database's clock. Null: a standby cannot tell.
   */
  readonly asOf: number | null;
  /** How far a standby is behind; 0: it has everything that was committed when it was asked, as a primary has. */
  readonly lagSeconds: number | null;
  /** Whether replay is paused on the standby, so that the standby stays behind. */
  readonly isPaused: boolean;
}

/** The state of a standby at one moment, as it reports it. */
export interface Look {
  /** The clock of the database, epoch ms. */
  readonly now: number;
  /** Whether the standby's receiver is connected and everything received is replayed. */
  readonly isThrough: boolean;
  /** The position in the log up to which the standby has replayed. */
  readonly position: string | null;
  /** When the last replayed transaction was committed, by the clock of the primary, epoch ms. */
  readonly replayedTo: number | null;
  readonly isPaused: boolean;
}

/** How far a standby may be behind: verdicts on its rows are at most a minute late. */
export const MOST_LAG_SECONDS = 60;
/** How long to wait between two looks: a standby that is catching up receives something within this time. */
const STEP_MS = 250;

/**
 * The age of the rows that the next reading sees. A standby has `patienceMs` to reach the present position of its
 * primary. The role needs no grant for this. `npm run test:database` and test/integration/postgres/standby.test.ts ask
 * real standbys.
 */
export async function ageOf(
  database: Pick<Database, 'read'>,
  { patienceMs, signal }: { readonly patienceMs: number; readonly signal: AbortSignal },
): Promise<Age> {
  const look = () => database.read(lookAt, signal);
  const first = await look();
  if ('primaryAt' in first) return recent(first.primaryAt);
  let before = first;
  for (;;) {
    // If the wait is aborted, the next look fails and reports that.
    await sleep(STEP_MS, undefined, { signal }).catch(() => undefined);
    const after = await look();
    if ('primaryAt' in after) return recent(after.primaryAt);
    const { now, isPaused } = after;
    const asOf = knownUpTo(before, after);
    if (asOf === null) return { asOf, lagSeconds: null, isPaused };
    if (asOf >= first.now) return recent(asOf);
    if (isPaused || now - first.now >= patienceMs) return { asOf, lagSeconds: (now - asOf) / 1000, isPaused };
    before = after;
  }
}

/**
 * The moment up to which a standby has everything. An idle primary sends nothing, so the last replayed transaction may
 * be old although the standby is up to date. But while a standby catches up, everything received may also be replayed
 * for a moment, until more comes in. So the position must not change between two looks.
 */
export function knownUpTo(before: Look, after: Look): number | null {
  const isQuiet = before.isThrough && after.isThrough && before.position === after.position;
  return isQuiet ? before.now : after.replayedTo;
}

/** The reason why the rows allow no verdict; null: the rows are recent enough. */
export function doubtOfAge({ lagSeconds, isPaused }: Pick<Age, 'lagSeconds' | 'isPaused'>): string | null {
  if (lagSeconds === null) return 'the standby does not say how far it is behind';
  if (lagSeconds <= (isPaused ? 0 : MOST_LAG_SECONDS)) return null;
  return `the standby is ${Math.ceil(lagSeconds)} s behind${isPaused ? ', its replay is paused' : ''}`;
}

function recent(asOf: number): Age {
  return { asOf, lagSeconds: 0, isPaused: false };
}

async function lookAt(query: Query): Promise<Look | { readonly primaryAt: number }> {
  const [role] = await query<{ now: number; isStandby: boolean }>({
    name: 'role',
    text: /* SQL */ `
      SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS "now", pg_is_in_recovery() AS "isStandby"`,
    values: [],
  });
  if (role === undefined) throw new Error('Cannot read the role of the database: no row came back');
  if (!role.isStandby) return { primaryAt: role.now };
  await query(savepointStatement());
  try {
    const [said] = await query<Omit<Look, 'now'>>(replayStatement());
    if (said === undefined) throw new Error('Cannot read how far the standby is: no row came back');
    return { now: role.now, ...said };
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    if (error.reason !== 'query_failed' && error.reason !== 'denied') throw error;
    // Aurora lacks these functions, and gives an error.
    await query(backToSavepointStatement());
    return { now: role.now, isThrough: false, position: null, replayedTo: null, isPaused: false };
  }
}

/** Reads the replay state. A role that may not monitor still sees that the receiver exists, so that it is connected. */
function replayStatement(): Statement {
  return {
    name: 'replay',
    text: /* SQL */ `
      SELECT EXISTS (SELECT FROM pg_stat_wal_receiver)
          AND coalesce(pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn(), false) AS "isThrough",
        pg_last_wal_replay_lsn()::text AS "position",
        (extract(epoch FROM pg_last_xact_replay_timestamp()) * 1000)::float8 AS "replayedTo",
        pg_is_wal_replay_paused() AS "isPaused"`,
    values: [],
  };
}
