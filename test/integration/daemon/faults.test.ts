import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { openWriter } from '../../../src/postgres/writer.ts';
import { backendsOf, eventually, startAirflow, startDaemon, workerEnv } from '../../support/daemon.ts';
import type { Daemon, SmallAirflow } from '../../support/daemon.ts';
import { startHttpFaultProxy } from '../../support/http-fault-proxy.ts';
import type { HttpFault, HttpFaultProxy } from '../../support/http-fault-proxy.ts';
import { usePostgres } from '../../support/postgres.ts';
import { useS3 } from '../../support/s3.ts';
import { startTcpFaultProxy } from '../../support/tcp-fault-proxy.ts';
import type { TcpFaultProxy } from '../../support/tcp-fault-proxy.ts';

const postgres = usePostgres();
const s3 = useS3('airflow-xcom');

/** Airflow, the exporter, and between it and each server a proxy that can break the connection. */
interface World extends AsyncDisposable {
  readonly airflow: SmallAirflow;
  readonly database: TcpFaultProxy;
  /** In front of the storage: `wire` breaks connections, and `storage` behind it gives wrong answers. */
  readonly wire: TcpFaultProxy;
  readonly storage: HttpFaultProxy;
  /** The environment that a reload reads again. */
  readonly env: Record<string, string>;
  readonly daemon: Daemon;
}

/** Starts a world. Without `change`, waits for a healthy first cycle. */
async function start(change?: (env: Record<string, string>) => void): Promise<World> {
  const airflow = await startAirflow(postgres(), s3());
  const database = await startTcpFaultProxy({ upstream: postgres() });
  const storage = await startHttpFaultProxy({ upstream: s3() });
  const wire = await startTcpFaultProxy({ upstream: storage });
  const env = workerEnv(airflow, s3(), { database, storage: wire });
  change?.(env);
  const daemon = await startDaemon(env);
  const world: World = {
    airflow,
    database,
    wire,
    storage,
    env,
    daemon,
    [Symbol.asyncDispose]: async () => {
      await daemon.close();
      await Promise.all([database.stop(), wire.stop(), storage.stop()]);
      await airflow.close();
    },
  };
  if (change === undefined) {
    await eventually(async () => {
      expect(await up(world)).toEqual([1, 1]);
    });
  }
  return world;
}

async function up({ daemon }: World): Promise<(number | undefined)[]> {
  const read = (target: string) => daemon.value('exporter_up', { target });
  return [await read('database'), await read('s3')];
}

const failures = ({ daemon }: World, reason: string) =>
  daemon.value('exporter_job_failures_total', { name: 'sample', reason });

/**
 * Waits until all is well again without help. On a quiet machine this takes two intervals of a second and one cycle.
 */
async function expectRecovery(world: World): Promise<void> {
  await eventually(async () => {
    expect(await up(world)).toEqual([1, 1]);
    const rows = (await world.daemon.value('window_rows', { storage: 'db' })) ?? 0;
    // Everything is checked and nothing is wrong, also when the window is empty.
    const references = (await world.daemon.value('window_rows', { storage: 's3' })) ?? 0;
    // Small values alone do not tell whether the backend is there.
    const small =
      rows > 0
        ? 'Unknown: not everything critical could be decided'
        : 'Unknown: nothing to judge yet, no XCom row is in the window';
    expect(await verdict(world.daemon)).toBe(references > 0 ? 'Healthy' : small);
    expect(await world.daemon.value('healthy')).toBe(references > 0 ? 1 : undefined);
  }, 15);
}

