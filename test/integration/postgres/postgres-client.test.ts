import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SHAPE_TABLES } from '../../../src/airflow/shape.ts';
import { openDatabase } from '../../../src/postgres/client.ts';
import type { Database, Query } from '../../../src/postgres/client.ts';
import { databaseSettings, parseDatabaseUrl } from '../../../src/postgres/database-url.ts';
import type { LockAnswer } from '../../../src/postgres/leader-lock.ts';
import { heldBy, lockQuery } from '../../../src/postgres/leader-lock.ts';
import { openWriter } from '../../../src/postgres/writer.ts';
import type { PostgresWriter } from '../../../src/postgres/writer.ts';
import { eventually } from '../../support/daemon.ts';
import { createDatabase } from '../../support/database.ts';
import { useOwnPostgres } from '../../support/postgres.ts';
import { startTcpFaultProxy } from '../../support/tcp-fault-proxy.ts';
import type { TcpFaultProxy } from '../../support/tcp-fault-proxy.ts';

const postgres = useOwnPostgres();
const live = () => new AbortController().signal;

let proxy: TcpFaultProxy;
let writer: PostgresWriter;
let url: URL;
const open: Database[] = [];

beforeEach(async () => {
  url = new URL(await createDatabase(postgres()));
  writer = await openWriter({ url: url.href, connections: 2 });
  await writer.query('CREATE TABLE secrets (name text PRIMARY KEY, value text)');
  await writer.query("INSERT INTO secrets VALUES ('one', 'planted-value')");
  proxy = await startTcpFaultProxy({ upstream: postgres() });
  url.host = `${proxy.host}:${proxy.port}`;
});
afterEach(async () => {
  await proxy.setMode('pass');
  await Promise.all(open.splice(0).map((database) => database.close()));
  await proxy.stop();
  await writer.close();
});

function connectTo(change: (url: URL) => void = () => undefined): Database {
  const to = new URL(url);
  to.searchParams.set('sslmode', 'disable');
  change(to);
  const database = openDatabase(databaseSettings(parseDatabaseUrl(to.href)), {
    lock: 1,
    tables: SHAPE_TABLES,
  });
  open.push(database);
  return database;
}

const one = (query: Query) => query<{ one: number }>({ name: 'one', text: 'SELECT 1 AS one', values: [] });
const run = (text: string) => (query: Query) =>
  query<Record<string, unknown>>({ name: 'x', text, values: [] });

async function backends(): Promise<number> {
  const [row] = await writer.query<{ n: number }>(
    `SELECT count(*)::int AS n FROM pg_stat_activity
     WHERE application_name = 'airflow-xcom-exporter' AND datname = current_database()`,
  );
  return row?.n ?? -1;
}

/** The server takes some time to end a session after the client has closed it. */
async function expectBackends(count: number): Promise<void> {
  await eventually(async () => {
    expect(await backends()).toBe(count);
  });
}

async function failure(attempt: Promise<unknown>): Promise<{ reason: unknown; text: string }> {
  const error: unknown = await attempt.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  const { reason = null } = (error ?? {}) as { reason?: unknown };
  return { reason, text: String(error) };
}

