import pg from 'pg';
import { runWithin } from '../lib/deadline.ts';
import { clientConfig } from './client-config.ts';
import type { DatabaseServer, DatabaseSettings, SslMode } from './database-url.ts';
import { databaseError, pooledError } from './failure.ts';
import type { ServerKind } from './servers.ts';
import { firstFit, placesOf, refuseOther } from './servers.ts';

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

const CONNECT_TIMEOUT_MS = 5_000;
const STATEMENT_TIMEOUT_MS = 10_000;
const LOCK_TIMEOUT_MS = 2_000;
/**
 * The client's own deadlines, for a server that stalls enforces none: for a statement that reads, and for one
 * that a server which is there answers at once.
 */
const READ_DEADLINE_MS = STATEMENT_TIMEOUT_MS + 2_000;
const PROMPT_DEADLINE_MS = 5_000;
/** Any number will do as long as every exporter uses the same: "xcom" in ASCII. The second number is the shard's. */
const LEADER_LOCK = 0x78636f6d;

/**
 * A client that is lost with its host says no goodbye, and by default a server keeps its session, and the lock with it,
 * for two hours: this one asks after 5 s of silence, and gives up 10 s later. Nor is a session ended for waiting from
 * tick to tick. Only where the session is our own: behind a pooler it would be set for whoever has it next.
 * `sudo npm run test:database` takes the host away (test/database/lost-host.test.ts).
 */
const OWN_SESSION = `SELECT set_config(name, value, false)
  FROM (VALUES ('tcp_keepalives_idle', '5'), ('tcp_keepalives_interval', '5'), ('tcp_keepalives_count', '2'),
    ('tcp_user_timeout', '15000'), ('idle_session_timeout', '0')) AS wanted (name, value)
  WHERE current_setting(name, true) IS NOT NULL AND pg_backend_pid() = $1`;

/**
 * Limits are set inside the transaction, not at connect: behind pgbouncer in transaction mode session
 * settings are refused or leak, and what a URL, a role or a database sets stands back behind them.
 */
const LIMITS = `SET LOCAL statement_timeout = ${STATEMENT_TIMEOUT_MS};
  SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS};
  SET LOCAL idle_in_transaction_session_timeout = ${2 * STATEMENT_TIMEOUT_MS}`;

/**
 * Sequential scans are priced out: every statement here has an index. The ways to use one are allowed: a role or a
 * database may have them switched off for the sake of other statements. A backend whose client is gone ends within a
 * moment and not with its statement, so that the next one is no second one; before Postgres 14 and where the system
 * cannot tell, it stays until its limits.
 *
 * Nothing is remembered of what a lateral join made of a value (from Postgres 14): its key would be the value, fetched and
 * unpacked as a whole to be hashed.
 *
 * Rows that a policy hides are an error and not left out: they would be counted as none. How strings are read and
 * floats written is a role's to set as well, and sizes would be other ones.
 */
