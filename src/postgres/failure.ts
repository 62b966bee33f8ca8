/** The database could not be read. `reason` is the value of a label: it has few values and contains no names. */
export class DatabaseError extends Error {
  override readonly name = 'DatabaseError';
  readonly reason: DatabaseReason;
  constructor(reason: DatabaseReason, message: string, cause: unknown) {
    super(message, { cause });
    this.reason = reason;
  }
}

export type DatabaseReason =
  | 'unreachable'
  | 'denied'
  | 'lock_timeout'
  | 'statement_timeout'
  | 'conflict'
  | 'shutdown'
  | 'pooled'
  | 'standby'
  | 'behind'
  | 'lost_session'
  | 'aborted'
  | 'query_failed';

/** The reasons that a server or the connection to it gives; the exporter finds the others itself. */
type GivenReason = Exclude<DatabaseReason, 'pooled' | 'standby' | 'behind' | 'lost_session'>;

/** SQLSTATE -> reason (https://www.postgresql.org/docs/current/errcodes-appendix.html). */
const REASON_OF_SQLSTATE: Readonly<Record<string, GivenReason>> = {
  '28000': 'denied',
  '28P01': 'denied',
  '42501': 'denied',
  '42703': 'query_failed',
  '42883': 'query_failed',
  '22003': 'query_failed',
  '55P03': 'lock_timeout',
  '57014': 'statement_timeout',
  // A role may have a limit on the length of a transaction (Postgres 17).
  '25P04': 'statement_timeout',
  '40001': 'conflict',
  '40P01': 'conflict',
  '57P01': 'shutdown',
  '57P02': 'shutdown',
  '57P03': 'unreachable',
  '53300': 'unreachable',
  '3D000': 'unreachable',
  // This code comes from a pooler: pgbouncer gives it whenever it cannot hand out a session.
  '08P01': 'unreachable',
};

/**
 * Describes the failure without the server's own words, because a message of Postgres may quote a row. `tables`: the
 * names that may be repeated from such a message.
 */
export function databaseError(
  error: unknown,
  {
    signal,
    tables,
    database = 'the database',
  }: { signal: AbortSignal; tables: readonly string[]; database?: string },
): DatabaseError {
  if (error instanceof DatabaseError) return error;
  const code = codeOf(error);
  if (signal.aborted) return new DatabaseError('aborted', `Cannot read ${database}: stopping`, error);
  const known = REASON_OF_SQLSTATE[code];
  if (known !== undefined)
    return new DatabaseError(
      known,
      `Cannot read ${database}: ${wordsFor(known, { error, tables })} (${code})`,
      error,
    );
  if (/^[0-9A-Z]{5}$/.test(code) && !code.startsWith('E'))
    return new DatabaseError('query_failed', `Cannot read ${database}: SQLSTATE ${code}`, error);
  return new DatabaseError('unreachable', `Cannot reach ${database}: ${wordsForNoAnswer(error)}`, error);
}

/** Words for Node's codes of failures that prevent or end a connection. */
const WORDS_OF_CODE: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ECONNRESET: 'the connection was cut',
  EAI_AGAIN: 'the name of the host cannot be looked up just now',
  EHOSTUNREACH: 'no way leads there',
  ENETUNREACH: 'no way leads there',
  ENOTFOUND: 'no host of that name is known',
};

function wordsForNoAnswer(error: unknown): string {
  if (error instanceof Error && error.message.includes('does not support SSL'))
    return 'the server offers no TLS, which sslmode asks for';
  const code = codeOf(error);
  if (code === '') return 'the connection ended or the server did not answer in time';
  const words = /CERT|^UNABLE_TO_/.test(code)
    ? 'its certificate is not trusted or names another host; sslrootcert names the authority'
    : WORDS_OF_CODE[code];
  return words === undefined ? code : `${words} (${code})`;
}

/** The lock of `ha` belongs to a session, and a pooler gives the session to others between two transactions. */
export function pooledError(): DatabaseError {
  return new DatabaseError(
    'pooled',
    'Cannot hold the lock of ha=lock: a connection pooler is in between and the session behind it is not ours; ' +
      'give database.url the address of the server itself',
    null,
  );
}

/**
 * An advisory lock on a standby is known to that standby alone. Two exporters may be led to two of them by one name, and
 * nothing tells one of them so.
 */
export function standbyLockError(): DatabaseError {
  return new DatabaseError(
    'standby',
    'Cannot hold the lock of ha=lock: the server is a standby, and no other server knows of its locks; ' +
      'give database.url the address of the primary, or run one exporter without ha',
    null,
  );
}

/** A network that forgets a connection tells only one end of it. */
export function lostSessionError(): DatabaseError {
  return new DatabaseError(
    'lost_session',
    'Cannot take the lock of ha=lock: a session of this exporter that broke off still holds it; ' +
      'the server ends it within 15 s',
    null,
  );
}

