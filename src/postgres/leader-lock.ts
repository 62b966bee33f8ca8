import { lostSessionError, pooledError, standbyLockError } from './failure.ts';

/** The first number of the lock: "xcom" in ASCII. All exporters have to use the same; the second is the shard's. */
const LEADER_LOCK = 0x78636f6d;

/** The answer to {@link lockQuery}. */
export interface LockAnswer {
  readonly standby: boolean;
  /** Null: the session is not the one that was asked. */
  readonly held: boolean | null;
  /** The backend that held the lock just before: see {@link BACKEND}. Null: none did, or it is of another role. */
  readonly holder: string | null;
}

/**
 * Names one backend of `pg_stat_activity` for good: a server that restarts gives the same numbers again. A role sees the
 * start of its own backends only.
 */
const BACKEND = "pid || ' since ' || extract(epoch FROM backend_start)";

/** Asks for the backend of this session, as {@link heldBy} knows it. */
export const OWN_BACKEND = `SELECT ${BACKEND} AS backend FROM pg_stat_activity WHERE pid = pg_backend_pid()`;

/**
 * Asks for the lock. For a session that holds it already (`lock` is null), this checks that the session is still the
 * same: a pooler in between would give the session away, and the lock with it. `own`: the number of its backend.
 */
export function lockQuery({ own, lock }: { readonly own: number; readonly lock: number | null }): string {
  const held = lock === null ? 'true' : `pg_try_advisory_lock(${LEADER_LOCK}, ${lock})`;
  const holder = `(SELECT ${BACKEND} FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted AND objsubid = 2
      AND classid = ${LEADER_LOCK} AND objid = ${lock ?? 0}
      AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database()))`;
  return `SELECT pg_is_in_recovery() AS standby, ${lock === null ? 'NULL' : holder} AS holder,
      CASE WHEN pg_backend_pid() = ${own} AND NOT pg_is_in_recovery() THEN ${held} END AS held`;
}

/**
 * Whether the session has the lock. `ours`: the backends of this exporter's own sessions that may hold it.
 *
 * @throws {DatabaseError} when the answer says nothing about another exporter.
 */
export function heldBy(answer: LockAnswer | undefined, ours: ReadonlySet<string>): boolean {
  if (answer?.held === true) return true;
  // Nobody else leads until the server learns that this session is lost: nobody else has counted a row.
  if (answer?.held === false && ours.has(answer.holder ?? '')) throw lostSessionError();
  if (answer?.held === false) return false;
  throw answer?.standby === true ? standbyLockError() : pooledError();
}