describe('a transaction', () => {
  test('cannot write, does not wait for long, and sees one instant', async () => {
    const database = connectTo();
    const write = await failure(database.read(run("INSERT INTO secrets VALUES ('two', '')"), live()));
    expect(write).toMatchObject({ reason: 'query_failed', text: expect.stringContaining('25006') as string });

    await database.read(async (query) => {
      const settings = await query<{ name: string; setting: string }>({
        name: 'settings',
        text: `SELECT name, setting FROM pg_settings WHERE name = ANY($1)`,
        values: [['statement_timeout', 'lock_timeout', 'transaction_isolation', 'enable_seqscan']],
      });
      expect(Object.fromEntries(settings.map(({ name, setting }) => [name, setting]))).toEqual({
        statement_timeout: '10000',
        lock_timeout: '2000',
        transaction_isolation: 'repeatable read',
        enable_seqscan: 'off',
      });
      await writer.query("INSERT INTO secrets VALUES ('later', '')");
      expect(await run('SELECT name FROM secrets')(query)).toEqual([{ name: 'one' }]);
    }, live());
    expect(await database.read(run('SELECT name FROM secrets ORDER BY 1'), live())).toHaveLength(2);
    // A pooler hands sessions on: a setting that stayed would reach another program.
    expect(
      await database.read(
        run("SELECT setting FROM pg_settings WHERE name = 'statement_timeout' AND source = 'session'"),
        live(),
      ),
    ).toHaveLength(1);
    await expectBackends(1);
  });

  test('is alone on its session: reads at the same time wait for one another', async () => {
    const database = connectTo();
    const xid = 'SELECT pg_backend_pid() AS pid, now()::text AS began';
    const slow = database.read(async (query) => {
      const before = await run(xid)(query);
      await run('SELECT pg_sleep(0.3)')(query);
      return [...before, ...(await run(xid)(query))];
    }, live());
    const quick = database.read(run(xid), live());
    const [[first, again], [other]] = await Promise.all([slow, quick]);
    expect(again).toEqual(first);
    expect(other?.['pid']).toBe(first?.['pid']);
    expect(other?.['began']).not.toBe(first?.['began']);
    await expectBackends(1);
  });

  test('that fails takes none of its neighbours with it', async () => {
    const database = connectTo();
    const answers = await Promise.allSettled([
      database.read(run('SELECT 1/0'), live()),
      database.read(one, live()),
      database.read(run('SELECT nothing'), live()),
      database.read(one, live()),
    ]);
    expect(answers.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'rejected', 'fulfilled']);
    await expectBackends(1);
  });

  test('that breaks off by a mistake of ours is told as such, and leaves no transaction open', async () => {
    const database = connectTo();
    const mistake = new TypeError('a mistake');
    await expect(database.read(() => Promise.reject(mistake), live())).rejects.toBe(mistake);
    expect(await database.read(one, live())).toEqual([{ one: 1 }]);
    await expectBackends(1);
  });
});

describe('the limits', () => {
  const LIMITS = {
    statement_timeout: '10000',
    lock_timeout: '2000',
    idle_in_transaction_session_timeout: '20000',
    transaction_read_only: 'on',
  };
  const off = ['statement_timeout=0', 'lock_timeout=0', 'idle_in_transaction_session_timeout=0'];
  const writing = ['default_transaction_read_only=off', 'transaction_read_only=off'];

  test.each<[string, (to: URL) => void]>([
    ['nothing', () => undefined],
    [
      'the parameters of a URL',
      (to) => {
        for (const setting of off) to.searchParams.set(...(setting.split('=') as [string, string]));
      },
    ],
    [
      'the options of a URL',
      (to) => {
        to.searchParams.set('options', [...off, ...writing].map((setting) => `-c ${setting}`).join(' '));
      },
    ],
    [
      'the settings of a role',
      (to) => {
        to.username = to.password = 'unlimited';
      },
    ],
  ])('are not switched off by %s', async (_, change) => {
    await writer.query(
      "DROP ROLE IF EXISTS unlimited; CREATE ROLE unlimited SUPERUSER LOGIN PASSWORD 'unlimited'",
    );
    for (const setting of [...off, 'default_transaction_read_only=off'])
      await writer.query(`ALTER ROLE unlimited SET ${setting}`);
    const database = connectTo(change);
    const names = Object.keys(LIMITS);
    const text = 'SELECT name, setting FROM pg_settings WHERE name = ANY($1)';
    const read = (query: Query) =>
      query<{ name: string; setting: string }>({ name: 'limits', text, values: [names] });
    const inForce = async () => {
      const rows = await database.read(read, live());
      return Object.fromEntries(rows.map(({ name, setting }) => [name, setting]));
    };
    expect(await inForce()).toEqual(LIMITS);
    expect(await inForce()).toEqual(LIMITS);
    const write = await failure(database.read(run("INSERT INTO secrets VALUES ('two', '')"), live()));
    expect(write.text).toContain('25006');
  });

  test('end a statement that runs for long, and the backend of a client that is gone', async () => {
    const database = connectTo();
    let hasEnded = false;
    const began = failure(database.read(run('SELECT pg_sleep(30)'), live())).finally(() => {
      hasEnded = true;
    });
    const other = connectTo();
    const controller = new AbortController();
    const gone = failure(other.read(run('SELECT pg_sleep(30)'), controller.signal));
    await expectBackends(2);
    controller.abort();
    await gone;
    await expectBackends(1);
    // The backend did not end by its own limit: the statement beside it, which is as old, still runs.
    expect(hasEnded).toBe(false);
    const { reason, text } = await began;
    expect(reason).toBe('statement_timeout');
    expect(text).toContain('57014');
    await expectBackends(0);
  });
});

