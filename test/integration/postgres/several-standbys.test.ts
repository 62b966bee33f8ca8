import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Report } from '../../../src/diagnosis/report.ts';
import type { Database } from '../../../src/postgres/client.ts';
import type { PostgresWriter } from '../../../src/postgres/writer.ts';
import { openWriter } from '../../../src/postgres/writer.ts';
import type { LedgerState } from '../../../src/window/ledger-state.ts';
import type { Cluster, Node } from '../../faults/cluster.ts';
import { freePort, startCluster } from '../../faults/cluster.ts';
import { DAY_MS, openTestDatabase, runAudit } from '../../support/audit.ts';
import type { SmallStore } from '../../support/audit-small.ts';
import { connectionAt, storeOf } from '../../support/audit-small.ts';
import { eventually } from '../../support/daemon.ts';
import { BUCKET, uuid4 } from '../../support/plant.ts';
import { PROBED } from '../../support/probed.ts';
import { useS3 } from '../../support/s3.ts';
import type { Run, Stage, StageCycle } from '../../support/seed.ts';
import { openCycle, openStage } from '../../support/seed.ts';

const s3 = useS3(BUCKET);
const signal = () => new AbortController().signal;

interface Replica {
  readonly database: Database;
  readonly admin: PostgresWriter;
}

let dir: string;
let cluster: Cluster;
let stage: Stage;
let prompt: Replica;
let late: Replica;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'xcom-exporter-standbys-'));
  // The account of Postgres must be able to pass through this folder.
  chmodSync(dir, 0o711);
  cluster = await startCluster(join(dir, 'postgres'), [await freePort(), await freePort(), await freePort()]);
  const nodes = [await cluster.addStandby(), await cluster.addStandby()] as const;
  stage = await openStage({ url: cluster.primary().url('postgres') }, '3.1.8');
  prompt = await replicaOn(nodes[0]);
  late = await replicaOn(nodes[1]);
});

beforeEach(async () => {
  await holdBack(false);
  await stage.clear();
  await caughtUp(prompt);
  await caughtUp(late);
});

afterAll(async () => {
  for (const { database, admin } of [prompt, late]) {
    await database.close();
    await admin.close();
  }
  await stage.close();
  await cluster.stop();
  rmSync(dir, { recursive: true, force: true });
});

async function replicaOn(node: Node): Promise<Replica> {
  const url = node.url(new URL(stage.url).pathname.slice(1));
  const opened: PostgresWriter[] = [];
  // The standby does not have the database before it has replayed it.
  await eventually(async () => {
    opened.push(await openWriter({ url, connections: 1 }));
  });
  const [admin] = opened;
  if (admin === undefined) throw new Error('the standby does not answer');
  return { database: openTestDatabase(url), admin };
}

async function caughtUp({ admin }: Replica): Promise<void> {
  const [position] = await stage.writer.query<{ lsn: string }>('SELECT pg_current_wal_lsn()::text AS lsn');
  await eventually(async () => {
    const [row] = await admin.query<{ there: boolean }>(
      'SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS there',
      [position?.lsn],
    );
    expect(row?.there).toBe(true);
  });
}

/** Whether the late replica receives everything and replays nothing. */
async function holdBack(isHeld: boolean): Promise<void> {
  await late.admin.query(`ALTER SYSTEM SET recovery_min_apply_delay = '${isHeld ? '1h' : '0'}'`);
  await late.admin.query('SELECT pg_reload_conf()');
  // The server takes the setting in by itself, some time after it was told.
  if (isHeld)
    await eventually(async () => {
      await stage.writer.query("SELECT pg_logical_emit_message(true, 'test', 'a commit')");
      const [position] = await stage.writer.query<{ lsn: string }>(
        'SELECT pg_current_wal_lsn()::text AS lsn',
      );
      await caughtUp(prompt);
      const [row] = await late.admin.query<{ there: boolean }>(
        'SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS there',
        [position?.lsn],
      );
      expect(row?.there).toBe(false);
    });
}

/** A pooler gives each transaction a server: those of `turns` in turn, and then the last of them. */
function pooled(...turns: readonly (() => Replica)[]): Pick<Database, 'read'> {
  let turn = 0;
  return {
    read(read, until) {
      const next = turns[Math.min(turn, turns.length - 1)] ?? (() => prompt);
      turn += 1;
      return next().database.read(read, until);
    },
  };
}

function open(database: Pick<Database, 'read'>, restored: LedgerState | null = null): StageCycle {
  return openCycle(stage, { endpoint: s3().endpoint, through: () => database, restored });
}

const look = (cycle: StageCycle): Promise<Report> => cycle.run(PROBED, signal());
const newRows = ({ increments }: Report) =>
  increments.reduce((sum, one) => sum + (one.metric === 'rows_total' ? one.by : 0), 0);
const isPrompt = () => prompt;
const isLate = () => late;

