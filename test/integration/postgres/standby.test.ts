import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Audit } from '../../../src/audit/audit.ts';
import type { Age } from '../../../src/postgres/standby.ts';
import { ageOf, doubtOfAge } from '../../../src/postgres/standby.ts';
import type { PostgresWriter } from '../../../src/postgres/writer.ts';
import { openWriter } from '../../../src/postgres/writer.ts';
import { openObjectStore } from '../../../src/s3/client.ts';
import { checkCode, checkVerdict } from '../../../src/status/check-document.ts';
import type { Cluster, Node } from '../../faults/cluster.ts';
import { freePort, startCluster } from '../../faults/cluster.ts';
import { openTestDatabase, runAudit } from '../../support/audit.ts';
import { betweenQueries } from '../../support/between-queries.ts';
import { examineAsWorker } from '../../support/call-command.ts';
import { eventually, startAirflow, startDaemon, workerEnv } from '../../support/daemon.ts';
import type { SmallAirflow } from '../../support/daemon.ts';
import { connectionTo, recordRequests, useS3 } from '../../support/s3.ts';

const s3 = useS3('airflow-xcom');
const LARGE = 'x'.repeat(500);
/** This role may read, but has no right to monitor. */
const ROLE = 'reader';

let dir: string;
let cluster: Cluster;
let standby: Node;
let admin: PostgresWriter;
let airflow: SmallAirflow;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'xcom-exporter-standby-'));
  // The account of Postgres must be able to pass through this folder.
  chmodSync(dir, 0o711);
  cluster = await startCluster(join(dir, 'postgres'), [await freePort(), await freePort()]);
  standby = await cluster.addStandby();
  airflow = await startAirflow({ url: cluster.primary().url('postgres') }, s3());
  await airflow.writer.query(
    `CREATE ROLE ${ROLE} LOGIN PASSWORD 'reader'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${ROLE}`,
  );
  admin = await openWriter({ url: standby.url('postgres'), connections: 1 });
  // The standby has neither the database nor the role before it has replayed them.
  await eventually(async () => {
    await age(standby, 0);
  });
  // A role that may not monitor knows for so long only that the primary was heard, a minute by default.
  await setting('wal_receiver_timeout', '4s');
});

afterAll(async () => {
  await admin.close();
  await airflow.close();
  await cluster.stop();
  rmSync(dir, { recursive: true, force: true });
});

function urlOf(node: Node): string {
  const url = new URL(airflow.url);
  Object.assign(url, { port: String(node.port), username: ROLE, password: 'reader' });
  return url.href;
}

const env = (node: Node) => ({
  ...workerEnv(airflow, s3()),
  AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: urlOf(node),
});

const check = (node: Node) => examineAsWorker(env(node));

/** The age of a node's data, as the reader sees it. `patienceMs` is infinite unless a test says otherwise. */
async function age(node: Node, patienceMs = Infinity): Promise<Age> {
  const database = openTestDatabase(urlOf(node));
  try {
    return await ageOf(database, { patienceMs, signal: new AbortController().signal });
  } finally {
    await database.close();
  }
}

async function lastReplayed(): Promise<number> {
  const [last] = await admin.query<{ at: number }>(
    'SELECT (extract(epoch FROM pg_last_xact_replay_timestamp()) * 1000)::float8 AS at',
  );
  return last?.at ?? Infinity;
}

async function setting(name: string, value: string | null): Promise<void> {
  await admin.query(value === null ? `ALTER SYSTEM RESET ${name}` : `ALTER SYSTEM SET ${name} = '${value}'`);
  await admin.query('SELECT pg_reload_conf()');
}

