import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { openWriter } from '../../../src/postgres/writer.ts';
import { backendsOf, eventually, startAirflow, startDaemon, workerEnv } from '../../support/daemon.ts';
import type { Daemon, SmallAirflow } from '../../support/daemon.ts';
import { usePostgres } from '../../support/postgres.ts';
import { useS3 } from '../../support/s3.ts';
import { startTcpFaultProxy } from '../../support/tcp-fault-proxy.ts';
import type { TcpFaultProxy } from '../../support/tcp-fault-proxy.ts';

const postgres = usePostgres();
const s3 = useS3('airflow-xcom');

interface World extends AsyncDisposable {
  readonly airflow: SmallAirflow;
  /** Starts a daemon that has a wire of its own to the database. */
  readonly start: (
    changes?: Readonly<Record<string, string>>,
  ) => Promise<{ daemon: Daemon; wire: TcpFaultProxy }>;
}

async function setting(): Promise<World> {
  const airflow = await startAirflow(postgres(), s3());
  const closing: (() => Promise<void>)[] = [() => airflow.close()];
  return {
    airflow,
    start: async (changes = {}) => {
      const wire = await startTcpFaultProxy({ upstream: postgres() });
      closing.push(() => wire.stop());
      const daemon = await startDaemon({ ...workerEnv(airflow, s3(), { database: wire }), ...changes });
      closing.push(() => daemon.close());
      return { daemon, wire };
    },
    [Symbol.asyncDispose]: async () => {
      for (const close of closing.reverse()) await close();
    },
  };
}

const countOf = async (daemon: Daemon, name: string, labels: Readonly<Record<string, string>> = {}) =>
  (await daemon.value(`exporter_job_${name}_total`, { name: 'sample', ...labels })) ?? 0;
const rows = (daemon: Daemon) => daemon.value('rows_total', { dag_id: 'orders', storage: 'db' });

interface LogLine {
  readonly msg: string;
  readonly level: string;
  readonly ticks?: number;
  readonly role?: string;
}
const logOf = ({ lines }: Daemon) => lines.map((line) => JSON.parse(line) as LogLine);
const ticksOf = (daemon: Daemon) =>
  logOf(daemon)
    .map(({ ticks }) => ticks)
    .filter((ticks) => ticks !== undefined);
const rolesOf = (daemon: Daemon) =>
  logOf(daemon)
    .map(({ role }) => role)
    .filter((role) => role !== undefined);

/** Ticks that the breaker left out: all skipped ticks, except those that found the last run still going. */
async function leftOut(daemon: Daemon): Promise<number> {
  const skips = await countOf(daemon, 'skips');
  return skips - daemon.lines.filter((line) => /"job":"sample".*still going/.test(line)).length;
}