/** Pushes a reference to an object that does not exist, beside a row that is read by every replica. */
async function pushLost(run: Run): Promise<void> {
  const location = `s3://aws_xcom@${BUCKET}/base/etl/run/extract/${uuid4()}`;
  await stage.push({ run, taskId: 'extract', stored: JSON.stringify(location) });
  await caughtUp(prompt);
  await caughtUp(late);
}

test('rows of one replica are not as recent as another one says: an object of a deleted row is not missing', async () => {
  const run = await stage.addRun({ dagId: 'etl', runId: 'run' });
  await pushLost(run);
  await holdBack(true);
  await stage.remove({ run, taskId: 'extract' });
  await caughtUp(prompt);
  // Both looks at the age go to the prompt replica, then every other transaction to the late one.
  const cycle = open(pooled(isPrompt, isPrompt, isLate, isPrompt, isPrompt, isLate, isPrompt));
  const report = await look(cycle);
  expect(report.increments.filter(({ metric }) => metric === 'references_broken_total')).toEqual([]);
  expect(report.states.objects_missing).not.toBe('raised');
  expect(report.window?.rows).toEqual({ db: 0, s3: 0, other: 0 });
  await cycle.close();
});

test('a row that only a late replica still shows does not confirm that its object is missing', async () => {
  const run = await stage.addRun({ dagId: 'etl', runId: 'run' });
  await pushLost(run);
  const database = pooled(isPrompt, isPrompt, isPrompt, isPrompt, isPrompt, isLate, isPrompt);
  let reads = 0;
  const cycle = open({
    async read(read, until) {
      reads += 1;
      // The row goes between the reading of the rows and the second look at them.
      if (reads === 4) {
        await holdBack(true);
        await stage.remove({ run, taskId: 'extract' });
      }
      // Airflow writes all the time, so that a standby need not wait for a sign that its primary is there.
      await stage.addRun({ dagId: 'other', runId: `beat ${reads}` });
      await caughtUp(prompt);
      return database.read(read, until);
    },
  });
  const report = await look(cycle);
  expect(report.increments.filter(({ metric }) => metric === 'references_broken_total')).toEqual([]);
  expect(report.states.objects_missing).not.toBe('raised');
  // The late replica was asked, and then the prompt one.
  expect(reads).toBe(7);
  await cycle.close();
});

test('a replica behind the one read before is not read, takes nothing back, and no row is counted twice', async () => {
  let to = prompt;
  const pooler = pooled(() => to);
  const cycle = open(pooler);
  await look(cycle);
  const run = await stage.addRun({ dagId: 'etl', runId: 'run' });
  await stage.push({ run, taskId: 'first', stored: '"v"' });
  await caughtUp(late);
  await holdBack(true);
  for (let i = 0; i < 3; i += 1) await stage.push({ run, taskId: `task ${i}`, stored: '"v"' });
  await caughtUp(prompt);
  expect(newRows(await look(cycle))).toBe(4);
  to = late;
  const held = await look(cycle);
  expect(held.databaseFailure).toEqual({
    reason: 'behind',
    detail: expect.stringContaining('a standby that is behind the one read before') as string,
  });
  expect(held.window?.rows.db).toBe(4);
  // A restart with the state file does not forget how far the reading was.
  const restarted = open(pooler, cycle.state());
  expect((await look(restarted)).databaseFailure?.reason).toBe('behind');
  to = prompt;
  const back = await look(restarted);
  expect([newRows(back), back.window?.rows.db]).toEqual([0, 4]);
  to = late;
  await holdBack(false);
  await caughtUp(late);
  const after = await look(restarted);
  expect([after.databaseFailure, newRows(after), after.window?.rows.db]).toEqual([null, 0, 4]);
  await cycle.close();
  await restarted.close();
});

test('the audit reads no row from a replica that is behind the moment up to which it judges objects', async () => {
  const run = await stage.addRun({ dagId: 'etl', runId: 'run' });
  await pushLost(run);
  await holdBack(true);
  const key = `base/etl/run/load/${uuid4()}`;
  const location = JSON.stringify(`s3://aws_xcom@${BUCKET}/${key}`);
  await stage.push({ run, taskId: 'load', stored: location });
  await caughtUp(prompt);
  // The reads that find out what is asked and how recent it is go to the prompt replica.
  const turns = [...Array.from({ length: 6 }, () => isPrompt), ...Array.from({ length: 3 }, () => isLate)];
  const objects: SmallStore = new Map([[`${BUCKET}/${key}`, Date.now() - 30 * DAY_MS]]);
  const { lists, deletions } = await runAudit({
    url: stage.url,
    store: storeOf(objects),
    connection: connectionAt('http://one'),
    configured: [{ bucket: BUCKET, prefix: 'base', connection: 'aws_xcom' }],
    database: () => pooled(...turns, isPrompt),
  });
  expect([lists.orphaned, deletions]).toEqual([[], []]);
});

test('each replica has advisory locks of its own, so none of them can say who leads', async () => {
  const wanted = {
    reason: 'standby',
    message: expect.stringMatching(/the server is a standby.*the address of the primary/) as string,
  };
  for (const { database } of [prompt, late])
    await expect(database.lead(signal())).rejects.toMatchObject(wanted);
});
