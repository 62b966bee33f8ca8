import { setTimeout as sleep } from 'node:timers/promises';
import { isBefore } from '../lib/log-position.ts';
import type { Database, Query, Statement } from './client.ts';
import { backToSavepointStatement, savepointStatement } from './cursor.ts';
import { behindError, DatabaseError, isUnknownThere } from './failure.ts';

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
  /** The position in the log at which this holds. A server that is not there yet shows less. Null: not told. */
  readonly position: string | null;
}

/** The server that a transaction was given. */
export interface Place {
  readonly isStandby: boolean;
  /** The position in the log that it has come to; null: it does not tell. */
  readonly position: string | null;
  /** When the last transaction that a standby replayed was committed; see {@link Look}. Null: a primary, or not told. */
  readonly replayedTo: number | null;
}

/** The state of a standby at one moment, as it reports it. */
export interface Look {
  /** The clock of the database, epoch ms. */
  readonly now: number;
  /** Whether the standby's receiver is connected and everything received is replayed. */
  readonly isThrough: boolean;
  /**
   * The moment since which the receiver has surely heard from its primary, epoch ms. Null: no receiver is connected, or
   * it would wait for ever.
   */
  readonly heardAt: number | null;
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
 * The age of the rows that {@link readUpTo} sees. A standby has `patienceMs` to reach the present position of its
 * primary. The role needs no grant for this. `npm run test:database` and test/integration/postgres/standby.test.ts ask
 * real standbys.
 */
export async function ageOf(
  database: Pick<Database, 'read'>,
  { patienceMs, signal }: { readonly patienceMs: number; readonly signal: AbortSignal },
): Promise<Age> {
  const look = () => database.read(lookAt, signal);
  const first = await look();
  if ('primaryAt' in first) return recent(first.primaryAt, first.position);
  let before = first;
  for (;;) {
    // If the wait is aborted, the next look fails and reports that.
    await sleep(STEP_MS, undefined, { signal }).catch(() => undefined);
    const after = await look();
    if ('primaryAt' in after) return recent(after.primaryAt, after.position);
    const { now, isPaused, position } = after;
    const asOf = knownUpTo(before, after);
    if (asOf === null) return { asOf, lagSeconds: null, isPaused, position };
    if (asOf >= first.now) return recent(asOf, position);
    if (isPaused || now - first.now >= patienceMs)
      return { asOf, lagSeconds: (now - asOf) / 1000, isPaused, position };
    before = after;
  }
}

/**
 * Reads rows that are at least as recent as `age` says. A pooler or a name may lead each transaction to another server,
 * so the server of this one is asked how far it is. If it is behind, it or another one has `patienceMs` to be there.
 * The snapshot is older than the answer by one round trip. That matters to no server that was asked for the age: it
 * never goes back.
 *
 * @throws {DatabaseError} with the reason `behind`, which `read` may throw as well, when no server was there in time.
 */
export async function readUpTo<Result>(
  database: Pick<Database, 'read'>,
  {
    age,
    patienceMs,
    signal,
  }: {
    readonly age: Pick<Age, 'asOf' | 'position'>;
    readonly patienceMs: number;
    readonly signal: AbortSignal;
  },
  read: (query: Query, place: Place) => Promise<Result>,
): Promise<Result> {
  const begun = performance.now();
  for (;;) {
    try {
      return await database.read(async (query) => {
        const look = await lookAt(query);
        const isStandby = !('primaryAt' in look);
        const place = { isStandby, position: look.position, replayedTo: isStandby ? look.replayedTo : null };
        if (showsLess(place, age)) throw behindError();
        return read(query, place);
      }, signal);
    } catch (error) {
      if (!(error instanceof DatabaseError) || error.reason !== 'behind') throw error;
      if (performance.now() - begun >= patienceMs) throw error;
    }
    await sleep(STEP_MS, undefined, { signal }).catch(() => undefined);
  }
}

/** A primary shows everything. If a position is not told, a standby has to be taken for one that is behind. */
function showsLess({ isStandby, position }: Place, age: Pick<Age, 'asOf' | 'position'>): boolean {
  if (!isStandby || age.asOf === null) return false;
  return position === null || age.position === null || isBefore(position, age.position);
}

/**
 * The moment up to which a standby has everything. An idle primary sends no transaction, so the last replayed one may
 * be old although the standby is up to date. But a primary that has stalled, or is cut off, sends nothing either. So a
 * quiet standby has everything only up to the last moment at which its primary was surely heard.
 *
 * While a standby catches up, everything received may also be replayed for a moment, until more comes in. So the
 * position must not change between two looks.
 */
export function knownUpTo(before: Look, after: Look): number | null {
  const { heardAt, replayedTo } = after;
  const isQuiet = before.isThrough && after.isThrough && before.position === after.position;
  if (!isQuiet || heardAt === null) return replayedTo;
  return Math.max(replayedTo ?? -Infinity, Math.min(before.now, heardAt));
}

/** The age that allows less: rows read at one and asked about again at the other are no fresher than both. */
export function worseAge(one: Age, other: Age): Age {
  return (one.lagSeconds ?? Infinity) < (other.lagSeconds ?? Infinity) ? other : one;
}

/** The reason why the rows allow no verdict; null: the rows are recent enough. */
export function doubtOfAge({ lagSeconds, isPaused }: Pick<Age, 'lagSeconds' | 'isPaused'>): string | null {
  if (lagSeconds === null) return 'the standby does not say how far it is behind';
  if (lagSeconds <= (isPaused ? 0 : MOST_LAG_SECONDS)) return null;
  return `the standby is ${Math.ceil(lagSeconds)} s behind${isPaused ? ', its replay is paused' : ''}`;
}

function recent(asOf: number, position: string | null): Age {
  return { asOf, lagSeconds: 0, isPaused: false, position };
}

async function lookAt(
  query: Query,
): Promise<Look | { readonly primaryAt: number; readonly position: string | null }> {
  const [role] = await query<Role>(roleStatement());
  if (role === undefined) throw new Error('Cannot read the role of the database: no row came back');
  if (!role.isStandby) {
    const wrote = role.mayAskWritten
      ? await unlessRefused<Pick<Look, 'position'>>(query, { statement: writtenStatement(), role })
      : null;
    return { primaryAt: role.now, position: wrote?.position ?? null };
  }
  const said = await unlessRefused<Omit<Look, 'now'>>(query, { statement: replayStatement(), role });
  return { now: role.now, ...(said ?? UNTOLD) };
}

interface Role {
  readonly now: number;
  readonly isStandby: boolean;
  /** False: nobody granted it. Asking all the same would leave an error in the log of the server. */
  readonly mayAskWritten: boolean;
  /** When the server started: no two servers start within the same microsecond. */
  readonly server: string;
}

const UNTOLD: Omit<Look, 'now'> = {
  isThrough: false,
  heardAt: null,
  position: null,
  replayedTo: null,
  isPaused: false,
};

/**
 * The statements that a server does not know, with the server. Each try would leave an error in the log of the server.
 * Aurora lacks these functions, and its catalogue does not tell so.
 */
const unknownTo = new Set<string>();

/** Reads one row; null: the server does not know the functions, or a grant is missing, which may come at any time. */
async function unlessRefused<Row>(
  query: Query,
  { statement, role }: { readonly statement: Statement; readonly role: Role },
): Promise<Row | null> {
  const asked = `${statement.name} ${role.server}`;
  if (unknownTo.has(asked)) return null;
  await query(savepointStatement());
  try {
    const [said] = await query<Row>(statement);
    if (said === undefined) throw new Error('Cannot read how far the server is: no row came back');
    return said;
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    if (error.reason !== 'query_failed' && error.reason !== 'denied') throw error;
    if (isUnknownThere(error)) unknownTo.add(asked);
    await query(backToSavepointStatement());
    return null;
  }
}

function roleStatement(): Statement {
  return {
    name: 'role',
    text: /* SQL */ `
      SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS "now", pg_is_in_recovery() AS "isStandby",
        has_function_privilege('pg_current_wal_lsn()', 'EXECUTE') AS "mayAskWritten",
        extract(epoch FROM pg_postmaster_start_time())::text AS "server"`,
    values: [],
  };
}

/**
 * Reads how far a primary is. A commit is visible only once it is written, unless synchronous_commit is off: then it
 * may lie beyond this position for a moment. The position of the next insert would be no better: after a switch of the
 * log, it lies beyond everything that a standby can replay.
 */
function writtenStatement(): Statement {
  return { name: 'written', text: 'SELECT pg_current_wal_lsn()::text AS "position"', values: [] };
}

/**
 * Reads the replay state. A role that may not monitor still sees that the receiver exists, so that it is connected. A
 * receiver asks a silent primary for an answer after half of its timeout, and ends if none has come after all of it.
 */
function replayStatement(): Statement {
  return {
    name: 'replay',
    text: /* SQL */ `
      SELECT EXISTS (SELECT FROM pg_stat_wal_receiver)
          AND coalesce(pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn(), false) AS "isThrough",
        (SELECT (extract(epoch FROM coalesce(last_msg_receipt_time,
            clock_timestamp() - nullif(current_setting('wal_receiver_timeout')::interval, '0'))) * 1000)::float8
          FROM pg_stat_wal_receiver) AS "heardAt",
        pg_last_wal_replay_lsn()::text AS "position",
        (extract(epoch FROM pg_last_xact_replay_timestamp()) * 1000)::float8 AS "replayedTo",
        pg_is_wal_replay_paused() AS "isPaused"`,
    values: [],
  };
}