describe.concurrent('statements that take too long', () => {
  test('are tried ever more rarely, then at every tick again; it is said, and no count is lost', async () => {
    await using world = await setting();
    const { airflow } = world;
    const { daemon } = await world.start();
    await eventually(async () => {
      expect(await daemon.value('window_rows', { storage: 'db' })).toBe(0);
    });
    // The server's limit cancels a statement after ten seconds. The test does so at once, with the same error, 57014.
    const locker = await openWriter({ url: airflow.url, connections: 1 });
    const cancelling = new AbortController();
    await locker.query('BEGIN; LOCK TABLE xcom IN ACCESS EXCLUSIVE MODE');
    const canceller = (async () => {
      while (!cancelling.signal.aborted) {
        await airflow.writer.query(/* SQL */ `
          SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE datname = current_database()
            AND application_name = 'airflow-xcom-exporter' AND wait_event_type = 'Lock'`);
        await delay(30);
      }
    })();
    canceller.catch(() => undefined);
    await eventually(() => {
      expect(ticksOf(daemon)).toEqual([1, 2]);
    }, 40);
    expect(await countOf(daemon, 'failures', { reason: 'statement_timeout' })).toBe(2);
    expect(await daemon.value('exporter_up', { target: 'database' })).toBe(0);
    // The figure is older than three intervals: while the breaker leaves cycles out, the window is not known.
    await eventually(async () => {
      expect(await daemon.value('window_rows', { storage: 'db' })).toBeUndefined();
    }, 10);
    cancelling.abort();
    await canceller;
    await locker.query('ROLLBACK');
    await locker.close();
    await airflow.push('meanwhile');

    await eventually(async () => {
      expect(await rows(daemon)).toBe(1);
      expect(await daemon.value('window_rows', { storage: 'db' })).toBe(1);
      expect(await daemon.value('exporter_up', { target: 'database' })).toBe(1);
    });
    expect(await leftOut(daemon)).toBe(ticksOf(daemon).reduce((sum, ticks) => sum + ticks, 0));
    const closed = logOf(daemon).filter(({ msg }) => msg.includes('no tick is left out any more'));
    expect(closed.map(({ level }) => level)).toEqual(['info']);
    expect(await countOf(daemon, 'failures')).toBe(0);
    expect(await backendsOf(airflow)).toHaveLength(1);
  });

  test('are no server that is away: that one is asked at every tick', async () => {
    await using world = await setting();
    const { daemon, wire } = await world.start();
    await wire.setMode('cut');
    await wire.setMode('refuse');
    const before = await countOf(daemon, 'failures', { reason: 'unreachable' });
    await eventually(async () => {
      expect(await countOf(daemon, 'failures', { reason: 'unreachable' })).toBeGreaterThanOrEqual(before + 4);
    });
    expect(ticksOf(daemon)).toEqual([]);
  });
});

describe.concurrent('with ha=lock', () => {
  const ha = { XCOM_EXPORTER_HA: 'lock' };
  const leads = async (daemon: Daemon, value: 0 | 1) =>
    eventually(async () => {
      expect(await daemon.value('exporter_leader')).toBe(value);
    });

  test('the log says once who leads, who stands by and who lost the lock', async () => {
    await using world = await setting();
    const first = await world.start(ha);
    await leads(first.daemon, 1);
    const second = await world.start(ha);
    await eventually(() => {
      expect(rolesOf(second.daemon)).toEqual(['stands by']);
    });
    await delay(2_100);
    expect([rolesOf(first.daemon), rolesOf(second.daemon)]).toEqual([['leads'], ['stands by']]);

    await first.wire.setMode('cut');
    await first.wire.setMode('refuse');
    await leads(second.daemon, 1);
    await eventually(() => {
      expect(rolesOf(first.daemon)).toEqual(['leads', 'unknown']);
    });
    await first.wire.setMode('pass');
    await eventually(() => {
      expect(rolesOf(first.daemon)).toEqual(['leads', 'unknown', 'stands by']);
    });
    expect(rolesOf(second.daemon)).toEqual(['stands by', 'leads']);
    const said = logOf(first.daemon).filter(({ role }) => role !== undefined);
    expect(said.map(({ level }) => level)).toEqual(['info', 'warn', 'info']);
    expect(said[1]?.msg).toContain('the lock is lost with its session');
    expect(JSON.stringify(said)).not.toContain('postgres:');
  });

  test('what another one counted while the lock was out of reach is not counted again', async () => {
    await using world = await setting();
    const first = await world.start(ha);
    await leads(first.daemon, 1);
    await eventually(async () => {
      expect(await first.daemon.value('window_rows', { storage: 'db' })).toBe(0);
    });
    const second = await world.start(ha);
    await first.wire.setMode('cut');
    await first.wire.setMode('refuse');
    await leads(first.daemon, 0);
    await leads(second.daemon, 1);
    await eventually(async () => {
      expect(await second.daemon.value('window_rows', { storage: 'db' })).toBe(0);
    });
    await world.airflow.push('counted by the second');
    await eventually(async () => {
      expect(await rows(second.daemon)).toBe(1);
    });
    await first.wire.setMode('pass');
    await eventually(() => {
      expect(rolesOf(first.daemon).at(-1)).toBe('stands by');
    });
    await second.daemon.close();
    await leads(first.daemon, 1);
    await eventually(async () => {
      expect(await first.daemon.value('window_rows', { storage: 'db' })).toBe(1);
    });
    expect((await rows(first.daemon)) ?? 0).toBe(0);
  });
});
