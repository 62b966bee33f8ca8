import { SHAPE_TABLES } from '../../src/airflow/shape.ts';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { databaseSettings, parseDatabaseUrl } from '../../src/postgres/database-url.ts';
import { openDatabase } from '../../src/postgres/client.ts';
import type { Query } from '../../src/postgres/client.ts';
import { openWriter } from '../../src/postgres/writer.ts';
import type { PostgresWriter } from '../../src/postgres/writer.ts';
import { startTcpFaultProxy } from '../support/tcp-fault-proxy.ts';
import { eventually, startAirflow, startDaemon, workerEnv } from '../support/daemon.ts';
import type { Daemon } from '../support/daemon.ts';
import { useS3 } from '../support/s3.ts';
import { startSystemPostgres } from './servers.ts';
import type { SystemPostgres } from './servers.ts';

const s3 = useS3('airflow-xcom');
const live = () => new AbortController().signal;

let primary: SystemPostgres;
beforeAll(async () => {
  primary = await startSystemPostgres();
});
afterAll(async () => {
  await primary.stop();
});

/** The URL of one database on another server. */
function on(server: { readonly host: string; readonly port: number }, url: string): string {
  const to = new URL(url);
  to.host = `${server.host}:${server.port}`;
  return to.href;
}

async function caughtUp(from: PostgresWriter, standby: SystemPostgres): Promise<void> {
  const [position] = await from.query<{ lsn: string }>('SELECT pg_current_wal_lsn()::text AS lsn');
  const to = await openWriter({ url: standby.url, connections: 1 });
  await eventually(async () => {
    const [row] = await to.query<{ there: boolean }>(
      'SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS there',
      [position?.lsn],
    );
    expect(row?.there).toBe(true);
  });
  await to.close();
}

const counted = async (daemon: Daemon) =>
  (await daemon.value('rows_total', { dag_id: 'orders', storage: 'db' })) ?? 0;
const failures = (daemon: Daemon, reason: string) =>
  daemon.value('exporter_job_failures_total', { name: 'sample', reason });

async function expectSampling(daemon: Daemon, seconds?: number): Promise<void> {
  await eventually(async () => {
    expect(await daemon.value('exporter_up', { target: 'database' })).toBe(1);
    expect(await daemon.value('window_rows', { storage: 'db' })).toBeDefined();
  }, seconds);
}

/**
 * Writes one row in a transaction of its own. The transaction gets its id at once, and commits when `end` settles.
 */
async function writeRow(url: string, { task, end }: { task: string; end: Promise<unknown> }): Promise<void> {
  const writer = await openWriter({ url, connections: 1 });
  await writer.query(/* SQL */ `BEGIN;
    INSERT INTO task_instance (id, task_id, dag_id, run_id, try_number, pool, pool_slots, queue, state)
    VALUES (gen_random_uuid(), '${task}', 'orders', 'manual__1', 1, 'default_pool', 1, 'default', 'success')`);
  await writer.query(
    /* SQL */ `INSERT INTO xcom (dag_run_id, dag_id, run_id, task_id, map_index, key, value, timestamp)
    SELECT id, dag_id, run_id, $1, -1, 'return_value', '"late"', clock_timestamp() FROM dag_run WHERE run_id = 'manual__1'`,
    [task],
  );
  await end;
  await writer.query('COMMIT');
  await writer.close();
}
const atOnce = Promise.resolve();

