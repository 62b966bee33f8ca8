import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Report } from '../../../src/diagnosis/report.ts';
import { uuidMs } from '../../../src/lib/uuid-words.ts';
import type { Database, Statement } from '../../../src/postgres/client.ts';
import { isIn } from '../../../src/settings/shard.ts';
import type { LedgerState } from '../../../src/window/ledger-state.ts';
import { betweenQueries } from '../../support/between-queries.ts';
import { BUCKET } from '../../support/plant.ts';
import { usePostgres } from '../../support/postgres.ts';
import { useS3 } from '../../support/s3.ts';
import type { Run, Stage, StageCycle } from '../../support/seed.ts';
import { listShapes, openCycle, openStage, shapeOf } from '../../support/seed.ts';
import { uuid7 } from '../../support/uuid7.ts';

const postgres = usePostgres();
const s3 = useS3(BUCKET);

/** More rows than one cycle compares. */
const INSTANCES = 1_500;
/** Rows of each task instance in a large window. A cycle compares a share of such a window. */
const KEYS_OF_MANY = 5;
const RUNS = ['one', 'two', 'three'];
/** How many rows one cycle compares; ROUND is the number of cycles until all rows have been compared. */
const COMPARED = 1_000;
const ROUND = Math.ceil((INSTANCES * RUNS.length) / COMPARED) + 1;
const byTaskInstance = listShapes().filter(({ release }) =>
  shapeOf(release).sources.some(({ keyedBy }) => keyedBy === 'task_instance'),
);

interface Sent {
  readonly statement: Statement;
  /** How many rows the statement, or the cursor that it opened, has given. */
  rows: number;
}

