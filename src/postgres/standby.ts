import { setTimeout as sleep } from 'node:timers/promises';
import type { Database, Query, Statement } from './client.ts';
import { backToSavepointStatement, savepointStatement } from './cursor.ts';
import { DatabaseError } from './failure.ts';

/** How old the rows are that a database shows. */
export interface Age {
  /** What was committed up to then is there: epoch ms, by the clock of the database. Null: a standby that cannot say. */
  readonly asOf: number | null;
  /** By how much a standby is behind; 0: it has all that was committed when it was asked, as a primary has. */
  readonly lagSeconds: number | null;
  /** It was told to replay nothing, so it stays behind. */
  readonly isPaused: boolean;
}

/** What a standby says of itself at one moment. */
export interface Look {
  /** The clock of the database, epoch ms. */
  readonly now: number;
  /** Its receiver is connected, and all that came in is replayed. */
  readonly isThrough: boolean;
  /** How far its log is replayed. */
  readonly position: string | null;
  /** When the last transaction that it has replayed was committed, by the clock of the primary, epoch ms. */
  readonly replayedTo: number | null;
  readonly isPaused: boolean;
}

/** How far a standby may be behind: what is said of its rows is said within a minute. */
export const MOST_LAG_SECONDS = 60;
/** While one that follows is catching up, something comes in within that time. */
const STEP_MS = 250;

/**
 * How old the rows are that the next reading sees. A standby is given `patienceMs` to get to where its primary is now.
 * A role needs no grant for that. `npm run test:database` and test/integration/postgres/standby.test.ts ask real ones.
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
    // The next look says that this was broken off.
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
 * Up to when a standby has all. A primary that is idle sends nothing, so the last transaction may be old. One that is
 * caught up with may be as well: while it lasts, all that came in may be replayed at any moment, and more comes in.
 */
export function knownUpTo(before: Look, after: Look): number | null {
  const isQuiet = before.isThrough && after.isThrough && before.position === after.position;
  return isQuiet ? before.now : after.replayedTo;
}

/** Why nothing can be said of the rows; null: they are recent enough. */
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
    // Aurora has no such functions, and says so.
    await query(backToSavepointStatement());
    return { now: role.now, isThrough: false, position: null, replayedTo: null, isPaused: false };
  }
}

/** Of the receiver a role that may not monitor sees that it is there, which it is while it is connected. */
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