describe('a hot standby', () => {
  test('is sampled: late commits of the primary are counted once, and nothing is written', async () => {
    const airflow = await startAirflow(primary, s3());
    await using standby = await primary.standby();
    await caughtUp(airflow.writer, standby);
    const daemon = await startDaemon(workerEnv(airflow, s3(), { database: standby }));
    await expectSampling(daemon);
    const late: Promise<void>[] = [];
    // The transactions get their ids in the order in which they begin, but commit in another order.
    for (let i = 0; i < 40; i += 1) {
      late.push(writeRow(airflow.url, { task: `late_${i}`, end: delay((i * 977) % 4_000) }));
      if (i % 4 === 0) await airflow.push(`prompt ${i}`);
      await delay(60);
    }
    await Promise.all(late);
    await caughtUp(airflow.writer, standby);
    await eventually(async () => {
      expect(await counted(daemon)).toBe(50);
      expect(await daemon.value('window_rows', { storage: 'db' })).toBe(50);
    });
    await delay(2_000);
    expect(await counted(daemon)).toBe(50);
    for (const reason of ['query_failed', 'conflict', 'statement_timeout', 'denied'])
      expect(await failures(daemon, reason)).toBe(0);
    await daemon.close();
    await airflow.close();
  });

  test('has no lock of ha that another standby knows of, so it is refused with a word on what to do', async () => {
    const airflow = await startAirflow(primary, s3());
    await using standby = await primary.standby();
    await caughtUp(airflow.writer, standby);
    const env = { ...workerEnv(airflow, s3(), { database: standby }), XCOM_EXPORTER_HA: 'lock' };
    const daemon = await startDaemon(env);
    await eventually(async () => {
      expect(await failures(daemon, 'standby')).toBeGreaterThan(1);
    });
    expect(await daemon.value('exporter_leader')).toBe(0);
    const { verdict } = JSON.parse((await daemon.get('/api/v1/status')).text) as {
      verdict: { notes: string[] };
    };
    expect(verdict.notes.join(' ')).toContain('give database.url the address of the primary');
    await daemon.close();
    await airflow.close();
  });

  test('that cancels a reading for its recovery is in conflict, a state of its own, and read again', async () => {
    const airflow = await startAirflow(primary, s3());
    await airflow.push('before');
    await using standby = await primary.standby({ max_standby_streaming_delay: '0' });
    await caughtUp(airflow.writer, standby);
    const database = openDatabase(databaseSettings(parseDatabaseUrl(on(standby, airflow.url))), {
      lock: 1,
      tables: SHAPE_TABLES,
    });
    const read = (text: string) => (query: Query) => query({ name: 'x', text, values: [] });
    const count = 'SELECT count(*)::int AS n FROM xcom';
    const slow = 'SELECT count(*) FROM xcom, pg_sleep(5)';
    const conflicts: readonly (readonly [
      string,
      { reading: string; pauseMs: number; does: readonly string[] },
    ])[] = [
      // Rows that the reading may still see are removed.
      ['in a statement', { reading: slow, pauseMs: 0, does: ['UPDATE xcom SET key = key', 'VACUUM xcom'] }],
      ['by a lock', { reading: slow, pauseMs: 0, does: ['ALTER TABLE xcom ADD COLUMN added int'] }],
      ['between two', { reading: count, pauseMs: 3_000, does: ['ALTER TABLE xcom DROP COLUMN added'] }],
    ];
    for (const [name, { reading, pauseMs, does }] of conflicts) {
      const reason = database
        .read(async (query) => {
          await read(reading)(query);
          await delay(pauseMs);
          await read(count)(query);
          return 'nothing';
        }, live())
        .catch((error: unknown) => (error as { reason?: unknown }).reason);
      await delay(500);
      for (const text of does) await airflow.writer.query(text);
      expect(await reason, name).toBe('conflict');
      expect(await database.read(read(count), live()), name).toEqual([{ n: 1 }]);
    }
    await database.close();
    await airflow.close();
  });

  test('whose recovery cancels the cycles of the exporter time and again costs no count', async () => {
    const airflow = await startAirflow(primary, s3());
    await using standby = await primary.standby({ max_standby_streaming_delay: '0' });
    await caughtUp(airflow.writer, standby);
    const daemon = await startDaemon(workerEnv(airflow, s3(), { database: standby }));
    await expectSampling(daemon);
    const until = performance.now() + 6_000;
    let pushed = 0;
    while (performance.now() < until) {
      if (pushed < 40) {
        await airflow.push(`value ${pushed}`);
        pushed += 1;
      }
      await airflow.writer.query('BEGIN; LOCK TABLE xcom IN ACCESS EXCLUSIVE MODE; COMMIT');
      await delay(20);
    }
    await eventually(async () => {
      expect(await counted(daemon)).toBe(pushed);
      expect(await daemon.value('exporter_up', { target: 'database' })).toBe(1);
    });
    await daemon.close();
    await airflow.close();
  });

  test('behind a lock of the primary ends its cycle in time, and goes on after it', async () => {
    const airflow = await startAirflow(primary, s3());
    await using standby = await primary.standby();
    await caughtUp(airflow.writer, standby);
    const daemon = await startDaemon(workerEnv(airflow, s3(), { database: standby }));
    await expectSampling(daemon);
    const locker = await openWriter({ url: airflow.url, connections: 1 });
    await locker.query('BEGIN; LOCK TABLE xcom IN ACCESS EXCLUSIVE MODE; SELECT pg_current_wal_insert_lsn()');
    await airflow.writer.query('UPDATE dag_run SET updated_at = now()');
    await eventually(async () => {
      expect(await failures(daemon, 'lock_timeout')).toBeGreaterThanOrEqual(2);
    });
    await locker.query('ROLLBACK');
    await locker.close();
    await airflow.push('after');
    await eventually(async () => {
      expect(await counted(daemon)).toBe(1);
    }, 6);
    await daemon.close();
    await airflow.close();
  });
});