/** Pushes large values that stay in the database, as when the workers of a queue lack the setting. */
async function pushPast(count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    const task = `legacy_${i}`;
    await airflow.writer.query(
      /* SQL */ `INSERT INTO task_instance (id, task_id, dag_id, run_id, try_number, pool, pool_slots, queue, state)
        VALUES (gen_random_uuid(), $1, 'orders', 'manual__1', 1, 'default_pool', 1, 'legacy', 'success')`,
      [task],
    );
    await airflow.writer.query(
      /* SQL */ `INSERT INTO xcom (dag_run_id, dag_id, run_id, task_id, map_index, key, value, timestamp)
        SELECT id, dag_id, run_id, $1, -1, 'return_value', to_jsonb($2::text), clock_timestamp() FROM dag_run`,
      [task, LARGE],
    );
  }
}

/** Clears a task as Airflow does: its object goes first. */
async function clear(key: string, row: string): Promise<void> {
  await airflow.deleteObject(key);
  await airflow.writer.query(`DELETE FROM xcom WHERE task_id = '${row}'`);
}

/** The result of an audit for the references whose objects do not exist. */
async function audited(node: Node): Promise<Audit['confirmed']> {
  const connection = connectionTo(s3().endpoint, s3());
  const store = openObjectStore(connection, { observer: recordRequests(), log: pino({ level: 'silent' }) });
  const configured = [{ connection: 'aws_xcom', bucket: 'airflow-xcom', prefix: 'xcom' }];
  try {
    return (await runAudit({ url: urlOf(node), store, connection, configured })).confirmed;
  } finally {
    store.close();
  }
}

const critical = (problem: string) => ({ problem, severity: 'critical' });

const doubts = (checked: Awaited<ReturnType<typeof check>>) => ({
  code: checkCode(checked),
  doubt: checked.report.standbyDoubt,
  missing: checked.report.states.objects_missing,
});