describe.concurrent('the database', () => {
  test('that refuses every connection', async () => {
    await using world = await start();
    const { daemon, database } = world;
    await database.setMode('cut');
    await database.setMode('refuse');
    await eventually(async () => {
      expect(await up(world)).toEqual([0, 1]);
      expect(await failures(world, 'unreachable')).toBeGreaterThan(1);
      expect(
        await daemon.value('probe_failures_total', { operation: 'database', reason: 'unreachable' }),
      ).toBeGreaterThan(0);
    });
    expect((await daemon.get('/')).text).toMatch(
      /Cannot reach the database at \S+, port \d+: nothing listens there \(ECONNREFUSED\)/,
    );
    expect((await daemon.get('/-/ready')).status).toBe(200);
    await database.setMode('pass');
    await expectRecovery(world);
  });

  test('that takes the connection and never answers', async () => {
    await using world = await start();
    const { daemon, database } = world;
    await database.setMode('stall');
    // The cycle or the probe waits for the other, and that one waits for the server: five seconds each at most.
    let meanwhile = 0;
    await eventually(async () => {
      expect((await daemon.get('/metrics')).status).toBe(200);
      meanwhile += 1;
      expect(await failures(world, 'unreachable')).toBe(1);
    }, 25);
    // A scrape that waited for the cycle would be the only one.
    expect(meanwhile).toBeGreaterThan(5);
    expect(await daemon.value('exporter_job_skips_total', { name: 'sample' })).toBeGreaterThan(0);
    await database.setMode('pass');
    await expectRecovery(world);
  });

  test('that is cut off in the middle of its answers', async () => {
    await using world = await start();
    const { database } = world;
    for (let cut = 0; cut < 5; cut += 1) {
      await delay(230);
      await database.setMode('cut');
      await database.setMode('pass');
    }
    await expectRecovery(world);
    await eventually(async () => {
      expect(await backendsOf(world.airflow)).toHaveLength(1);
    });
  });

  test('whose password is wrong, until a reload brings the right one', async () => {
    const variable = 'AIRFLOW__DATABASE__SQL_ALCHEMY_CONN';
    let right = '';
    await using world = await start((env) => {
      right = env[variable] ?? '';
      env[variable] = right.replace(/:[^:@]+@/, ':planted-password@');
    });
    const { daemon, env } = world;
    await eventually(async () => {
      expect(await failures(world, 'denied')).toBeGreaterThan(1);
      expect(await up(world)).toEqual([0, 1]);
    });
    const page = (await daemon.get('/')).text;
    expect(page).toContain('the password of the role is not accepted');
    expect(page + daemon.lines.join('')).not.toContain('planted');
    env[variable] = right;
    const reloaded = await fetch(`${daemon.url}/-/reload`, { method: 'POST' });
    expect(reloaded.status).toBe(200);
    await expectRecovery(world);
  });

  test('whose table is locked: every cycle ends in time, and nobody piles up', async () => {
    await using world = await start();
    const { airflow, daemon } = world;
    const locker = await openWriter({ url: airflow.url, connections: 1 });
    try {
      await airflow.push('before');
      await locker.query('BEGIN; LOCK TABLE xcom IN ACCESS EXCLUSIVE MODE');
      let most = 0;
      const runs = async () => (await daemon.value('exporter_job_runs_total', { name: 'sample' })) ?? 0;
      const before = await runs();
      await eventually(async () => {
        most = Math.max(most, (await backendsOf(airflow)).length);
        expect(await failures(world, 'lock_timeout')).toBeGreaterThanOrEqual(1);
        expect((await runs()) - before).toBeGreaterThanOrEqual(3);
        expect((await daemon.get('/')).text).toContain('a table is locked (ACCESS EXCLUSIVE)');
      }, 40);
      expect(most).toBe(1);
    } finally {
      await locker.query('ROLLBACK');
      await locker.close();
    }
    await expectRecovery(world);
    expect(await daemon.value('window_rows', { storage: 'db' })).toBe(1);
  });

  test('whose table may no longer be read', async () => {
    await using admin = await startAirflow(postgres(), s3()).then((airflow) => ({
      ...airflow,
      [Symbol.asyncDispose]: () => airflow.close(),
    }));
    await admin.writer.query("CREATE ROLE fault_reader LOGIN PASSWORD 'fault_reader'");
    await using world = await start((env) => {
      env['AIRFLOW__DATABASE__SQL_ALCHEMY_CONN'] = (env['AIRFLOW__DATABASE__SQL_ALCHEMY_CONN'] ?? '').replace(
        /postgres:[^:@]+@/,
        'fault_reader:fault_reader@',
      );
    });
    const { airflow, daemon } = world;
    await eventually(async () => {
      expect(await failures(world, 'denied')).toBeGreaterThan(0);
    });
    await airflow.writer.query('GRANT SELECT ON ALL TABLES IN SCHEMA public TO fault_reader');
    await expectRecovery(world);
    await airflow.writer.query('REVOKE SELECT ON xcom FROM fault_reader');
    await airflow.push('unseen');
    await eventually(async () => {
      expect(await up(world)).toEqual([0, 1]);
    });
    expect((await daemon.get('/')).text).toContain('docs/sql/role.sql grants what it needs');
    await airflow.writer.query('GRANT SELECT ON xcom TO fault_reader');
    await expectRecovery(world);
  });

  test('without the tables: said everywhere, and the probe goes on', async () => {
    await using world = await start();
    const { airflow, daemon } = world;
    await airflow.writer.query('ALTER TABLE xcom RENAME TO gone');
    const labels = { problem: 'schema_unsupported', severity: 'critical' };
    await eventually(async () => {
      expect(await daemon.value('problem', labels)).toBe(1);
    });
    expect(await daemon.value('window_rows', { storage: 'db' })).toBeUndefined();
    expect(await up(world)).toEqual([1, 1]);
    const page = (await daemon.get('/')).text;
    expect(page).toContain('schema_unsupported');
    expect(page).toContain('There is no table xcom, xcom_v1 or xcom_v2');
    expect(daemon.lines.join('')).toContain('"problems":["schema_unsupported"]');
    const probes = (await daemon.value('exporter_job_runs_total', { name: 'probe' })) ?? 0;
    await eventually(async () => {
      expect(await daemon.value('exporter_job_runs_total', { name: 'probe' })).toBeGreaterThan(probes);
    });
    expect(await daemon.value('probe_success', { operation: 'put' })).toBe(1);
    await airflow.writer.query('ALTER TABLE gone RENAME TO xcom');
    await expectRecovery(world);
    expect(await daemon.value('problem', labels)).toBe(0);
  });
});

