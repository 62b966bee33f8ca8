import { SHAPE_TABLES } from '../../src/airflow/shape.ts';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { databaseSettings, parseDatabaseUrl } from '../../src/postgres/database-url.ts';
import { openDatabase } from '../../src/postgres/client.ts';
import type { Database, Query } from '../../src/postgres/client.ts';
import { openWriter } from '../../src/postgres/writer.ts';
import { eventually, startAirflow, startDaemon, workerEnv } from '../support/daemon.ts';
import type { Daemon } from '../support/daemon.ts';
import { useOwnPostgres } from '../support/postgres.ts';
import { useS3 } from '../support/s3.ts';
import { startPgbouncer } from './servers.ts';

const postgres = useOwnPostgres();
const s3 = useS3('airflow-xcom');
const live = () => new AbortController().signal;

/** Airflow, and a pooler in front of its database. The pooler has one session for everybody unless told otherwise. */
async function setting(settings: Readonly<Record<string, string>> = {}) {
  const airflow = await startAirflow(postgres(), s3());
  const pooler = await startPgbouncer(postgres(), { default_pool_size: '1', ...settings });
  const name = new URL(airflow.url).pathname.slice(1);
  const closing: (() => Promise<void>)[] = [() => airflow.close(), async () => pooler[Symbol.asyncDispose]()];
  return {
    airflow,
    pooler,
    url: pooler.url(name),
    start: async (changes: Readonly<Record<string, string>> = {}) => {
      const daemon = await startDaemon({ ...workerEnv(airflow, s3(), { database: pooler }), ...changes });
      closing.push(() => daemon.close());
      return daemon;
    },
    open: (change: (url: URL) => void = () => undefined): Database => {
      const to = new URL(pooler.url(name));
      change(to);
      const database = openDatabase(databaseSettings(parseDatabaseUrl(to.href)), {
        lock: 1,
        tables: SHAPE_TABLES,
      });
      closing.push(() => database.close());
      return database;
    },
    [Symbol.asyncDispose]: async () => {
      for (const close of closing.reverse()) await close();
    },
  };
}

const ask =
  (text: string, values: readonly unknown[] = []) =>
  (query: Query) =>
    query<Record<string, unknown>>({ name: 'x', text, values });

async function reasonOf(attempt: Promise<unknown>): Promise<{ reason: unknown; text: string }> {
  const error: unknown = await attempt.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  return { reason: (error as { reason?: unknown } | null)?.reason ?? null, text: String(error) };
}

const counted = (daemon: Daemon) => daemon.value('rows_total', { dag_id: 'orders', storage: 'db' });

