import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Report } from '../../../src/diagnosis/report.ts';
import type { Database } from '../../../src/postgres/client.ts';
import type { LedgerState } from '../../../src/window/ledger-state.ts';
import type { Cluster, Node } from '../../faults/cluster.ts';
import { freePort, startCluster } from '../../faults/cluster.ts';
import { openTestDatabase } from '../../support/audit.ts';
import { eventually } from '../../support/daemon.ts';
import { BUCKET } from '../../support/plant.ts';
import { PROBED } from '../../support/probed.ts';
import { useS3 } from '../../support/s3.ts';
import type { StageCycle } from '../../support/seed.ts';
import { openCycle, openStage } from '../../support/seed.ts';

const s3 = useS3(BUCKET);
const signal = () => new AbortController().signal;
const copy = promisify(execFile);

let dir: string;
let cluster: Cluster;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'xcom-exporter-restored-'));
  // The account of Postgres must be able to pass through this folder.
  chmodSync(dir, 0o711);
  cluster = await startCluster(join(dir, 'postgres'), [await freePort(), await freePort(), await freePort()]);
});

afterEach(async () => {
  await cluster.stop();
  rmSync(dir, { recursive: true, force: true });
});

const newRows = ({ increments }: Report) =>
  increments.reduce((sum, one) => sum + (one.metric === 'rows_total' ? one.by : 0), 0);

/** The state as it would be if the last reading had been three minutes earlier. */
function longAgo(state: LedgerState): LedgerState {
  if (state.lastReading === null) throw new Error('nothing was read');
  return { ...state, lastReading: { ...state.lastReading, at: state.lastReading.at - 180_000 } };
}

test('a standby of a primary that was put back from a copy of its volume is read, long before it has written as much log again', async () => {
  const primary = cluster.primary();
  const stage = await openStage({ url: primary.url('postgres') }, '3.1.8');
  const run = await stage.addRun({ dagId: 'etl', runId: 'run' });
  const push = (taskId: string) => stage.push({ run, taskId, stored: '"v"' });
  const data = join(dir, 'postgres', String(primary.port));
  const snapshot = join(dir, 'snapshot');
  const open: { close(): Promise<void> }[] = [stage];

  /** Waits until a standby has everything. */
  async function follow(node: Node): Promise<Database> {
    const url = node.url(new URL(stage.url).pathname.slice(1));
    const database = openTestDatabase(url);
    open.push(database);
    const [primaryAt] = await stage.writer.query<{ lsn: string }>('SELECT pg_current_wal_lsn()::text AS lsn');
    await eventually(async () => {
      const [at] = await database.read(
        (query) =>
          query<{ isThere: boolean }>({
            name: 'is_there',
            text: 'SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS "isThere"',
            values: [primaryAt?.lsn],
          }),
        signal(),
      );
      expect(at?.isThere).toBe(true);
    });
    return database;
  }

  function cycleOn(database: Database, restored: LedgerState | null = null): StageCycle {
    const cycle = openCycle(stage, { endpoint: s3().endpoint, through: () => database, restored });
    open.push(cycle);
    return cycle;
  }

  await push('kept');
  await primary.stop('fast');
  await copy('cp', ['-a', data, snapshot]);
  await primary.start();
  const before = await cluster.addStandby();
  const cycle = cycleOn(await follow(before));
  await cycle.pass();
  await stage.writer.query('SELECT pg_switch_wal()');
  // Each of them is several transactions, more than are written after the copy is put back.
  for (const taskId of ['lost', 'lost', 'lost']) await push(taskId);
  await follow(before);
  expect(newRows(await cycle.pass())).toBe(1);

  await before.stop('fast');
  await primary.stop('fast');
  rmSync(data, { recursive: true });
  await copy('cp', ['-a', snapshot, data]);
  await primary.start();
  const after = await cluster.addStandby();
  await push('new');
  const database = await follow(after);
  // So soon, the clocks of the servers may as well differ.
  const soon = cycleOn(database, cycle.state());
  expect((await soon.run(PROBED, signal())).databaseFailure?.reason).toBe('behind');
  const restored = cycleOn(database, longAgo(cycle.state()));
  const report = await restored.pass();
  expect([newRows(report), report.window?.rows.db]).toEqual([1, 2]);
  expect(newRows(await restored.pass())).toBe(0);
  for (const one of open.reverse()) await one.close();
});