describe('the sessions of one exporter', () => {
  /** Watches how many sessions there are at once. */
  function watchSessions() {
    const stopped = new AbortController();
    const seen = { most: 0 };
    const watching = (async () => {
      while (!stopped.signal.aborted) {
        seen.most = Math.max(seen.most, await backends());
        await delay(10);
      }
      return seen;
    })();
    watching.catch(() => undefined);
    return () => {
      stopped.abort();
      return watching;
    };
  }
  /** Ends a statement of the exporter, once it runs. */
  const kill = (call: 'pg_terminate_backend' | 'pg_cancel_backend') =>
    eventually(async () => {
      const killed = await writer.query(`SELECT ${call}(pid) FROM pg_stat_activity
        WHERE application_name = 'airflow-xcom-exporter' AND datname = current_database()
          AND state = 'active' AND query LIKE '%pg_sleep%'`);
      expect(killed).toHaveLength(1);
    });

  test('are one, and with the lock two, whatever befalls them', async () => {
    const database = connectTo();
    const stop = watchSessions();
    for (let round = 0; round < 3; round += 1) {
      await database.lead(live()).catch(() => false);
      await database.read(one, live());
      await failure(database.read(run('SELECT nothing'), live()));
      const cancelled = failure(database.read(run('SELECT pg_sleep(3)'), live()));
      await kill('pg_cancel_backend');
      expect((await cancelled).reason).toBe('statement_timeout');
      const terminated = failure(database.read(run('SELECT pg_sleep(3)'), live()));
      await kill('pg_terminate_backend');
      expect((await terminated).reason).toBe('shutdown');
      await proxy.setMode('cut');
      await failure(database.read(one, live()));
      await failure(database.lead(live()));
      await proxy.setMode('pass');
      await Promise.all([1, 2, 3].map(() => failure(database.read(one, live()))));
    }
    const { most } = await stop();
    expect(most).toBeLessThanOrEqual(2);
    await expectBackends(1);
    expect(await database.lead(live())).toBe(true);
    await expectBackends(2);
  });

  test('overlap for no longer than the server takes to notice that a client is gone', async () => {
    const database = connectTo();
    const stop = watchSessions();
    for (let round = 0; round < 3; round += 1) {
      const controller = new AbortController();
      const aborted = failure(database.read(run('SELECT pg_sleep(30)'), controller.signal));
      await delay(100);
      controller.abort();
      expect((await aborted).reason).toBe('aborted');
      await database.read(one, live());
      // Without help, the server would let the other statement sleep on until its limit of ten seconds.
      await eventually(async () => {
        expect(await backends()).toBe(1);
      }, 5);
    }
    const { most } = await stop();
    expect(most).toBeLessThanOrEqual(2);
    await expectBackends(1);
  });
});

