import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Report } from '../../../src/diagnosis/report.ts';
import { BASE, BUCKET, uuid4 } from '../../support/plant.ts';
import { usePostgres } from '../../support/postgres.ts';
import { useS3 } from '../../support/s3.ts';
import { openCycle, openStage } from '../../support/seed.ts';
import type { Run, Stage } from '../../support/seed.ts';

/** Rows from before the upgrade that Airflow 3.4 took along in `xcom_v1`, and tasks that ran since. */

const postgres = usePostgres();
const s3 = useS3(BUCKET);
let stage: Stage;
let run: Run;

beforeAll(async () => {
  stage = await openStage(postgres(), '3.4.0b2');
});

beforeEach(async () => {
  await stage.clear();
  run = await stage.addRun({ dagId: 'etl', runId: 'manual', agoSeconds: 7_200 });
});

afterAll(async () => {
  await stage.close();
});

const LARGE = JSON.stringify('x'.repeat(2_000));
const lost = (taskId: string) => JSON.stringify(`${BASE}/etl/manual/${taskId}/${uuid4()}`);

/** Sets how long ago the task's only try began; null: it has not begun. */
async function began(taskId: string, agoSeconds: number | null): Promise<void> {
  await stage.writer.query(
    `UPDATE task_instance SET start_date = now() - make_interval(secs => $2::float8),
      state = 'success', updated_at = now() WHERE task_id = $1`,
    [taskId, agoSeconds],
  );
}

async function look(): Promise<Report> {
  const cycle = openCycle(stage, { endpoint: s3().endpoint });
  try {
    return await cycle.pass();
  } finally {
    await cycle.close();
  }
}

async function missing(): Promise<number | null | undefined> {
  return (await look()).window?.broken.missing;
}

test('an object of theirs that is not there is missed until the task is cleared or writes again', async () => {
  const cleared = ['again', 'waiting', 'in a region', 'ownerless'];
  for (const taskId of ['untouched', 'patched', ...cleared]) {
    await stage.push({ run, taskId, stored: lost(taskId), agoSeconds: 3_600, table: 'xcom_v1' });
    await began(taskId, 3_700);
  }
  expect(await missing()).toBe(6);
  for (const taskId of ['again', 'waiting', 'in a region']) await stage.clearTask({ run, taskId });
  const next = (values: string) => stage.writer.query(`UPDATE task_instance SET ${values} WHERE working_set`);
  await next(`start_date = CASE task_id WHEN 'again' THEN now() END`);
  // A mapped task that is cleared as a whole expands into a region of its own.
  await next(`region_id = CASE task_id WHEN 'in a region' THEN id ELSE region_id END`);
  // No task reads a row without an owner.
  await stage.writer.query(`DELETE FROM legacy_task_data_owner WHERE task_id = 'ownerless'`);
  await stage.push({ run, taskId: 'patched', stored: '1' });
  expect(await missing()).toBe(1);
});

test('who kept their large values is not told by where the task ran since', async () => {
  for (const [taskId, startedAgo] of [
    ['untouched', 3_100],
    ['again', 1_000],
  ] as const) {
    await stage.push({ run, taskId, stored: LARGE, agoSeconds: 3_000, queue: 'legacy', table: 'xcom_v1' });
    await began(taskId, startedAgo);
  }
  await stage.push({ run, taskId: 'waiting', stored: LARGE, agoSeconds: 3_000, table: 'xcom_v1' });
  await began('waiting', null);
  const { problems } = await look();
  const findings = problems.flatMap((problem) => problem.findings);
  expect(Object.fromEntries(findings.map(({ taskId, hostname }) => [taskId, hostname]))).toEqual({
    untouched: 'worker-1',
    again: null,
    waiting: null,
  });
});
