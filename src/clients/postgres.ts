import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import pg from 'pg';
import type { DatabaseSettings, SslMode } from '../config.ts';
import type { Statement } from '../airflow/queries.ts';
import { runWithin } from '../lib/deadline.ts';

/** Runs one statement inside the read-only transaction. */
export type Query = <Row>(statement: Statement) => Promise<Row[]>;

export interface Database {
  /**
   * One read-only snapshot: every statement of `read` sees the same instant. Fails with
   * {@link DatabaseError}; the connection is opened when needed and dropped after any failure. One read at a
   * time: a second one waits for its turn.
   */
  read<Result>(read: (query: Query) => Promise<Result>, signal: AbortSignal): Promise<Result>;
  /** Tries to hold, or still holds, the lock on a session of its own. False: another one is active. */
  lead(signal: AbortSignal): Promise<boolean>;
  close(): Promise<void>;
}

/** The database could not be read. `reason` is a label: few values, no names. */
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
  | 'aborted'
  | 'query_failed';

/** SQLSTATE -> reason (https://www.postgresql.org/docs/current/errcodes-appendix.html). */
const REASON_OF_SQLSTATE: Readonly<Record<string, DatabaseReason>> = {
  '28000': 'denied',
  '28P01': 'denied',
  '42501': 'denied',
  '55P03': 'lock_timeout',
  '57014': 'statement_timeout',
  '40001': 'conflict',
  '40P01': 'conflict',
  '57P01': 'shutdown',
  '57P02': 'shutdown',
  '57P03': 'unreachable',
  '53300': 'unreachable',
  '3D000': 'unreachable',
};

const CONNECT_TIMEOUT_MS = 5_000;
const STATEMENT_TIMEOUT_MS = 10_000;
const LOCK_TIMEOUT_MS = 2_000;
/**
 * The client's own deadlines, for a server that stalls enforces none: for a statement that reads, and for one
 * that a server which is there answers at once.
 */
const READ_DEADLINE_MS = STATEMENT_TIMEOUT_MS + 2_000;
const PROMPT_DEADLINE_MS = 5_000;
/** Any number will do as long as every exporter uses the same: "xcom" in ASCII. */
const LEADER_LOCK = 0x78636f6d;

/**
 * Limits are set inside the transaction, not at connect: behind pgbouncer in transaction mode session
 * settings are refused or leak. Sequential scans are priced out: every statement here has an index.
 */