describe('a failover', () => {
  test('to the standby that is sampled: the counts go on', async () => {
    await using old = await startSystemPostgres();
    const airflow = await startAirflow(old, s3());
    await using standby = await old.standby();
    await caughtUp(airflow.writer, standby);
    const daemon = await startDaemon(workerEnv(airflow, s3(), { database: standby }));
    await expectSampling(daemon);
    const lost = writeRow(airflow.url, { task: 'never_committed', end: delay(15_000) }).catch(() => 'lost');
    for (let i = 0; i < 10; i += 1) await airflow.push(`before ${i}`);
    await caughtUp(airflow.writer, standby);
    await airflow.close();
    await old.kill();
    await standby.promote();
    const writer = on(standby, airflow.url);
    for (let i = 0; i < 10; i += 1) await writeRow(writer, { task: `after_${i}`, end: atOnce });
    await eventually(async () => {
      expect(await counted(daemon)).toBe(20);
      expect(await daemon.value('window_rows', { storage: 'db' })).toBe(20);
    });
    expect(await failures(daemon, 'query_failed')).toBe(0);
    expect(await lost).toBe('lost');
    await daemon.close();
  });

  test.each([15])(
    'that loses ten rows: the %i that are written then are counted all the same',
    async (rows) => {
      await using old = await startSystemPostgres();
      const airflow = await startAirflow(old, s3());
      await using standby = await old.standby();
      await caughtUp(airflow.writer, standby);
      const upstream = { host: old.host, port: old.port };
      const wire = await startTcpFaultProxy({ upstream });
      const daemon = await startDaemon(workerEnv(airflow, s3(), { database: wire }));
      await expectSampling(daemon);
      // The standby is cut off. The primary goes on for a while, and is then lost with everything that it wrote.
      await standby.kill();
      for (let i = 0; i < 10; i += 1) await airflow.push(`lost ${i}`);
      await eventually(async () => {
        expect(await counted(daemon)).toBe(10);
      });
      await delay(1_500);
      await airflow.close();
      await wire.setMode('cut');
      await old.kill();
      await standby.start();
      await standby.promote();
      const writer = on(standby, airflow.url);
      for (let i = 0; i < rows; i += 1) await writeRow(writer, { task: `after_${i}`, end: atOnce });
      // More transactions than were lost: their ids are given out a second time.
      const burning = await openWriter({ url: writer, connections: 1 });
      for (let i = 0; i < 200; i += 1) await burning.query('SELECT pg_current_xact_id()');
      await burning.close();
      Object.assign(upstream, { port: standby.port });
      await wire.setMode('pass');
      await eventually(async () => {
        expect(await daemon.value('window_rows', { storage: 'db' })).toBe(rows);
        expect(await counted(daemon)).toBe(10 + rows);
      });
      await daemon.close();
      await wire.stop();
    },
  );
});
