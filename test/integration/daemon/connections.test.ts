import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { examineAsWorker } from '../../support/call-command.ts';
import type { Daemon, SmallAirflow } from '../../support/daemon.ts';
import { eventually, startAirflow, startDaemon, workerEnv } from '../../support/daemon.ts';
import { useOwnPostgres } from '../../support/postgres.ts';
import { useS3 } from '../../support/s3.ts';

// A limit of a role counts the connections to all databases of a server.
const postgres = useOwnPostgres();
const s3 = useS3('airflow-xcom');
const roleSql = readFileSync(new URL('../../../docs/sql/role.sql', import.meta.url), 'utf8');

/** An Airflow whose exporters connect as the role of docs/sql/role.sql, with so many connections. */
async function setting(limit: number) {
  const airflow = await startAirflow(postgres(), s3());
  await airflow.writer.query(roleSql);
  await airflow.writer.query(`ALTER ROLE xcom_exporter PASSWORD 'own' CONNECTION LIMIT ${limit}`);
  const url = new URL(airflow.url);
  url.username = 'xcom_exporter';
  url.password = 'own';
  const env = workerEnv({ ...airflow, url: url.href }, s3());
  const daemons: Daemon[] = [];
  return {
    airflow,
    env,
    start: async (more: Readonly<Record<string, string>>) => {
      const daemon = await startDaemon({ ...env, ...more });
      daemons.push(daemon);
      return daemon;
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(daemons.map((daemon) => daemon.close()));
      await airflow.close();
    },
  };
}

const runs = async (daemon: Daemon) =>
  (await daemon.value('exporter_job_runs_total', { name: 'sample' })) ?? 0;
const refusals = (daemon: Daemon) =>
  daemon.value('exporter_job_failures_total', { name: 'sample', reason: 'unreachable' });
const limitTo = (airflow: SmallAirflow, limit: number) =>
  airflow.writer.query(`ALTER ROLE xcom_exporter CONNECTION LIMIT ${limit}`);

/** Waits until each has begun and ended some more cycles. */
async function someCycles(daemons: readonly Daemon[]): Promise<void> {
  const before = await Promise.all(daemons.map(runs));
  await eventually(async () => {
    for (const [index, daemon] of daemons.entries())
      expect(await runs(daemon)).toBeGreaterThan((before[index] ?? 0) + 2);
  });
}

test('a shard takes one connection: as many shards as connections watch, and one more says why it does not', async () => {
  await using world = await setting(3);
  const shards: Daemon[] = [];
  for (const index of [0, 1, 2]) {
    const shard = await world.start({ XCOM_EXPORTER_SHARD: `${index}/4` });
    await eventually(async () => {
      expect(await shard.value('exporter_up', { target: 'database' })).toBe(1);
    });
    shards.push(shard);
  }
  await someCycles(shards);
  expect(await Promise.all(shards.map(refusals))).toEqual([0, 0, 0]);

  const last = await world.start({ XCOM_EXPORTER_SHARD: '3/4' });
  await eventually(async () => {
    expect(await last.value('exporter_up', { target: 'database' })).toBe(0);
    expect((await last.get('/')).text).toContain('the role has no connection left');
  });
  await limitTo(world.airflow, 4);
  await eventually(async () => {
    expect(await last.value('exporter_up', { target: 'database' })).toBe(1);
  });
});

test('a pair with ha=lock takes three connections, and a check one more', async () => {
  await using world = await setting(3);
  const ha = { XCOM_EXPORTER_HA: 'lock' };
  const leader = await world.start(ha);
  await eventually(async () => {
    expect(await leader.value('exporter_leader')).toBe(1);
    expect(await leader.value('window_rows', { storage: 'db' })).toBe(0);
  });
  const standby = await world.start(ha);
  await someCycles([leader, standby]);
  expect(await Promise.all([leader, standby].map(refusals))).toEqual([0, 0]);

  await limitTo(world.airflow, 4);
  const { report } = await examineAsWorker(world.env);
  expect(report.databaseFailure).toBeNull();

  await limitTo(world.airflow, 2);
  await eventually(async () => {
    expect(await refusals(standby)).toBeGreaterThan(0);
  });
});