const BEGIN = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
  SET LOCAL statement_timeout = ${STATEMENT_TIMEOUT_MS};
  SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS};
  SET LOCAL idle_in_transaction_session_timeout = ${2 * STATEMENT_TIMEOUT_MS};
  SET LOCAL enable_seqscan = off;
  SET LOCAL jit = off;
  SET LOCAL max_parallel_workers_per_gather = 0`;

/** At most one connection for sampling and, with `ha`, one for the lock. Opens nothing until asked. */
export function openDatabase(settings: DatabaseSettings): Database {
  let sampling: pg.Client | null = null;
  let leading: pg.Client | null = null;
  let turn: Promise<unknown> = Promise.resolve();
  const { connectTimeoutSeconds } = settings;
  const connectMs = connectTimeoutSeconds === null ? CONNECT_TIMEOUT_MS : connectTimeoutSeconds * 1000;

  async function connect(signal: AbortSignal): Promise<pg.Client> {
    try {
      if (settings.ssl !== 'prefer') return await connectWith(settings.ssl, signal);
      try {
        return await connectWith('require', signal);
      } catch (error) {
        // What libpq does: a server without TLS is spoken to in the clear, any other failure stands.
        if (error instanceof Error && error.message.includes('does not support SSL'))
          return await connectWith('disable', signal);
        throw error;
      }
    } catch (error) {
      throw databaseError(error, signal);
    }
  }

  async function connectWith(ssl: SslMode, signal: AbortSignal): Promise<pg.Client> {
    const client = new pg.Client(clientConfig(settings, ssl));
    // A server that ends an idle session emits 'error'; without a listener that would end the process.
    client.on('error', () => {
      if (sampling === client) sampling = null;
      if (leading === client) leading = null;
    });
    try {
      await within(client, { ms: connectMs, signal }, () => client.connect());
      return client;
    } catch (error) {
      destroy(client);
      throw error;
    }
  }

  async function readNow<Result>(
    read: (query: Query) => Promise<Result>,
    signal: AbortSignal,
  ): Promise<Result> {
    const client = (sampling ??= await connect(signal));
    const prompt = { ms: PROMPT_DEADLINE_MS, signal };
    try {
      await ask(client, { text: BEGIN }, prompt);
      const result = await read((statement) => ask(client, statement, { ms: READ_DEADLINE_MS, signal }));
      await ask(client, { text: 'COMMIT' }, prompt);
      return result;
    } catch (error) {
      // Ending the session ends the transaction whatever state it is in; waited for, so that no two are there.
      sampling = null;
      await end(client);
      throw error;
    }
  }

  /** A client whose session ended has been dropped by its 'error' listener meanwhile. */
  const isLeading = (client: pg.Client) => leading === client;

  return {
    read(read, signal) {
      // On one session a second transaction would be a part of the first.
      const mine = turn.then(() => readNow(read, signal));
      turn = mine.catch(() => undefined);
      return mine;
    },

    async lead(signal) {
      const prompt = { ms: PROMPT_DEADLINE_MS, signal };
      if (leading !== null) {
        const held = leading;
        try {
          await ask(held, { text: 'SELECT 1' }, prompt);
        } catch (error) {
          leading = null;
          await end(held);
          throw error;
        }
        if (isLeading(held)) return true;
      }
      const client = await connect(signal);
      try {
        const statement = { text: 'SELECT pg_try_advisory_lock($1) AS held', values: [LEADER_LOCK] };
        const [answer] = await ask<{ held: boolean }>(client, statement, prompt);
        if (answer?.held === true) leading = client;
      } finally {
        if (!isLeading(client)) await end(client);
      }
      return isLeading(client);
    },

    async close() {
      const open = [sampling, leading].filter((client) => client !== null);
      sampling = leading = null;
      await Promise.all(open.map(end));
    },
  };
}

interface Limit {
  readonly ms: number;
  readonly signal: AbortSignal;
}

async function ask<Row>(
  client: pg.Client,
  { text, values = [] }: { readonly text: string; readonly values?: readonly unknown[] },
  limit: Limit,
): Promise<Row[]> {
  try {
    // Several statements in one text are allowed only where no values are given at all.
    const send = () => (values.length === 0 ? client.query(text) : client.query(text, [...values]));
    const answer = await within(client, limit, send);
    return answer.rows as never;
  } catch (error) {
    throw databaseError(error, limit.signal);
  }
}

/**
 * On abort or past the deadline the socket is destroyed. The server may notice only when its statement ends, by
 * its own limits at the latest.
 */
async function within<Result>(client: pg.Client, limit: Limit, work: () => Promise<Result>): Promise<Result> {
  limit.signal.throwIfAborted();
  return runWithin(limit, ({ signal }) => {
    signal.addEventListener(
      'abort',
      () => {
        destroy(client);
      },
      { once: true },
    );
    return work();
  });
}

/** Says goodbye, but waits for no answer longer than a second. */
async function end(client: pg.Client): Promise<void> {
  const signal = new AbortController().signal;
  await runWithin({ ms: 1_000, signal }, () => client.end()).catch(() => undefined);
  destroy(client);
}

function destroy(client: pg.Client): void {
  const { connection } = client as unknown as { connection: { stream: { destroy(): void } } };
  connection.stream.destroy();
}

/** `require` encrypts without asking who answers, as in libpq, unless authorities are named. */
function tls(settings: DatabaseSettings, ssl: SslMode): ConnectionOptions | false {
  if (ssl === 'disable') return false;
  const file = (path: string | null) => (path === null ? undefined : readFileSync(path, 'utf8'));
  const ca = file(settings.sslRootCert);
  const cert = file(settings.sslCert);
  const key = file(settings.sslKey);
  return {
    rejectUnauthorized: ssl === 'verify-ca' || ssl === 'verify-full' || ca !== undefined,
    ...(ssl === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

function clientConfig(settings: DatabaseSettings, ssl: SslMode): pg.ClientConfig {
  return {
    host: settings.host,
    port: settings.port,
    user: settings.user,
    database: settings.database,
    ...(settings.password === null ? {} : { password: settings.password.reveal() }),
    ssl: tls(settings, ssl),
    ...(settings.options === null ? {} : { options: settings.options }),
    application_name: settings.applicationName,
    keepAlive: true,
  };
}

/** Names the failure without the server's own words: a message of Postgres may quote a row. */
export function databaseError(error: unknown, signal: AbortSignal): DatabaseError {
  if (error instanceof DatabaseError) return error;
  const code = codeOf(error);
  if (signal.aborted) return new DatabaseError('aborted', 'Cannot read the database: stopping', error);
  const known = REASON_OF_SQLSTATE[code];
  if (known !== undefined)
    return new DatabaseError(
      known,
      `Cannot read the database: ${WORDS_OF_SQLSTATE[code] ?? WORDS[known]} (${code})`,
      error,
    );
  if (/^[0-9A-Z]{5}$/.test(code) && !code.startsWith('E'))
    return new DatabaseError('query_failed', `Cannot read the database: SQLSTATE ${code}`, error);
  const detail = code === '' ? 'the connection ended or the server did not answer in time' : code;
  return new DatabaseError('unreachable', `Cannot reach the database: ${detail}`, error);
}

/** Where one reason has causes that are mended in different places. */
const WORDS_OF_SQLSTATE: Readonly<Record<string, string>> = {
  '28000': 'the role may not log in from here (pg_hba.conf)',
  '28P01': 'the password of the role is not accepted',
  '3D000': 'there is no database of that name',
  '53300': 'the server or the role has no connection left',
};

const WORDS: Readonly<Record<DatabaseReason, string>> = {
  unreachable: 'the server takes no connections',
  denied: 'the role may not read a table; see the README for the grants it needs',
  lock_timeout: 'a table is locked (ACCESS EXCLUSIVE)',
  statement_timeout: 'a statement took too long',
  conflict: 'cancelled by a conflict with recovery or another transaction',
  shutdown: 'the server is shutting down',
  aborted: 'stopping',
  query_failed: 'a statement failed',
};

function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : '';
}
