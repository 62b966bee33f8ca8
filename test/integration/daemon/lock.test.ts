import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { openWriter } from '../../../src/postgres/writer.ts';
import { eventually, startAirflow, startDaemon, workerEnv } from '../../support/daemon.ts';
import type { Daemon, SmallAirflow } from '../../support/daemon.ts';
import { usePostgres } from '../../support/postgres.ts';
import { useS3 } from '../../support/s3.ts';

const postgres = usePostgres();
const s3 = useS3('airflow-xcom');

/** How long the first lock is held at least, in seconds; `LOCK_SECONDS=600` for ten minutes. */
const HELD_SECONDS = Number(process.env['LOCK_SECONDS'] ?? 0);

async function start() {
  const airflow = await startAirflow(postgres(), s3());
  const daemon = await startDaemon(workerEnv(airflow, s3()));
  await eventually(async () => {
    expect(await daemon.value('window_rows', { storage: 'db' })).toBe(0);
  });
  return {
    airflow,
    daemon,
    [Symbol.asyncDispose]: async () => {
      await daemon.close();
      await airflow.close();
    },
  };
}

const connect = (airflow: SmallAirflow) => openWriter({ url: airflow.url, connections: 1 });

const lockTimeouts = (daemon: Daemon) =>
  daemon.value('exporter_job_failures_total', { name: 'sample', reason: 'lock_timeout' });

interface Watch {
  /** The most backends that the exporter had at the same time. */
  readonly backends: number;
  /** Whether one of its statements was seen waiting for a lock. */
  readonly waited: boolean;
  /** Sessions that were seen waiting for the exporter. */
  readonly blocked: ReadonlySet<number>;
}

/** Watches, in the server's own view, which session waits for which, until it is stopped. */
function watch(airflow: SmallAirflow): () => Promise<Watch> {
  const seen = { backends: 0, waited: false, blocked: new Set<number>() };
  const stopped = new AbortController();
  const watching = (async () => {
    while (!stopped.signal.aborted) {
      const rows = await airflow.writer.query<{
        ours: boolean;
        pid: number;
        waited: boolean;
        byUs: boolean;
      }>(/* SQL */ `
        WITH ours AS (SELECT pid FROM pg_stat_activity
          WHERE application_name = 'airflow-xcom-exporter' AND datname = current_database())
        SELECT a.pid, a.pid IN (SELECT pid FROM ours) AS ours,
          a.wait_event_type IS NOT DISTINCT FROM 'Lock' AS waited,
          pg_blocking_pids(a.pid) && ARRAY(SELECT pid FROM ours) AS "byUs"
        FROM pg_stat_activity a WHERE a.datname = current_database()`);
      const ours = rows.filter((row) => row.ours);
      seen.backends = Math.max(seen.backends, ours.length);
      seen.waited ||= ours.some(({ waited }) => waited);
      for (const { pid, byUs } of rows) if (byUs) seen.blocked.add(pid);
      await delay(30);
    }
    return seen;
  })();
  // A test that fails closes the session while this loop still uses it.
  watching.catch(() => undefined);
  return () => {
    stopped.abort();
    return watching;
  };
}

describe.concurrent('ACCESS EXCLUSIVE on xcom', () => {
  test(
    'holds up nobody but the cycle itself, and is over in the cycle after its release',
    async () => {
      await using world = await start();
      const { airflow, daemon } = world;
      const locker = await connect(airflow);
      await airflow.push('before');
      const stop = watch(airflow);
      await locker.query('BEGIN; LOCK TABLE xcom IN ACCESS EXCLUSIVE MODE');
      await delay(HELD_SECONDS * 1_000);
      await eventually(async () => {
        expect(await lockTimeouts(daemon)).toBeGreaterThanOrEqual(2);
      }, 40);
      const cyclesBefore = await daemon.value('exporter_job_runs_total', { name: 'sample' });
      await locker.query('ROLLBACK');
      // A cycle that was under way may still wait and fail; the one after it may not.
      await eventually(async () => {
        expect(await daemon.value('exporter_up', { target: 'database' })).toBe(1);
        expect(await daemon.value('window_rows', { storage: 'db' })).toBe(1);
      });
      const cycles = (await daemon.value('exporter_job_runs_total', { name: 'sample' })) ?? 0;
      expect(cycles - (cyclesBefore ?? 0)).toBeLessThanOrEqual(3);
      const seen = await stop();
      await locker.close();
      expect(seen.backends).toBe(1);
      expect(seen.waited).toBe(true);
      expect([...seen.blocked]).toEqual([]);
    },
    60_000 + HELD_SECONDS * 1_000,
  );

  test('that is asked for while a reader is in its way waits for that reader, and not for the exporter', async () => {
    await using world = await start();
    const { airflow, daemon } = world;
    const [reader, altering, other] = await Promise.all([1, 2, 3].map(() => connect(airflow)));
    if (reader === undefined || altering === undefined || other === undefined) throw new Error('no session');
    await reader.query('BEGIN; SELECT count(*) FROM xcom');
    const [self] = await altering.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    const altered = altering.query('ALTER TABLE xcom ADD COLUMN added int');
    await eventually(async () => {
      expect(await lockTimeouts(daemon)).toBeGreaterThanOrEqual(1);
    });
    // From here on no session of the exporter can hold the table.
    const stop = watch(airflow);
    // A second request for the lock, queued behind the exporter's, waits until the exporter has given up or has read.
    const locking = other.query('SELECT pg_sleep(0.5); BEGIN; LOCK TABLE xcom IN ACCESS EXCLUSIVE MODE');
    await delay(1_000);
    await reader.query('ROLLBACK');
    await altered;
    await locking;
    await other.query('ROLLBACK');
    const seen = await stop();
    await Promise.all([reader.close(), altering.close(), other.close()]);
    expect(seen.backends).toBe(1);
    expect(seen.blocked.has(self?.pid ?? 0)).toBe(false);
  });

  test('is had at once, however often, while the exporter samples', async () => {
    await using world = await start();
    const { airflow, daemon } = world;
    for (let i = 0; i < 20; i += 1) await airflow.push('x'.repeat(50));
    const locker = await connect(airflow);
    // The server refuses a lock that is not free within this time; a statement of the exporter may take ten seconds.
    await locker.query("SET lock_timeout = '5s'");
    for (let i = 0; i < 60; i += 1) {
      await locker.query('BEGIN; LOCK TABLE xcom IN ACCESS EXCLUSIVE MODE; COMMIT');
      await delay(50);
    }
    await locker.close();
    await eventually(async () => {
      expect(await daemon.value('window_rows', { storage: 'db' })).toBe(20);
    });
  });
});