describe.each(byTaskInstance)('rows that hang on their task, $shape (Airflow $release)', ({ release }) => {
  let stage: Stage;
  let cycle: StageCycle;
  let runs: Run[] = [];
  const sent: Sent[] = [];

  function open(restored: LedgerState | null = null, window = '24h', shard = '0/1'): StageCycle {
    return openCycle(stage, {
      endpoint: s3().endpoint,
      restored,
      env: { XCOM_EXPORTER_WINDOW: window, XCOM_EXPORTER_SHARD: shard },
      through: (database) => noting(database, sent),
    });
  }
  async function reopen(change: (state: LedgerState) => void, window?: string): Promise<void> {
    const restored = cycle.state();
    await cycle.close();
    change(restored);
    cycle = open(restored, window);
  }

  beforeAll(async () => {
    stage = await openStage(postgres(), release);
    runs = await Promise.all(RUNS.map((runId) => stage.addRun({ dagId: 'mapped', runId })));
    await fill(stage);
    cycle = open();
    expect(await pass()).toMatchObject({
      increments: [],
      window: { rows: { db: INSTANCES * RUNS.length } },
    });
  });
  afterAll(async () => {
    await cycle.close();
    await stage.close();
  });

  async function pass(): Promise<Report> {
    sent.length = 0;
    return cycle.pass();
  }
  const namesOf = () => sent.map(({ statement }) => statement.name);

  /** Gives how many rows are counted until every row has been compared once. */
  async function round(): Promise<number> {
    let counted = 0;
    for (let i = 0; i < ROUND; i += 1) {
      counted += newRows(await pass());
      const swept = sent.filter(({ statement }) => statement.name.startsWith('open_sweep'));
      expect(swept).toHaveLength(1);
      // Some of the task instances are made in the same millisecond.
      expect(swept[0]?.rows).toBeLessThan(1.2 * COMPARED);
    }
    return counted;
  }

  const xcom = (run: Run, key: string, mapIndex = 0) => ({
    run,
    taskId: 'mapped',
    mapIndex,
    key,
    stored: '"new"',
  });
  const rowsOf = ({ window }: Report) => window?.rows.db;
  /** A session reports its deletions up to ten seconds later, unless it is asked to report at once. */
  const tellCounts = () => stage.writer.query('SELECT pg_stat_force_next_flush()');
  async function rowsThere(): Promise<number> {
    const [row] = await stage.writer.query<{ rows: number }>(
      `SELECT count(*)::int AS rows FROM xcom_v2 WHERE timestamp > now() - interval '24 hours'`,
    );
    return row?.rows ?? -1;
  }

  test('new rows are counted at once, what is changed or deleted within a round', async () => {
    for (const [at, run] of runs.entries()) {
      await stage.push(xcom(run, 'new'));
      await stage.patch(xcom(run, 'return_value', 500 * at));
      await stage.remove(xcom(run, 'return_value', 1_499 - at));
    }
    expect(newRows(await pass())).toBeGreaterThanOrEqual(RUNS.length);
    await round();
    expect(rowsOf(await pass())).toBe(await rowsThere());
    expect(await round()).toBe(0);

    for (const run of runs) await stage.patch(xcom(run, 'return_value', 700));
    expect(await round()).toBe(RUNS.length);
    expect(await round()).toBe(0);
  });

  test('a row that is written again with a time before the window leaves it', async () => {
    const [run] = runs;
    if (run === undefined) throw new Error('no run');
    const before = rowsOf(await pass()) ?? 0;
    await stage.push({ ...xcom(run, 'return_value', 3), agoSeconds: 2 * 86_400 });
    expect(await round()).toBe(0);
    expect(rowsOf(await pass())).toBe(before - 1);
    expect(before - 1).toBe(await rowsThere());
    await stage.push(xcom(run, 'return_value', 3));
    expect(await round()).toBe(1);
  });

  test('a transaction that commits late, and writers whose clocks are off', async () => {
    const late = await stage.connect();
    await late.query('BEGIN');
    for (const run of runs) await stage.push({ ...xcom(run, 'late'), agoSeconds: 300 }, late);
    for (const run of runs) await stage.push({ ...xcom(run, 'ahead'), agoSeconds: -300 });
    expect(newRows(await pass())).toBe(RUNS.length);
    await late.query('COMMIT');
    expect(newRows(await pass())).toBe(RUNS.length);
    expect(await round()).toBe(0);
    // These clocks are off by more than the range in which new rows are looked for.
    for (const run of runs) await stage.push({ ...xcom(run, 'an hour behind'), agoSeconds: 3_600 });
    expect(await round()).toBe(RUNS.length);
    expect(await round()).toBe(0);
  });

  test('the instances of a mapped task are asked for together', async () => {
    await stage.writer.query(/* SQL */ `
      INSERT INTO xcom_v2 (id, task_instance_id, key, value, timestamp)
      SELECT ${uuid7('clock_timestamp()')}, id, 'again', '"value"', now() FROM task_instance WHERE task_id = 'mapped'`);
    expect(newRows(await pass())).toBe(INSTANCES * RUNS.length);
    const ranges = sent
      .filter(({ statement }) => statement.name === 'open_task_places')
      .map(({ statement }) => (statement.values[0] as string[]).length);
    // A range for each run, in each page of rows that one fetch gives.
    expect(ranges.reduce((sum, one) => sum + one, 0)).toBeLessThan(40);
    await stage.writer.query(`DELETE FROM xcom_v2 WHERE key = 'again'`);
    // The exporter remembers twice as many rows, so that two rounds are needed.
    expect((await round()) + (await round())).toBe(0);
    expect(rowsOf(await pass())).toBe(await rowsThere());
  });

  test('a task instance that has waited for ten days takes nobody through what was written meanwhile', async () => {
    const [run] = runs;
    if (run === undefined) throw new Error('no run');
    await stage.writer.query(
      /* SQL */ `
      INSERT INTO task_instance (id, dag_id, run_id, task_id, ${stage.shape.mapIndexColumn}, try_number, pool, pool_slots, queue, state)
      SELECT ${uuid7("now() - interval '10 days'")}, dag_id, run_id, 'sensor', -1, 1, 'default_pool', 1, 'default', 'running'
      FROM dag_run WHERE id = $1`,
      [run.id],
    );
    const waited = { run, taskId: 'sensor', stored: '"at last"' };
    await stage.push(waited);
    expect(newRows(await pass())).toBe(1);
    await stage.patch({ ...waited, stored: '"once more"' });
    let longest = 0;
    let counted = 0;
    for (let i = 0; i < ROUND; i += 1) {
      counted += newRows(await pass());
      for (const { statement } of sent)
        if (statement.name.startsWith('open_sweep')) {
          const [firsts, lasts] = statement.values.slice(3) as string[][];
          const now = Date.now();
          for (const [at, first] of (firsts ?? []).entries())
            longest = Math.max(longest, Math.min(now, uuidMs(lasts?.[at] ?? '')) - uuidMs(first));
        }
    }
    expect(counted).toBe(1);
    expect(longest).toBeLessThan(25 * 3_600_000);
    await stage.remove(waited);
    expect(await round()).toBe(0);
    expect(rowsOf(await pass())).toBe(await rowsThere());
  });

  test('what is done to a run that has ended', async () => {
    const [ended] = runs;
    if (ended === undefined) throw new Error('no run');
    await stage.setState(ended, 'success');
    expect(newRows(await pass())).toBe(0);
    await stage.patch({ ...xcom(ended, 'return_value', 4), stored: '"changed"' });
    expect(await round()).toBe(1);
    await stage.push(xcom(ended, 'by hand'));
    expect(newRows(await pass())).toBe(1);
    await stage.setState(ended, 'running');
    expect(await round()).toBe(0);
  });

  test('a run whose only row was in the table from before, and is written anew', async () => {
    const [old] = stage.shape.sources;
    if (old === undefined) throw new Error('no table');
    const run = await stage.addRun({ dagId: 'mapped', runId: 'from before' });
    await stage.push({ ...xcom(run, 'return_value'), table: old.table });
    expect(newRows(await pass())).toBe(1);
    await stage.remove({ ...xcom(run, 'return_value'), table: old.table });
    await stage.push(xcom(run, 'return_value'));
    expect(newRows(await pass())).toBe(1);
    await stage.deleteRun(run);
    await round();
  });

  test('after a restart the readings go on, and nothing is read again', async () => {
    for (const run of runs) await stage.push(xcom(run, 'meanwhile'));
    await reopen(() => undefined);
    expect(newRows(await pass())).toBe(RUNS.length);
    expect(namesOf()).not.toContain('open_rows_of_tasks_xcom_v2');
    expect(await round()).toBe(0);
  });

  test('what a state file of an older version does not say is read from the table', async () => {
    const empty = await stage.addRun({ dagId: 'mapped', runId: 'empty' });
    await pass();
    for (const run of runs) {
      await stage.push(xcom(run, 'much later'));
      await stage.patch({ ...xcom(run, 'return_value', 5), stored: '"again"' });
    }
    await stage.push(xcom(empty, 'the first one'));
    await reopen((state) => {
      state.lastReading = null;
    });
    expect(newRows(await pass())).toBe(2 * RUNS.length + 1);
    expect(namesOf()).toContain('open_rows_of_tasks_xcom_v2');
    expect(await round()).toBe(0);
  });

  test('a window that is made longer counts nothing that was there all the time', async () => {
    for (const run of runs) await stage.push({ ...xcom(run, 'this morning'), agoSeconds: 7_200 });
    expect(await round()).toBe(RUNS.length);
    await reopen(() => undefined, '1h');
    await pass();
    await reopen(() => undefined, '24h');
    const longer = await pass();
    expect(newRows(longer)).toBe(0);
    expect(rowsOf(longer)).toBe(await rowsThere());
    expect(await round()).toBe(0);
  });

  test('a shard that has few rows does not look through those of the others in each cycle', async () => {
    await cycle.close();
    const shard = [0, 1].find((index) => !isIn({ index, count: 2 }, 'mapped'));
    cycle = open(null, '24h', `${shard}/2`);
    expect(rowsOf(await pass())).toBe(0);
    let [looks, all] = [0, 0];
    const CYCLES = 121;
    for (let i = 0; i < CYCLES; i += 1) {
      expect(newRows(await pass())).toBe(0);
      const swept = sent.find(({ statement }) => statement.name.startsWith('open_sweep'))?.rows ?? 0;
      all += swept;
      looks += swept > 0 ? 1 : 0;
    }
    // Rows made an hour ago, and rows that these tests have made since, lie in two or three of a hundred and twenty
    // parts.
    expect(looks).toBeLessThan(5);
    expect(all).toBeLessThan(2 * (await rowsThere()));
    expect(all).toBeGreaterThan(INSTANCES);
  });

  test('of a large window more is compared while rows are deleted, and all of it within twenty cycles', async () => {
    await cycle.close();
    await stage.writer.query(/* SQL */ `
      INSERT INTO xcom_v2 (id, task_instance_id, key, value, timestamp)
      SELECT ${uuid7("now() - interval '1 hour'")}, id, 'many_' || n, '"value"', now()
      FROM task_instance, generate_series(1, ${KEYS_OF_MANY}) n WHERE task_id = 'mapped'`);
    await tellCounts();
    cycle = open();
    const all = rowsOf(await pass()) ?? 0;
    expect(all).toBe(await rowsThere());
    const compared = async () => {
      const { window } = await pass();
      const swept = sent.find(({ statement }) => statement.name.startsWith('open_sweep'));
      return { rows: window?.rows.db ?? 0, swept: swept?.rows ?? 0 };
    };
    // Nothing was deleted since the window was read.
    for (let i = 0; i < 3; i += 1) expect((await compared()).swept).toBeLessThan(1.2 * COMPARED);

    await stage.writer.query(`DELETE FROM xcom_v2 WHERE key = 'many_1'`);
    await tellCounts();
    const most = all / 18;
    let cycles = 0;
    for (let rows = all; rows !== (await rowsThere()); cycles += 1) {
      const look = await compared();
      expect(look.swept).toBeLessThan(1.2 * most);
      rows = look.rows;
    }
    // The first of these cycles learns of the deletion, and compares its part at the old pace.
    expect(cycles).toBeLessThanOrEqual(21);
    for (let i = 0; i < 20; i += 1) await pass();
    expect((await compared()).swept).toBeLessThan(1.2 * COMPARED);
  });
});