describe('through pgbouncer in transaction mode', () => {
  test('rows are counted once, with one session for Airflow and the exporter', async () => {
    await using world = await setting();
    const daemon = await world.start();
    await eventually(async () => {
      expect(await daemon.value('window_rows', { storage: 'db' })).toBe(0);
    });
    // A worker of Airflow, which uses the same session as the exporter.
    const worker = await openWriter({ url: world.url, connections: 1 });
    for (let i = 0; i < 10; i += 1) {
      await world.airflow.push(`value ${i}`);
      const [limits] = await worker.query(/* SQL */ `
        SELECT current_setting('statement_timeout') AS s, current_setting('lock_timeout') AS l,
          current_setting('enable_seqscan') AS q, current_setting('transaction_read_only') AS r,
          current_setting('client_connection_check_interval') AS c`);
      expect(limits).toEqual({ s: '0', l: '0', q: 'on', r: 'off', c: '0' });
      await worker.query('UPDATE dag_run SET updated_at = now()');
      await delay(300);
    }
    await worker.close();
    await eventually(async () => {
      expect(await counted(daemon)).toBe(10);
    });
    const sessions = await world.airflow.writer.query(/* SQL */ `
      SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND application_name <> 'airflow-xcom-exporter-writer'`);
    expect(sessions.length).toBeLessThanOrEqual(1);
    expect(
      await daemon.value('exporter_job_failures_total', { name: 'sample', reason: 'query_failed' }),
    ).toBe(0);
  });

  test('statements have parameters, and limits that hold', async () => {
    await using world = await setting();
    const database = world.open();
    const read = ask('SELECT $1::int + 1 AS sum, $2::text[] AS names', [41, ['a', 'b']]);
    for (let i = 0; i < 3; i += 1)
      expect(await database.read(read, live())).toEqual([{ sum: 42, names: ['a', 'b'] }]);
    const locker = await openWriter({ url: world.airflow.url, connections: 1 });
    await locker.query('BEGIN; LOCK TABLE xcom IN ACCESS EXCLUSIVE MODE');
    const limit = ask("SELECT current_setting('lock_timeout') AS lock");
    expect(await database.read(limit, live())).toEqual([{ lock: '2s' }]);
    expect((await reasonOf(database.read(ask('SELECT count(*) FROM xcom'), live()))).reason).toBe(
      'lock_timeout',
    );
    await locker.query('ROLLBACK');
    await locker.close();
    expect(await database.read(ask('SELECT count(*)::int AS n FROM xcom'), live())).toEqual([{ n: 0 }]);
  });

  test('options are refused, and it is said what to do; where the pooler ignores them they are no harm', async () => {
    await using world = await setting();
    const options = (url: URL) => {
      url.searchParams.set('options', '-c statement_timeout=0');
    };
    const refused = await reasonOf(world.open(options).read(ask('SELECT 1'), live()));
    expect(refused.reason).toBe('unreachable');
    expect(refused.text).toContain('give database.url without');
    expect(refused.text).toContain('ignore_startup_parameters');
    await using lenient = await setting({ ignore_startup_parameters: 'options' });
    const timeout = ask("SELECT current_setting('statement_timeout') AS s");
    expect(await lenient.open(options).read(timeout, live())).toEqual([{ s: '10s' }]);
  });

  test('a pool that is used up is a server that is out of reach, and comes back', async () => {
    await using world = await setting({ query_wait_timeout: '1' });
    const database = world.open();
    const hog = await openWriter({ url: world.url, connections: 1 });
    await hog.query('BEGIN; SELECT 1');
    const refused = await reasonOf(database.read(ask('SELECT 1'), live()));
    expect(refused.reason).toBe('unreachable');
    await hog.query('ROLLBACK');
    await hog.close();
    expect(await database.read(ask('SELECT 1 AS one'), live())).toEqual([{ one: 1 }]);
  });

  test('a client that breaks off leaves no statement behind', async () => {
    await using world = await setting();
    const database = world.open();
    const controller = new AbortController();
    // This statement runs on the server itself, and begins before the aborted one.
    const asLong = world.airflow.writer.query('SELECT pg_sleep(8)');
    const aborted = reasonOf(database.read(ask('SELECT pg_sleep(8)'), controller.signal));
    await delay(300);
    controller.abort();
    expect((await aborted).reason).toBe('aborted');
    // The pooler has one session. It is free again before a statement of the same length would have ended.
    expect(await Promise.race([database.read(ask('SELECT 1 AS one'), live()), asLong])).toEqual([{ one: 1 }]);
    await asLong;
  });

  test('its restart, and that of the server behind it, lose no count', async () => {
    await using world = await setting();
    const daemon = await world.start();
    await eventually(async () => {
      expect(await daemon.value('window_rows', { storage: 'db' })).toBe(0);
    });
    for (let round = 0; round < 3; round += 1) {
      await world.airflow.push(`before restart ${round}`);
      await world.pooler.restart();
      await world.airflow.push(`after restart ${round}`);
      await delay(700);
    }
    await world.airflow.writer.query(/* SQL */ `
      SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid()`);
    await eventually(async () => {
      expect(await counted(daemon)).toBe(6);
      expect(await daemon.value('exporter_up', { target: 'database' })).toBe(1);
    });
  });
});

describe('the lock of ha', () => {
  const locks = async (world: {
    readonly airflow: { readonly writer: { query(text: string): Promise<readonly unknown[]> } };
  }) =>
    (
      await world.airflow.writer.query(
        "SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE locktype = 'advisory' AND datname = current_database()",
      )
    ).length;

  test('would be had by two at once through a pooler, were it not refused', async () => {
    await using world = await setting();
    // Without the guard, the second client is given the session of the first.
    const pair = await Promise.all([1, 2].map(() => openWriter({ url: world.url, connections: 1 })));
    const held = [];
    for (const one of pair) held.push(...(await one.query('SELECT pg_try_advisory_lock(1) AS held')));
    expect(held).toEqual([{ held: true }, { held: true }]);
    await Promise.all(pair.map((one) => one.close()));
  });

  test.each(['transaction', 'session'])(
    'is refused through a pooler (%s mode), with a word on what to do',
    async (mode) => {
      await using world = await setting({ pool_mode: mode, default_pool_size: '4' });
      const daemons: Daemon[] = [];
      for (let i = 0; i < 2; i += 1) daemons.push(await world.start({ XCOM_EXPORTER_HA: 'lock' }));
      await world.airflow.push('nobody counts it');
      for (const daemon of daemons) {
        await eventually(async () => {
          expect(
            await daemon.value('exporter_job_failures_total', { name: 'sample', reason: 'pooled' }),
          ).toBeGreaterThan(1);
        });
        expect(await daemon.value('exporter_leader')).toBe(0);
        expect((await counted(daemon)) ?? 0).toBe(0);
        const warned = daemon.lines.filter((line) =>
          line.includes('give database.url the address of the server itself'),
        );
        expect(warned).toHaveLength(1);
        expect((await daemon.get('/')).text).toContain('a connection pooler is in between');
      }
      expect(await locks(world)).toBe(0);
    },
  );
});