/** Whether the server has no such function, and so will not have it until another one is started in its place. */
export function isUnknownThere({ cause }: DatabaseError): boolean {
  // Aurora has the functions of Postgres, and says of some that it does not support them.
  return ['0A000', '42883'].includes(codeOf(cause));
}

/** A standby would take back what another server has already shown. */
export function behindError(): DatabaseError {
  return new DatabaseError(
    'behind',
    'Cannot read the database: the server is a standby that is behind the one read before, and would show less than was already seen. ' +
      'It is read when it has caught up, or some minutes after its primary was put back from a copy. ' +
      'If this lasts, look at its replay, or give database.url the address of one server',
    null,
  );
}

/** @throws every other error. */
export function nullIfBehind(error: unknown): null {
  if (error instanceof DatabaseError && error.reason === 'behind') return null;
  throw error;
}

/** The oldest release of Postgres that Airflow 2.9 and every statement here work with. */
const MINIMUM_POSTGRES = 12;

/** Words for single codes: causes with the same reason are fixed in different places. */
const WORDS_OF_SQLSTATE: Readonly<Record<string, string>> = {
  '28000': 'the role may not log in from here (pg_hba.conf, NOLOGIN)',
  '28P01': 'the password of the role is not accepted',
  '3D000': 'there is no database of that name',
  '42703': 'a column is missing, as where a view stands in for a table',
  '42883': `the server lacks a function: it has to be Postgres ${MINIMUM_POSTGRES} or later, as for Airflow itself`,
  '22003': `a figure does not fit its type; Postgres ${MINIMUM_POSTGRES} and later are known to work`,
  '53300': 'the server or the role has no connection left',
  '08P01':
    'the connection pooler in front of it gives no session: it does not know the role (the pgbouncer of the official ' +
    "chart knows Airflow's alone), or it reaches no server; name the role to it, or give database.url the address of the server itself",
};

/**
 * Words for a refused connection by the function of Postgres that refused it: each watches over one limit. Its message
 * names the limit too, but is translated.
 */
const WORDS_OF_ROUTINE: Readonly<Record<string, string>> = {
  InitializeSessionUserId:
    'the role has no connection left: raise its CONNECTION LIMIT with ALTER ROLE, docs/high-availability.md says to how many',
  CheckMyDatabase: 'the database has no connection left: raise its CONNECTION LIMIT with ALTER DATABASE',
  InitProcess: 'the server has no connection left: max_connections is its limit',
  InitPostgres: 'the server has no connection left but those that it reserves: max_connections is its limit',
};

const WORDS: Readonly<Record<GivenReason, string>> = {
  unreachable: 'the server takes no connections',
  denied: 'the role may not read a table; docs/sql/role.sql grants what it needs',
  lock_timeout: 'a table is locked (ACCESS EXCLUSIVE)',
  statement_timeout: 'a statement took too long',
  conflict: 'cancelled by a conflict with recovery or another transaction',
  shutdown: 'the server is shutting down',
  aborted: 'stopping',
  query_failed: 'a statement failed',
};

function wordsFor(
  reason: GivenReason,
  { error, tables }: { error: unknown; tables: readonly string[] },
): string {
  // This message comes before any statement, so it cannot quote a row, and it is always in the same language.
  if (error instanceof Error && error.message.startsWith('unsupported startup parameter'))
    return (
      'the connection pooler in front of it takes no options, in which the search path is sent (sql_alchemy_schema, or options ' +
      'of the URL): list options in its ignore_startup_parameters, or set the search path of the role and give database.url without'
    );
  if (codeOf(error) === '42501') return wordsForDenied(error, tables);
  if (codeOf(error) === '53300') {
    const words = WORDS_OF_ROUTINE[routineOf(error)];
    if (words !== undefined) return words;
  }
  return WORDS_OF_SQLSTATE[codeOf(error)] ?? WORDS[reason];
}

/**
 * Names the table if it is a known one. The server names the table only in its message, which is not repeated because
 * it may quote a row.
 */
function wordsForDenied(error: unknown, tables: readonly string[]): string {
  const said = error instanceof Error ? error.message : '';
  const table = tables.find((name) => new RegExp(`\\b${name}\\b`).test(said));
  // Postgres' own function: it raises this error because row_security is off.
  if (routineOf(error) === 'check_enable_rls') return wordsForHiddenRows([table ?? 'a table']);
  const what =
    table === undefined ? 'a table, or not enter the database or its schema' : `the table ${table}`;
  return `the role may not read ${what}; docs/sql/role.sql grants what it needs`;
}

/** A grant does not help, nor does a policy: the session reads all rows or none. */
export function wordsForHiddenRows(tables: readonly string[]): string {
  return `row-level security may hide rows of ${tables.join(', ')} from the role; ALTER ROLE … BYPASSRLS lets it read them all, and docs/sql/role.sql keeps that`;
}

function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : '';
}

function routineOf(error: unknown): string {
  return typeof error === 'object' &&
    error !== null &&
    'routine' in error &&
    typeof error.routine === 'string'
    ? error.routine
    : '';
}