describe.concurrent('the storage', () => {
  interface Case {
    readonly name: string;
    readonly reason: string;
    readonly fault: HttpFault['answer'] | 'refuse';
    /** True when only HEAD fails, which looks for objects: the probe's writes succeed. */
    readonly onlyHead?: boolean;
  }
  const cases: readonly Case[] = [
    { name: 'denies a HEAD', reason: 'denied', fault: 'deny', onlyHead: true },
    { name: 'asks for less', reason: 'throttled', fault: 'slow_down' },
    { name: 'takes requests and never answers', reason: 'timeout', fault: 'stall' },
    { name: 'refuses every connection', reason: 'unreachable', fault: 'refuse' },
    { name: 'has no such bucket', reason: 'unreachable', fault: 'no_such_bucket' },
    { name: 'answers garbage', reason: 'unreachable', fault: 'garbage' },
    { name: 'cuts its answers off', reason: 'unreachable', fault: 'cut' },
    { name: 'has a fault of its own', reason: 'unreachable', fault: 'server_error' },
  ];

  test.each(cases)('that $name: nothing is called missing', async ({ reason, fault, onlyHead }) => {
    await using world = await start();
    const { airflow, daemon, storage, wire } = world;
    const unchecked = () => daemon.value('references_unchecked_total', { reason });
    const checked = () => daemon.value('references_checked_total');
    const value = 'x'.repeat(500);
    const keys = [await airflow.push(value)];
    await eventually(async () => {
      expect(await checked()).toBe(1);
    });

    if (fault === 'refuse') {
      await wire.setMode('cut');
      await wire.setMode('refuse');
    } else {
      storage.setFault({ answer: fault, match: ({ kind }) => onlyHead !== true || kind === 'head' });
    }
    for (let i = 0; i < 3; i += 1) keys.push(await airflow.push(value));
    const missing: unknown[] = [];
    await eventually(async () => {
      missing.push(...(await missingNow(daemon)));
      expect(await unchecked()).toBeGreaterThanOrEqual(3);
    }, 40);
    for (let look = 0; look < 10; look += 1) {
      missing.push(...(await missingNow(daemon)));
      await delay(200);
    }
    // A request that began before the fault may still get an answer.
    if (onlyHead !== true)
      await eventually(async () => {
        expect(await daemon.value('exporter_up', { target: 's3' })).toBe(0);
      });
    expect(missing).toEqual([]);
    expect(await checked()).toBe(1);
    // The figures are absent for a moment when a cycle takes longer than they stay valid.
    await eventually(async () => {
      expect([
        await daemon.value('window_rows', { storage: 's3' }),
        await daemon.value('exporter_sample_coverage_ratio'),
      ]).toEqual([4, 0.25]);
    });

    storage.setFault(null);
    await wire.setMode('pass');
    // A request that began during the fault is given up after its ten seconds.
    await eventually(async () => {
      expect(await checked()).toBe(4);
      expect(await daemon.value('exporter_sample_coverage_ratio')).toBe(1);
    }, 40);
    expect(await missingNow(daemon)).toEqual([]);

    // The exporter could have reported a missing object all along: now it reports one.
    await airflow.deleteObject(keys[0] ?? '');
    await eventually(async () => {
      expect(await missingNow(daemon)).toEqual([1, 1, 1]);
    });
    expect(await checked()).toBe(4);
  });
});

async function verdict(daemon: Daemon): Promise<string> {
  const status = JSON.parse((await daemon.get('/api/v1/status')).text) as { verdict: { title: string } };
  return status.verdict.title;
}

/** Everything that says "missing": the counter, the gauge, the problem. Empty when none of them does. */
async function missingNow(daemon: Daemon): Promise<number[]> {
  const said = [
    await daemon.value('references_broken_total', { dag_id: 'orders', reason: 'missing' }),
    await daemon.value('window_broken_references', { reason: 'missing' }),
    await daemon.value('problem', { problem: 'objects_missing', severity: 'critical' }),
  ];
  return said.filter((value) => value !== undefined && value > 0) as number[];
}
