import { lostSessionError, pooledError, standbyLockError } from './failure.ts';

/** The first number of the lock: "xcom" in ASCII. All exporters have to use the same; the second is the shard's. */
const LEADER_LOCK = 0x78636f6d;

/** The answer to {@link lockQuery}. */
export interface LockAnswer {
  readonly standby: boolean;
  /** Null: the session is not the one that was asked. */
  readonly held: boolean | null;
  /** The number of the backend that held the lock just before. */
  readonly holder: number | null;
}

/**
 * Asks for the lock. For a session that holds it already (`lock` is null), this checks that the session is still the
 * same: a pooler in between would give the session away, and the lock with it. `own`: the number of its backend.
 */
export function lockQuery({ own, lock }: { readonly own: number; readonly lock: number | null }): string {
  const held = lock === null ? 'true' : `pg_try_advisory_lock(${LEADER_LOCK}, ${lock})`;
  const holder = `(SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2
      AND classid = ${LEADER_LOCK} AND objid = ${lock ?? 0}
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`;
  return `SELECT pg_is_in_recovery() AS standby, ${lock === null ? 'NULL::int' : holder} AS holder,
      CASE WHEN pg_backend_pid() = ${own} AND NOT pg_is_in_recovery() THEN ${held} END AS held`;
}

/**
 * Whether the session has the lock. `ours`: the backends of this exporter's own sessions that may hold it.
 *
 * @throws {DatabaseError} when the answer says nothing about another exporter.
 */
export function heldBy(answer: LockAnswer | undefined, ours: ReadonlySet<number>): boolean {
  if (answer?.held === true) return true;
  // Nobody else leads until the server learns that this session is lost: nobody else has counted a row.
  if (answer?.held === false && ours.has(answer.holder ?? 0)) throw lostSessionError();
  if (answer?.held === false) return false;
  throw answer?.standby === true ? standbyLockError() : pooledError();
}