function newRows({ increments }: Report): number {
  return increments.reduce((sum, one) => sum + (one.metric === 'rows_total' ? one.by : 0), 0);
}

function noting(database: Database, sent: Sent[]): Pick<Database, 'read'> {
  const cursorOf = ({ text }: Statement) => /^(?:DECLARE|FETCH \d+ FROM) (rows_\d+)/.exec(text)?.[1];
  return betweenQueries(database, (query) => async (statement) => {
    const answer = await query<never>(statement);
    const cursor = cursorOf(statement);
    const opened = sent.findLast((one) => cursor !== undefined && cursorOf(one.statement) === cursor);
    if (statement.name === 'fetch' && opened !== undefined) opened.rows += answer.length;
    else sent.push({ statement, rows: answer.length });
    return answer;
  });
}

/** Adds one row for each instance of a mapped task in each run, made an hour ago, one after the other. */
async function fill({ writer, shape }: Stage): Promise<void> {
  const made = `now() - interval '1 hour' + (2000 * r.id + m) * interval '1 millisecond'`;
  await writer.query(/* SQL */ `
    INSERT INTO task_instance (id, dag_id, run_id, task_id, ${shape.mapIndexColumn}, try_number, pool, pool_slots, queue, state)
    SELECT ${uuid7(made)}, r.dag_id, r.run_id, 'mapped', m - 1, 1, 'default_pool', 1, 'default', 'running'
    FROM dag_run r, generate_series(1, ${INSTANCES}) m`);
  await writer.query(/* SQL */ `
    INSERT INTO xcom_v2 (id, task_instance_id, key, value, timestamp)
    SELECT ${uuid7("now() - interval '1 hour'")}, id, 'return_value', '"value"', now() FROM task_instance`);
}