describe('a standby', () => {
  const objects: (string | null)[] = [];

  test('that has all is as good as its primary, also while that one is idle', async () => {
    for (let i = 0; i < 4; i += 1) objects.push(await airflow.push(LARGE));
    for (let i = 0; i < 4; i += 1) await airflow.push('small');
    expect(await age(cluster.primary())).toMatchObject({ lagSeconds: 0, isPaused: false });
    const known = await age(standby);
    expect(known).toMatchObject({ lagSeconds: 0, isPaused: false });
    expect(known.asOf).toBeGreaterThan(await lastReplayed());
    const { report, ...checked } = await check(standby);
    expect(doubts({ report, ...checked })).toEqual({ code: 0, doubt: null, missing: 'clear' });
    expect(report.window?.rows).toEqual({ db: 4, s3: 4, other: 0 });
    // The check waits for a second, and knows then that the primary was heard within the last four.
    expect(doubtOfAge({ lagSeconds: report.lagSeconds, isPaused: false })).toBeNull();
  });

  test('that is late is waited for before a row that it still shows says that an object is missing', async () => {
    await setting('recovery_min_apply_delay', '3s');
    await clear(objects[0] ?? '', 'task_1');
    const checked = await check(standby);
    expect(doubts(checked)).toEqual({ code: 0, doubt: null, missing: 'clear' });
    await setting('recovery_min_apply_delay', null);
  });

  test('whose primary has stopped sending is not taken for that of an idle one', async () => {
    const object = await airflow.push(LARGE);
    await age(standby);
    const [sender] = await airflow.writer.query<{ pid: number }>('SELECT pid FROM pg_stat_replication');
    if (sender === undefined) throw new Error('No standby follows the primary');
    process.kill(sender.pid, 'SIGSTOP');
    try {
      await clear(object ?? '', 'task_9');
      // The receiver gives up after its timeout and comes back to a sender that sends, so that the row is gone.
      expect(doubts(await check(standby))).toEqual({ code: 0, doubt: null, missing: 'clear' });
    } finally {
      process.kill(sender.pid, 'SIGCONT');
    }
  });

  test('whose receiver would wait for ever for a primary is known up to its last transaction', async () => {
    await setting('wal_receiver_timeout', '0');
    await eventually(async () => {
      expect((await age(standby, 0)).asOf).toBe(await lastReplayed());
    });
    await setting('wal_receiver_timeout', '4s');
  });

  test('whose replay is paused says nothing of its rows, neither good nor bad', async () => {
    const daemon = await startDaemon(env(standby));
    await eventually(async () => {
      expect(await daemon.value('problem', critical('worker_bypass'))).toBe(0);
    });
    await admin.query('SELECT pg_wal_replay_pause()');
    await pushPast(40);
    await clear(objects[1] ?? '', 'task_2');

    const primary = await check(cluster.primary());
    expect(primary.report.states).toMatchObject({ worker_bypass: 'raised', objects_missing: 'clear' });
    const checked = await check(standby);
    expect(doubts(checked)).toEqual({
      code: 2,
      doubt: expect.stringMatching(/^the standby is \d+ s behind, its replay is paused$/) as string,
      missing: 'unknown',
    });
    expect(checked.report.problems).toEqual([]);
    expect(checkVerdict(checked).notes.join(' ')).toContain(
      'Problems of rows are neither reported nor cleared: the standby is',
    );
    expect(await audited(cluster.primary())).toMatchObject({ missing: 0, unknown: 0 });
    expect(await audited(standby)).toMatchObject({ missing: 0, unknown: 1 });
    await eventually(async () => {
      const { verdict } = JSON.parse((await daemon.get('/api/v1/status')).text) as {
        verdict: { title: string };
      };
      expect(verdict.title).toMatch(/^Unknown: the standby is \d+ s behind/);
      for (const problem of ['worker_bypass', 'objects_missing'])
        expect(await daemon.value('problem', critical(problem))).toBeUndefined();
      expect(await daemon.value('exporter_sample_lag_seconds')).toBeGreaterThan(0);
    });

    await admin.query('SELECT pg_wal_replay_resume()');
    await eventually(async () => {
      expect(await daemon.value('problem', critical('worker_bypass'))).toBe(1);
      expect(await daemon.value('problem', critical('objects_missing'))).toBe(0);
    });
    await daemon.close();
  });

  test('that does not say where its log is has no lag, and no verdict', async () => {
    const call = 'EXECUTE ON FUNCTION pg_last_wal_receive_lsn()';
    await airflow.writer.query(`REVOKE ${call} FROM PUBLIC`);
    await eventually(async () => {
      expect(await age(standby)).toEqual({ asOf: null, lagSeconds: null, isPaused: false, position: null });
    });
    const checked = await check(standby);
    expect(doubts(checked)).toEqual({
      code: 2,
      doubt: 'the standby does not say how far it is behind',
      missing: 'unknown',
    });
    expect(checked.report.lagSeconds).toBeNull();
    await airflow.writer.query(`GRANT ${call} TO PUBLIC`);
    await eventually(async () => {
      expect((await age(standby)).lagSeconds).toBe(0);
    });
  });

  test('is told from a primary that may not say where its log is, and is not asked for it', async () => {
    const call = 'EXECUTE ON FUNCTION pg_current_wal_lsn()';
    const asked: string[] = [];
    const database = openTestDatabase(urlOf(cluster.primary()));
    const noting = betweenQueries(database, (query) => (statement) => {
      asked.push(statement.name);
      return query(statement);
    });
    const options = { patienceMs: 0, signal: new AbortController().signal };
    await airflow.writer.query(`REVOKE ${call} FROM PUBLIC`);
    expect(await ageOf(noting, options)).toMatchObject({ lagSeconds: 0, position: null });
    expect(asked).toEqual(['role']);
    await airflow.writer.query(`GRANT ${call} TO PUBLIC`);
    expect((await ageOf(noting, options)).position).not.toBeNull();
    await database.close();
  });

  test('that has lost its primary is behind, though it has replayed all that came in', async () => {
    await airflow.close();
    await cluster.primary().stop('immediate');
    const lost = await age(standby, 0);
    expect(lost.lagSeconds).not.toBe(0);
    expect(lost.asOf).toBe(await lastReplayed());
    expect(doubtOfAge({ ...lost, lagSeconds: 61 })).toBe('the standby is 61 s behind');
  });
});