describe('a server', () => {
  test('that refuses is unreachable, at once, and back when it is back', async () => {
    const database = connectTo();
    await proxy.setMode('refuse');
    const refused = await failure(database.read(one, live()));
    expect(refused).toMatchObject({
      reason: 'unreachable',
      text: `DatabaseError: Cannot reach the database at ${proxy.host}, port ${proxy.port}: nothing listens there (ECONNREFUSED)`,
    });
    await proxy.setMode('pass');
    expect(await database.read(one, live())).toEqual([{ one: 1 }]);
  });

  test.each([
    ['before it was connected', 1],
    ['while it was idle', 2],
    ['in the middle of a transaction', 3],
  ])('that stalls %s is given up in time', async (_, when) => {
    const database = connectTo();
    if (when > 1) await database.read(one, live());
    if (when < 3) await proxy.setMode('stall');
    const stalled = await failure(
      database.read(async (query) => {
        await proxy.setMode('stall');
        return one(query);
      }, live()),
    );
    expect(stalled.reason).toBe('unreachable');
    await proxy.setMode('pass');
    expect(await database.read(one, live())).toEqual([{ one: 1 }]);
  });

  test('that is cut off in the middle of its answer', async () => {
    const database = connectTo();
    const rows = database.read(
      run("SELECT repeat('x', 1000) AS x, pg_sleep(0.001) FROM generate_series(1, 3000)"),
      live(),
    );
    const cut = failure(rows);
    await delay(300);
    await proxy.setMode('cut');
    expect(await cut).toMatchObject({ reason: 'unreachable' });
    await proxy.setMode('pass');
    expect(await database.read(one, live())).toEqual([{ one: 1 }]);
  });

  test('that restarts ends an idle session, and not the process', async () => {
    const database = connectTo();
    await database.read(one, live());
    await writer.close();
    await postgres().restart();
    writer = await openWriter({ url: new URL(url.pathname, postgres().url).href, connections: 1 });
    await delay(100);
    expect(await database.read(one, live())).toEqual([{ one: 1 }]);
  });

  test('that shuts down in the middle of a statement', async () => {
    const database = connectTo();
    await database.read(one, live());
    const killed = failure(database.read(run('SELECT pg_sleep(5)'), live()));
    await delay(200);
    await writer.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE application_name = 'airflow-xcom-exporter' AND datname = current_database()`,
    );
    expect(await killed).toMatchObject({
      reason: 'shutdown',
      text: expect.stringContaining('57P01') as string,
    });
    expect(await database.read(one, live())).toEqual([{ one: 1 }]);
  });
});

describe('a refusal', () => {
  test('of TLS and of a host name is told from a server that is away', async () => {
    const plain = connectTo((to) => {
      to.searchParams.set('sslmode', 'require');
    });
    expect((await failure(plain.read(one, live()))).text).toContain('offers no TLS, which sslmode asks for');
    const nowhere = connectTo((to) => {
      to.hostname = 'database.invalid';
    });
    expect((await failure(nowhere.read(one, live()))).text).toMatch(
      /at database\.invalid, port \d+: .*name.* \((?:ENOTFOUND|EAI_AGAIN)\)$/,
    );
  });

  test('of the password names the role, and neither the password nor the server’s words', async () => {
    const database = connectTo((to) => {
      to.password = 'planted-password';
    });
    const denied = await failure(database.read(one, live()));
    expect(denied).toMatchObject({ reason: 'denied', text: expect.stringContaining('28P01') as string });
    expect(denied.text).not.toContain('planted');
  });

  test('of a connection names whose limit is reached', async () => {
    await writer.query("DROP ROLE IF EXISTS many; CREATE ROLE many LOGIN PASSWORD 'many' CONNECTION LIMIT 1");
    const asMany = (to: URL) => {
      to.username = to.password = 'many';
    };
    const first = connectTo(asMany);
    await first.read(one, live());
    const refused = () => failure(connectTo(asMany).read(one, live()));
    expect(await refused()).toMatchObject({
      reason: 'unreachable',
      text: expect.stringMatching(
        /: the role has no connection left: .* ALTER ROLE, .* \(53300\)$/,
      ) as string,
    });

    const name = url.pathname.slice(1);
    await writer.query(`ALTER ROLE many CONNECTION LIMIT -1; ALTER DATABASE "${name}" CONNECTION LIMIT 1`);
    expect((await refused()).text).toMatch(
      /: the database has no connection left: .* ALTER DATABASE \(53300\)$/,
    );
    await writer.query(`ALTER DATABASE "${name}" CONNECTION LIMIT -1`);

    const [limit] = await writer.query<{ most: number }>(
      `SELECT current_setting('max_connections')::int AS most`,
    );
    const others = await Promise.all(
      Array.from({ length: limit?.most ?? 0 }, () =>
        openWriter({ url: url.href.replace(/\/\/[^@]*@/, '//many:many@'), connections: 1 }).catch(() => null),
      ),
    );
    expect((await refused()).text).toMatch(/: the server has no connection left .*\(53300\)$/);
    for (const other of others) await other?.close();
  });

  test('of a table', async () => {
    await writer.query("DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN PASSWORD 'reader'");
    const database = connectTo((to) => {
      to.username = to.password = 'reader';
    });
    const denied = await failure(database.read(run('SELECT value FROM secrets'), live()));
    expect(denied).toMatchObject({ reason: 'denied', text: expect.stringContaining('42501') as string });
    await expectBackends(0);
    await writer.query('GRANT SELECT ON secrets TO reader');
    expect(await database.read(run('SELECT name FROM secrets'), live())).toHaveLength(1);
  });

  test('of the rows of a table: what a policy hides is not taken for nothing', async () => {
    await writer.query(
      'CREATE TABLE dag_run (id int); INSERT INTO dag_run VALUES (1); ALTER TABLE dag_run ENABLE ROW LEVEL SECURITY',
    );
    await writer.query("DROP ROLE IF EXISTS hidden; CREATE ROLE hidden LOGIN PASSWORD 'hidden'");
    await writer.query('GRANT SELECT ON dag_run TO hidden');
    const database = connectTo((to) => {
      to.username = to.password = 'hidden';
    });
    const denied = await failure(database.read(run('SELECT count(*) FROM dag_run'), live()));
    expect(denied).toMatchObject({
      reason: 'denied',
      text: expect.stringMatching(
        /: row-level security may hide rows of dag_run from the role; .*BYPASSRLS/,
      ) as string,
    });
  });

  test('does not come of how a role lets strings be read and floats be written', async () => {
    await writer.query("DROP ROLE IF EXISTS odd; CREATE ROLE odd LOGIN PASSWORD 'odd'");
    await writer.query(
      'ALTER ROLE odd SET standard_conforming_strings = off; ALTER ROLE odd SET extra_float_digits = -15',
    );
    const database = connectTo((to) => {
      to.username = to.password = 'odd';
    });
    const rows = await database.read(run(`SELECT 1234567890123.4::float8 AS f, '\\d' AS s`), live());
    expect(rows).toEqual([{ f: 1234567890123.4, s: '\\d' }]);
  });

  test('never quotes a row', async () => {
    const database = connectTo();
    const failed = await failure(database.read(run('SELECT value::int FROM secrets'), live()));
    expect(failed).toMatchObject({
      reason: 'query_failed',
      text: expect.stringContaining('22P02') as string,
    });
    expect(failed.text).not.toContain('planted');
  });

  test('by a lock ends in time, with one session and no more', async () => {
    const database = connectTo();
    const locker = await openWriter({ url: new URL(url.pathname, postgres().url).href, connections: 1 });
    try {
      await locker.query('BEGIN; LOCK TABLE secrets IN ACCESS EXCLUSIVE MODE');
      const locked = await failure(database.read(run('SELECT name FROM secrets'), live()));
      expect(locked.reason).toBe('lock_timeout');
      await expectBackends(0);
    } finally {
      await locker.query('ROLLBACK');
      await locker.close();
    }
  });
});

describe('an abort', () => {
  test(
    'ends a statement whatever the server does, and does not wait for its end',
    { timeout: 20_000 },
    async () => {
      const database = connectTo();
      for (const stalls of [false, true]) {
        await database.read(one, live());
        const controller = new AbortController();
        const aborted = failure(database.read(run('SELECT pg_sleep(30)'), controller.signal));
        await delay(100);
        if (stalls) await proxy.setMode('stall');
        controller.abort();
        expect((await aborted).reason).toBe('aborted');
      }
      expect(await failure(database.read(one, AbortSignal.abort()))).toMatchObject({ reason: 'aborted' });
      await proxy.setMode('pass');
      expect(await database.read(one, live())).toEqual([{ one: 1 }]);
    },
  );

  test(
    'leaves no socket behind, and neither does close, which waits for no answer',
    { timeout: 20_000 },
    async () => {
      const database = connectTo();
      const controller = new AbortController();
      await proxy.setMode('stall');
      const aborted = failure(database.read(one, controller.signal));
      await eventually(() => {
        expect(proxy.connections()).toBe(1);
      });
      controller.abort();
      await aborted;
      await proxy.setMode('pass');
      await database.read(one, live());
      await proxy.setMode('stall');
      await database.close();
      // A stalled wire does not pass on the end of a connection either.
      await proxy.setMode('pass');
      await eventually(() => {
        expect(proxy.connections()).toBe(0);
      }, 2);
    },
  );
});

describe('the lock of the leader', () => {
  test('is held by one, and free when that one ends or loses its session', async () => {
    const [first, second] = [connectTo(), connectTo()];
    expect(await first.lead(live())).toBe(true);
    expect(await second.lead(live())).toBe(false);
    expect(await first.lead(live())).toBe(true);
    await expectBackends(1);
    await first.close();
    await eventually(async () => {
      expect(await second.lead(live())).toBe(true);
    });
    await writer.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE application_name = 'airflow-xcom-exporter' AND datname = current_database()`,
    );
    const third = connectTo();
    await eventually(async () => {
      expect(await third.lead(live())).toBe(true);
    });
    expect(await second.lead(live())).toBe(false);
  });

  test('is held by no other exporter while the server keeps a session of this one that is lost', async () => {
    const [database, other] = [connectTo(), connectTo()];
    expect(await database.lead(live())).toBe(true);
    const endAtServer = proxy.lose();
    await eventually(async () => {
      expect(await failure(database.lead(live()))).toMatchObject({ reason: 'lost_session' });
    });
    expect(await other.lead(live())).toBe(false);
    endAtServer();
    await eventually(async () => {
      expect(await database.lead(live())).toBe(true);
    });
    expect(await other.lead(live())).toBe(false);
  });

  test('tells a lost session from a backend that got the same number after a restart of the server', async () => {
    expect(await connectTo().lead(live())).toBe(true);
    const [answer] = await connectTo().read(async (query) => {
      const [me] = await query<{ own: number }>({
        name: 'x',
        text: 'SELECT pg_backend_pid() AS own',
        values: [],
      });
      return query<LockAnswer>({ name: 'x', text: lockQuery({ own: me?.own ?? 0, lock: 1 }), values: [] });
    }, live());
    const [holder] = await writer.query<{ pid: number; start: string }>(
      `SELECT pid, extract(epoch FROM backend_start)::text AS start FROM pg_stat_activity
       WHERE application_name = 'airflow-xcom-exporter' AND datname = current_database()
         AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')`,
    );
    expect(answer).toMatchObject({ held: false, holder: `${holder?.pid} since ${holder?.start}` });
    const heldWith = (start: string) => heldBy(answer, new Set([`${holder?.pid} since ${start}`]));
    expect(heldWith('1700000000.000001')).toBe(false);
    expect(() => heldWith(holder?.start ?? '')).toThrow(/session/);
  });

  test('is not believed when the server does not answer', async () => {
    const database = connectTo();
    expect(await database.lead(live())).toBe(true);
    await proxy.setMode('stall');
    const stalled = await failure(database.lead(live()));
    expect(stalled.reason).toBe('unreachable');
    await proxy.setMode('cut');
    expect(await failure(database.lead(live()))).toMatchObject({ reason: 'unreachable' });
    await eventually(() => {
      expect(proxy.connections()).toBe(0);
    }, 2);
  });
});
