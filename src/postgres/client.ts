import pg from 'pg';
import { runWithin } from '../lib/deadline.ts';
import { clientConfig } from './client-config.ts';
import type { DatabaseServer, DatabaseSettings, SslMode } from './database-url.ts';
import { databaseError } from './failure.ts';
import type { LockAnswer } from './leader-lock.ts';
import { heldBy, lockQuery, OWN_BACKEND } from './leader-lock.ts';
import type { ServerKind } from './servers.ts';
import { firstFit, placesOf, refuseOther } from './servers.ts';

/** Runs one statement inside the read-only transaction. */
export type Query = <Row>(statement: Statement) => Promise<Row[]>;

export interface Database {
  /**
   * Reads from one read-only snapshot: every statement of `read` sees the same instant. Fails with
   * {@link DatabaseError}. The connection is opened when needed and dropped after any failure. There is one read at
   * a time: a second read waits for its turn.
   */
  read<Result>(read: (query: Query) => Promise<Result>, signal: AbortSignal): Promise<Result>;
  /** Takes the lock on a separate session, or checks that it is still held. False: another exporter is active. */
  lead(signal: AbortSignal): Promise<boolean>;
  close(): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 5_000;
const STATEMENT_TIMEOUT_MS = 10_000;
const LOCK_TIMEOUT_MS = 2_000;
/** The client's own deadline for a statement that reads, because a server that stalls does not enforce any. */
const READ_DEADLINE_MS = STATEMENT_TIMEOUT_MS + 2_000;
/** The same for a statement that a healthy server answers at once. */
const PROMPT_DEADLINE_MS = 5_000;

/**
 * A client that is lost with its host does not close its session. By default, a server keeps the session, and the lock
 * with it, for two hours. With these settings the server asks after 5 s of silence and gives up 10 s later. The last
 * setting keeps the server from ending a session that waits from tick to tick. They are set only when the session is
 * our own: behind a pooler, they would stay set for the next client of the session. `sudo npm run test:database` takes
 * the host away (test/database/lost-host.test.ts).
 */
const OWN_SESSION = `SELECT set_config(name, value, false)
  FROM (VALUES ('tcp_keepalives_idle', '5'), ('tcp_keepalives_interval', '5'), ('tcp_keepalives_count', '2'),
    ('tcp_user_timeout', '15000'), ('idle_session_timeout', '0')) AS wanted (name, value)
  WHERE current_setting(name, true) IS NOT NULL AND pg_backend_pid() = $1`;

/**
 * Limits are set inside the transaction, not at connect: behind pgbouncer in transaction mode, session settings are
 * refused or leak to other clients. These limits also override those that a URL, a role or a database sets.
 */
const LIMITS = `SET LOCAL statement_timeout = ${STATEMENT_TIMEOUT_MS};
  SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS};
  SET LOCAL idle_in_transaction_session_timeout = ${2 * STATEMENT_TIMEOUT_MS}`;

/**
 * Sequential scans are made too expensive, because every statement here has an index. All ways to use an index are
 * switched on, because a role or a database may have switched them off for other statements. A backend whose client is
 * gone ends within a moment instead of with its statement, so that there are never two. Before Postgres 14, and on
 * systems that cannot detect this, such a backend stays until its limits.
 *
 * Memoize is switched off (from Postgres 14). For a lateral join on a value, its key would be the value itself, which
 * Postgres would have to fetch and unpack as a whole to hash it.
 *
 * Rows that a policy hides cause an error; otherwise they would be missing from the counts without notice. A role may
 * also set how strings are read and floats are written, which would change the sizes.
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
  /** The number of the lock that `lead` takes; null: `lead` is never called. */
  readonly lock: number | null;
  /** The tables whose names may be repeated from a message of the server. */
  readonly tables: readonly string[];
}

/** Uses at most one connection for sampling and one for the lock. Opens no connection until the first call. */
export function openDatabase(settings: DatabaseSettings, { lock, tables }: DatabaseOptions): Database {
  let sampling: pg.Client | null = null;
  let leading: pg.Client | null = null;
  /** The backends of sessions that may hold the lock: of the one that held it last, and of those that got no answer. */
  const ours = new Set<string>();
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
      // As in libpq, a server without TLS gets a connection in the clear; any other failure stands.
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
    // The client emits 'error' when the server ends an idle session; without a listener, this would end the process.
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
      // Ending the session ends the transaction, whatever its state. This waits, so that there are never two sessions.
      sampling = null;
      await end(client);
      throw error;
    }
  }

  /** Whether this client still leads: if its session has ended, its 'error' listener has dropped it meanwhile. */
  const isLeading = (client: pg.Client) => leading === client;

  return {
    read(read, signal) {
      // On the same session, a second transaction would become part of the first.
      const mine = turn.then(() => readNow(read, signal));
      turn = mine.catch(() => undefined);
      return mine;
    },

    async lead(signal) {
      if (leading !== null) {
        const held = leading;
        try {
          await holdsLock(held, { lock: null, ours, signal });
        } catch (error) {
          leading = null;
          await end(held);
          throw error;
        }
        if (isLeading(held)) return true;
      }
      const client = await connect(signal);
      try {
        if (await holdsLock(client, { lock: lock ?? 0, ours, signal })) leading = client;
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

/** Whether this session has the lock: see {@link lockQuery} and {@link heldBy}. Keeps `ours` up to date. */
async function holdsLock(
  client: pg.Client,
  { lock, ours, signal }: { lock: number | null; ours: Set<string>; signal: AbortSignal },
): Promise<boolean> {
  const limit = { ms: PROMPT_DEADLINE_MS, signal, tables: [] };
  const [session] = await ask<{ backend: string }>(client, { text: OWN_BACKEND }, limit);
  const own = session?.backend ?? '';
  // If no answer comes, this session may have got the lock.
  ours.add(own);
  const text = `BEGIN READ ONLY; ${LIMITS}; ${lockQuery({ own: backendOf(client), lock })}; COMMIT`;
  const [answer] = await ask<LockAnswer>(client, { text }, limit);
  if (answer?.held !== true) ours.delete(own);
  const isHeld = heldBy(answer, ours);
  ours.clear();
  if (isHeld) ours.add(own);
  return isHeld;
}

/** The number of the backend, as the client was told. A pooler tells each client a number that the pooler invented. */
function backendOf(client: pg.Client): number {
  return (client as unknown as { processID: number | null }).processID ?? 0;
}

/** The server's messages when it ended a session between two statements; the next one learns only that it ended. */
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
    // Several statements in one text are allowed only when no values are given at all.
    const send = () => (values.length === 0 ? client.query(text) : client.query(text, [...values]));
    const answer: unknown = await within<unknown>(client, limit, send);
    // For several statements, the rows of all of them are joined.
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
 * Destroys the socket on abort or after the deadline. The server may notice this only when its statement ends, by its
 * own limits at the latest.
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

/** Closes the session, but waits at most a second for the answer. */
async function end(client: pg.Client): Promise<void> {
  const signal = new AbortController().signal;
  await runWithin({ ms: 1_000, signal }, () => client.end()).catch(() => undefined);
  destroy(client);
}

function destroy(client: pg.Client): void {
  const { connection } = client as unknown as { connection: { stream: { destroy(): void } } };
  connection.stream.destroy();
}

/** A statement with its parameters. Statements are values, so that tests can run EXPLAIN on every one of them. */
export interface Statement {
  readonly name: string;
  readonly text: string;
  readonly values: readonly unknown[];
}