const BEGIN = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
  ${LIMITS};
  SET LOCAL row_security = off;
  SET LOCAL standard_conforming_strings = on;
  SET LOCAL extra_float_digits = 1;
  SET LOCAL enable_seqscan = off;
  SET LOCAL enable_indexscan = on;
  SET LOCAL enable_bitmapscan = on;
  SET LOCAL enable_nestloop = on;
  SET LOCAL jit = off;
  SET LOCAL cursor_tuple_fraction = 1;
  SET LOCAL max_parallel_workers_per_gather = 0;
  SELECT set_config(name, value, true)
  FROM (VALUES ('enable_memoize', 'off', ''), ('client_connection_check_interval', '250ms', 'linux')) AS wanted (name, value, place)
  WHERE current_setting(name, true) IS NOT NULL AND version() LIKE '%' || place || '%'`;

export interface DatabaseOptions {
  /** The number of the lock that `lead` takes; null: it is never asked for. */
  readonly lock: number | null;
  /** The tables whose names a message of the server may be taken at its word for. */
  readonly tables: readonly string[];
}

/** At most one connection for sampling and one for the lock. Opens nothing until asked. */
export function openDatabase(settings: DatabaseSettings, { lock, tables }: DatabaseOptions): Database {
  let sampling: pg.Client | null = null;
  let leading: pg.Client | null = null;
  let turn: Promise<unknown> = Promise.resolve();
  const { connectTimeoutSeconds } = settings;
  const connectMs = connectTimeoutSeconds === null ? CONNECT_TIMEOUT_MS : connectTimeoutSeconds * 1000;

  async function connect(signal: AbortSignal): Promise<pg.Client> {
    try {
      return await firstFit(settings, (server, kind) => connectTo(server, { kind, signal }));
    } catch (error) {
      throw databaseError(error, { signal, tables, database: `the database at ${placesOf(settings)}` });
    }
  }

  async function connectTo(
    server: DatabaseServer,
    { kind, signal }: { readonly kind: ServerKind; readonly signal: AbortSignal },
  ): Promise<pg.Client> {
    const { ssl } = settings;
    if (ssl !== 'prefer') return connectWith({ server, ssl }, { kind, signal });
    try {
      return await connectWith({ server, ssl: 'require' }, { kind, signal });
    } catch (error) {
      // What libpq does: a server without TLS is spoken to in the clear, any other failure stands.
      if (error instanceof Error && error.message.includes('does not support SSL'))
        return connectWith({ server, ssl: 'disable' }, { kind, signal });
      throw error;
    }
  }

  async function connectWith(
    to: { readonly server: DatabaseServer; readonly ssl: SslMode },
    { kind, signal }: { readonly kind: ServerKind; readonly signal: AbortSignal },
  ): Promise<pg.Client> {
    const client = new pg.Client(clientConfig(settings, to));
    // A server that ends an idle session emits 'error'; without a listener that would end the process.
    client.on('error', (error) => {
      if ('code' in error && !goodbyes.has(client)) goodbyes.set(client, error);
      if (sampling === client) sampling = null;
      if (leading === client) leading = null;
    });
    try {
      await within(client, { ms: connectMs, signal }, async () => {
        await client.connect();
        if (kind !== 'any') await refuseOther(client, kind);
        await client.query(OWN_SESSION, [backendOf(client)]);
      });
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
    const prompt = { ms: PROMPT_DEADLINE_MS, signal, tables };
    try {
      await ask(client, { text: BEGIN }, prompt);
      const result = await read((statement) =>
        ask(client, statement, { ms: READ_DEADLINE_MS, signal, tables }),
      );
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
      if (leading !== null) {
        const held = leading;
        try {
          await holdsLock(held, { lock: null, signal });
        } catch (error) {
          leading = null;
          await end(held);
          throw error;
        }
        if (isLeading(held)) return true;
      }
      const client = await connect(signal);
      try {
        if (await holdsLock(client, { lock: lock ?? 0, signal })) leading = client;
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

/**
 * Whether this session has the lock. Asked of a session that holds it already (`take` is false), it is whether
 * the session is still the same: a pooler in between would give the lock away with the session.
 */
async function holdsLock(
  client: pg.Client,
  { lock, signal }: { lock: number | null; signal: AbortSignal },
): Promise<boolean> {
  const own = backendOf(client);
  const held = lock !== null ? `pg_try_advisory_lock(${LEADER_LOCK}, ${lock})` : 'true';
  const text = `BEGIN READ ONLY; ${LIMITS};
    SELECT CASE WHEN pg_backend_pid() = ${own} THEN ${held} END AS held; COMMIT`;
  const [answer] = await ask<{ held: boolean | null }>(
    client,
    { text },
    { ms: PROMPT_DEADLINE_MS, signal, tables: [] },
  );
  if (answer?.held === true || answer?.held === false) return answer.held;
  throw pooledError();
}

/** Which backend the client was told that it has. A pooler tells each client a number of its own making. */
function backendOf(client: pg.Client): number {
  return (client as unknown as { processID: number | null }).processID ?? 0;
}

/** What the server said when it ended a session between two statements: the next one only finds it ended. */
const goodbyes = new WeakMap<pg.Client, Error>();

interface Limit {
  readonly ms: number;
  readonly signal: AbortSignal;
}

async function ask<Row>(
  client: pg.Client,
  { text, values = [] }: { readonly text: string; readonly values?: readonly unknown[] },
  limit: Limit & { readonly tables: readonly string[] },
): Promise<Row[]> {
  try {
    // Several statements in one text are allowed only where no values are given at all.
    const send = () => (values.length === 0 ? client.query(text) : client.query(text, [...values]));
    const answer: unknown = await within<unknown>(client, limit, send);
    // Of several statements those that give rows.
    const results = (Array.isArray(answer) ? answer : [answer]) as readonly pg.QueryResult[];
    const [only] = results;
    return (
      results.length === 1 && only !== undefined
        ? only.rows
        : results.flatMap(({ rows }) => rows as unknown[])
    ) as Row[];
  } catch (error) {
    throw databaseError(goodbyes.get(client) ?? error, limit);
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

/** A statement with its parameters: SQL is a value, so that tests can explain every one of them. */
export interface Statement {
  readonly name: string;
  readonly text: string;
  readonly values: readonly unknown[];
}
