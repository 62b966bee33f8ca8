import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Statement } from '../../src/airflow/queries.ts';
import type { Database } from '../../src/clients/postgres.ts';
import type { Report } from '../../src/report.ts';
import { BUCKET } from '../support/plant.ts';
import { usePostgres } from '../support/postgres.ts';
import { useS3 } from '../support/s3.ts';
import { listShapes, openCycle, openStage, shapeOf } from '../support/seed.ts';
import type { Run, Stage, StageCycle } from '../support/seed.ts';
import { uuid7 } from '../support/uuid7.ts';

const postgres = usePostgres();
const s3 = useS3(BUCKET);

/** More rows than one cycle counts. */
const INSTANCES = 1_500;
const RUNS = ['one', 'two', 'three'];
const byTaskInstance = listShapes().filter(({ release }) =>
  shapeOf(release).sources.some(({ keyedBy }) => keyedBy === 'task_instance'),
);

describe.each(byTaskInstance)('live runs of many rows, $shape (Airflow $release)', ({ release }) => {
  let stage: Stage;
  let cycle: StageCycle;
  let runs: Run[] = [];
  const sent: Statement[] = [];

  beforeAll(async () => {
    stage = await openStage(postgres(), release);
    runs = await Promise.all(RUNS.map((runId) => stage.addRun({ dagId: 'mapped', runId })));
    await fill(stage);
    cycle = openCycle(stage, { endpoint: s3().endpoint, through: (database) => noting(database, sent) });
  });
  afterAll(async () => {
    await cycle.close();
    await stage.close();
  });

  /** How many runs the statement that counts named in this cycle. */
  async function pass(): Promise<Report & { readonly looks: number }> {
    sent.length = 0;
    const report = await cycle.pass();
    const counts = sent.filter(({ name }) => name === 'counts_xcom_v2');
    return { ...report, looks: new Set(counts.flatMap(({ values }) => values[0] as number[])).size };
  }

  const xcom = (run: Run, key: string, mapIndex = 0) => ({
    run,
    taskId: 'mapped',
    mapIndex,
    key,
    stored: '"new"',
  });

  test('new rows are counted at once, what is changed or deleted when it is the turn of its run', async () => {
    expect(await pass()).toMatchObject({ increments: [], window: { rows: { db: INSTANCES * RUNS.length } } });

    for (const run of runs) {
      await stage.push(xcom(run, 'new'));
      await stage.patch(xcom(run, 'return_value', 1));
      await stage.remove(xcom(run, 'return_value', 2));
    }
    const first = await pass();
    expect(first.looks).toBe(1);
    // Of the run whose turn it was, the changed row as well.
    expect(newRows(first)).toBe(RUNS.length + 1);

    const second = await pass();
    const third = await pass();
    expect([second, third].map(({ looks }) => looks)).toEqual([1, 1]);
    expect([second, third].map(newRows)).toEqual([1, 1]);
    expect(third.window?.rows.db).toBe(INSTANCES * RUNS.length);
    expect(newRows(await pass())).toBe(0);
  });

  test('a transaction that commits late, and a writer whose clock is off', async () => {
    const late = await stage.connect();
    await late.query('BEGIN');
    for (const run of runs) await stage.push({ ...xcom(run, 'late'), agoSeconds: 300 }, late);
    for (const run of runs) await stage.push({ ...xcom(run, 'ahead'), agoSeconds: -300 });
    expect(newRows(await pass())).toBe(RUNS.length);
    await late.query('COMMIT');
    expect(newRows(await pass())).toBe(RUNS.length);
    for (let i = 0; i < RUNS.length; i += 1) expect(newRows(await pass())).toBe(0);
  });

  test('a run that ends is counted once more at once', async () => {
    const [ended] = runs;
    if (ended === undefined) throw new Error('no run');
    for (let i = 0; i < RUNS.length; i += 1) {
      await stage.patch(xcom(ended, 'return_value', 3));
      if ((await pass()).looks === 1) break;
    }
    await stage.patch({ ...xcom(ended, 'return_value', 4), stored: '"changed"' });
    await stage.setState(ended, 'success');
    const report = await pass();
    expect(report.looks).toBe(2);
    expect(newRows(report)).toBeGreaterThanOrEqual(1);
  });

  test('after a restart every live run is looked at', async () => {
    const restored = cycle.snapshot();
    await cycle.close();
    for (const run of runs) await stage.patch({ ...xcom(run, 'return_value', 5), stored: '"again"' });
    // What a state file does not keep.
    restored.lastReading = null;
    cycle = openCycle(stage, {
      endpoint: s3().endpoint,
      restored,
      through: (database) => noting(database, sent),
    });
    const report = await pass();
    expect(report.looks).toBe(RUNS.length);
    expect(newRows(report)).toBe(RUNS.length);
  });
});

function newRows({ increments }: Report): number {
  return increments.reduce((sum, one) => sum + (one.metric === 'rows_total' ? one.by : 0), 0);
}

function noting(database: Database, sent: Statement[]): Pick<Database, 'read'> {
  return {
    read: (read, signal) =>
      database.read(
        (query) =>
          read((statement) => {
            sent.push(statement);
            return query(statement);
          }),
        signal,
      ),
  };
}

/** One row in each of the instances of a mapped task in each run, an hour ago. */
async function fill({ writer, shape }: Stage): Promise<void> {
  await writer.query(/* SQL */ `
    INSERT INTO task_instance (id, dag_id, run_id, task_id, ${shape.mapIndexColumn}, try_number, pool, pool_slots, queue, state)
    SELECT gen_random_uuid(), r.dag_id, r.run_id, 'mapped', m - 1, 1, 'default_pool', 1, 'default', 'running'
    FROM dag_run r, generate_series(1, ${INSTANCES}) m`);
  await writer.query(/* SQL */ `
    INSERT INTO xcom_v2 (id, task_instance_id, key, value, timestamp)
    SELECT ${uuid7("now() - interval '1 hour'")}, id, 'return_value', '"value"', now() FROM task_instance`);
}
