import { afterAll, describe, expect, test } from 'vitest';
import type { Database, Statement } from '../../../src/postgres/client.ts';
import { betweenQueries } from '../../support/between-queries.ts';
import { BASE, BUCKET, noise, uuid4 } from '../../support/plant.ts';
import { useOwnPostgres } from '../../support/postgres.ts';
import { useS3 } from '../../support/s3.ts';
import type { Run, Stage, StageCycle } from '../../support/seed.ts';
import { listShapes, openCycle, openStage } from '../../support/seed.ts';
import { uuid7 } from '../../support/uuid7.ts';

const postgres = useOwnPostgres({
  settings: {
    shared_buffers: '256MB',
    maintenance_work_mem: '128MB',
    autovacuum: 'off',
    max_wal_size: '4GB',
    // Somebody may have set these for other statements.
    enable_indexscan: 'off',
    enable_bitmapscan: 'off',
    enable_nestloop: 'off',
  },
});
const s3 = useS3(BUCKET);

/**
 * Half a busy week: 6,250 runs of 500 dags, with 4 tasks in each run and 5 rows for every task; the last run has a
 * mapped task. The plans are as good with a month of rows: none has a sequential scan. A cycle touches the pages of
 * the window, and the window is one day in both cases.
 */
const RUNS = 6_250;
const DAYS = 3.75;
const MAPPED = 1_000;
const TASKS = 4;
const KEYS = 5;
const LIVE = 20;
/** References of the mapped task whose objects are gone. */
const LOST = 30;

/** The large tables. dag_run is read by its indexes as well, but a page of it costs next to nothing. */
const LARGE = ['xcom', 'xcom_v1', 'xcom_v2', 'task_instance'];

/**
 * The most pages that the statements of one ordinary cycle may touch, three times what was measured. The 20 live
 * runs, and the rows that are looked at again, make 200 to 1,400.
 */
const PAGES_A_CYCLE = 4_200;
/** The most pages of the first cycle, which reads 34,000 rows of 1,700 runs: 7,000 to 14,000 were measured. */
const PAGES_OF_THE_FIRST = 25_000;

describe.each(listShapes())('$shape (Airflow $release), an eighth of a million rows', ({ release }) => {
  const recorded: Explained[] = [];
  let stage: Stage | null = null;
  let cycle: StageCycle | null = null;

  afterAll(async () => {
    await cycle?.close();
    await stage?.close();
  });

  test('no statement of any cycle scans a table, and an ordinary cycle touches few pages', async () => {
    stage = await openStage(postgres(), release, { fill });
    cycle = openCycle(stage, { endpoint: s3().endpoint, through: explaining(recorded) });
    const [size] = await stage.writer.query<{ rows: number; pages: number }>(
      `SELECT sum(reltuples)::int AS rows, sum(relpages)::int AS pages
       FROM pg_class WHERE relname IN ('xcom', 'xcom_v1', 'xcom_v2')`,
    );
    expect(size?.rows).toBeGreaterThanOrEqual(125_000);
    // A statement that reads all rows, by whatever index, exceeds the limit of pages.
    expect(size?.pages).toBeGreaterThan(PAGES_A_CYCLE);

    // The first cycle reads the window: some 1,700 runs.
    const first = await cycle.pass();
    expect(first.window?.rows.db).toBeGreaterThan(20_000);
    expectIndexed(recorded, release);
    const baseline = recorded.splice(0);
    expect(namesOf(baseline)).toContain('open_recent_runs');

    await write(stage);
    const second = await cycle.pass();
    // Every reference was looked up, and no object exists.
    expect(second).toMatchObject({
      coverage: 1,
      window: { rows: { s3: LIVE + LOST }, broken: { missing: LIVE + LOST } },
    });
    expectIndexed(recorded, release);
    expectNarrow(recorded);
    const { table, value, keyedBy } = stage.source;
    const workers = keyedBy === 'task_instance' ? 'workers' : 'workers_at';
    const sent = [
      'tables',
      'instant',
      'open_active_runs',
      'run_page',
      'open_recent_runs',
      'runs',
      workers,
      `versions_${table}`,
      `canary_tasks_${table}`,
    ];
    if (value === 'jsonb') sent.push(`measure_${table}`);
    if (keyedBy === 'dag_run') sent.push(`counts_${table}`);
    else sent.push('open_task_places', `open_new_rows_${table}`, `open_sweep_${table}`, `task_rows_${table}`);
    expect(namesOf(recorded)).toEqual(expect.arrayContaining(sent));
    // The rows are read by their place: together, or one by one.
    if (keyedBy === 'dag_run')
      expect(namesOf(recorded).some((name) => /^open_rows_(at|between)_/.test(name))).toBe(true);
    const busy = recorded.splice(0);

    await cycle.pass();
    const quiet = recorded.splice(0);
    expectIndexed(quiet, release);
    console.log(
      [
        `Pages touched, Airflow ${release}`,
        ...Object.entries({ baseline, busy, quiet }).map(
          ([name, list]) => `  ${name}: ${pagesOf(list)}: ${summary(list)}`,
        ),
      ].join('\n'),
    );
    expect(pagesOf(baseline)).toBeLessThan(PAGES_OF_THE_FIRST);
    expect(pagesOf(busy)).toBeLessThan(PAGES_A_CYCLE);
    expect(pagesOf(quiet)).toBeLessThan(PAGES_A_CYCLE);
  }, 180_000);
});

/** These statements have no plan. */
const UNPLANNED = ['fetch', 'close', 'savepoint', 'back_to_savepoint'];

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Actual Loops': number;
  /** The count for one loop. */
  readonly 'Rows Removed by Filter'?: number;
  /** Only a Memoize node has this key. */
  readonly 'Cache Key'?: string;
  readonly 'Shared Hit Blocks': number;
  readonly 'Shared Read Blocks': number;
  readonly Plans?: readonly PlanNode[];
}

interface Explained {
  readonly statement: Statement;
  readonly plan: PlanNode;
}

/** Explains every statement with its parameters, in the transaction in which it is sent. */
function explaining(recorded: Explained[]): (database: Database) => Pick<Database, 'read'> {
  return (database) =>
    betweenQueries(database, (query) => async (statement) => {
      // A cursor's statement is planned and run as a whole when the cursor is opened: its fetches have no plan.
      if (UNPLANNED.includes(statement.name)) return query(statement);
      const [answer] = await query<{ 'QUERY PLAN': readonly { readonly Plan: PlanNode }[] }>({
        ...statement,
        text: `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${statement.text}`,
      });
      const plan = answer?.['QUERY PLAN'][0]?.Plan;
      if (plan === undefined) throw new Error(`No plan for ${statement.name}`);
      recorded.push({ statement, plan });
      return query(statement);
    });
}

function nodesOf(plan: PlanNode): PlanNode[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
}

/**
 * Fails when a statement reads many rows of task instances only to discard them, such as all but one of a mapped
 * task's.
 */
function expectNarrow(recorded: readonly Explained[]): void {
  const wide = recorded.flatMap(({ statement, plan }) =>
    nodesOf(plan)
      .filter((node) => node['Relation Name'] === 'task_instance')
      .filter((node) => (node['Rows Removed by Filter'] ?? 0) * node['Actual Loops'] > MAPPED)
      .map(() => statement.name),
  );
  expect(wide).toEqual([]);
}

function expectIndexed(recorded: readonly Explained[], release: string): void {
  const scans = recorded.flatMap(({ statement, plan }) =>
    nodesOf(plan)
      .filter((node) => node['Node Type'] === 'Seq Scan' && LARGE.includes(node['Relation Name'] ?? ''))
      .map((node) => `${release}: ${statement.name} scans ${node['Relation Name'] ?? ''}`),
  );
  expect(scans).toEqual([]);
  // A Memoize node with this key would hash each value, and would fetch and unpack all of it for that.
  const remembered = recorded.filter(({ plan }) =>
    nodesOf(plan).some((node) => node['Cache Key']?.includes('value') === true),
  );
  expect(namesOf(remembered)).toEqual([]);
}

function pagesOf(recorded: readonly Explained[]): number {
  return recorded.reduce((sum, { plan }) => sum + plan['Shared Hit Blocks'] + plan['Shared Read Blocks'], 0);
}

function namesOf(recorded: readonly Explained[]): string[] {
  return [...new Set(recorded.map(({ statement }) => statement.name))];
}

function summary(recorded: readonly Explained[]): string {
  return namesOf(recorded)
    .map((name) => {
      const ours = recorded.filter(({ statement }) => statement.name === name);
      return `${name} ${pagesOf(ours)}${ours.length > 1 ? ` in ${ours.length}` : ''}`;
    })
    .join(', ');
}

/** Fills the tables before their indexes are made, so that no row is inserted into an index singly. */
async function fill({ writer, shape }: Pick<Stage, 'writer' | 'shape'>): Promise<void> {
  const at = `now() - (${RUNS} - r) * interval '1 day' * ${DAYS} / ${RUNS}`;
  const insert = (table: string, columns: Readonly<Record<string, string>>, from: string) =>
    writer.query(
      `INSERT INTO ${table} (${Object.keys(columns).join(', ')}) SELECT ${Object.values(columns).join(', ')} FROM ${from}`,
    );
  const ids = { dag_id: `'dag_' || r % 500`, run_id: `'scheduled__' || r` };
  await insert(
    'dag_run',
    {
      ...ids,
      ...(shape.hasRunAfter ? { run_after: at } : { execution_date: at }),
      // One run was cleared long after it ended, some are running, and the rest have ended.
      state: `CASE WHEN r > ${RUNS - LIVE} OR r = 100 THEN 'running' ELSE 'success' END`,
      run_type: `'scheduled'`,
      queued_at: at,
      start_date: at,
      end_date: `CASE WHEN r <= ${RUNS - LIVE} AND r <> 100 THEN ${at} END`,
    },
    `generate_series(1, ${RUNS}) r`,
  );
  await insert(
    'task_instance',
    {
      ...ids,
      task_id: `CASE WHEN t > ${TASKS} THEN 'mapped' ELSE 'task_' || t END`,
      [shape.mapIndexColumn]: `CASE WHEN t > ${TASKS} THEN t - ${TASKS} - 1 ELSE -1 END`,
      pool: `'default_pool'`,
      pool_slots: '1',
      queue: `'default'`,
      hostname: `'worker-' || r % 20`,
      operator: `'PythonOperator'`,
      state: `'success'`,
      ...(shape.major === 3 ? { id: uuid7(at), try_number: '1' } : {}),
    },
    `generate_series(1, ${RUNS}) r,
     LATERAL generate_series(1, CASE WHEN r = ${RUNS} THEN ${TASKS + MAPPED} ELSE ${TASKS} END) t`,
  );
  const [first] = shape.sources;
  for (const { table, value, keyedBy } of shape.sources) {
    const content = `('"' || repeat('value ', 40) || r || '"')`;
    const stored = value === 'bytea' ? `convert_to(${content}, 'UTF8')` : `${content}::jsonb`;
    if (keyedBy === 'task_instance')
      await writer.query(
        `INSERT INTO ${table} (id, task_instance_id, key, value, timestamp)
         SELECT ${uuid7(at)}, ti.id, 'key_' || k, ${stored}, ${at}
         FROM task_instance ti, generate_series(1, ${KEYS}) k, substr(ti.run_id, 12) s, CAST(s AS int) r
         WHERE ti.task_id <> 'mapped'`,
      );
    else
      await insert(
        table,
        {
          dag_run_id: 'r',
          ...ids,
          task_id: `'task_' || t`,
          map_index: '-1',
          key: `'key_' || k`,
          value: stored,
          timestamp: at,
        },
        // The rows that an upgrade leaves behind: those of the first day's runs.
        `generate_series(1, ${first?.table === 'xcom' ? RUNS : RUNS / 4}) r, generate_series(1, ${TASKS}) t,
         generate_series(1, ${KEYS}) k`,
      );
  }
}

/**
 * Changes the tables between two cycles: adds rows to the live runs, of every kind that leads to a statement of its
 * own.
 */
async function write(stage: Stage): Promise<void> {
  // The settings of this server are for the exporter: with them, every insert of a row would scan a table.
  await stage.writer.query('SET enable_indexscan = on; SET enable_bitmapscan = on; SET enable_nestloop = on');
  const live = await stage.writer.query<Run>(
    `SELECT id, dag_id AS "dagId", run_id AS "runId" FROM dag_run WHERE state = 'running' ORDER BY id DESC LIMIT ${LIVE}`,
  );
  const encode = (text: string) =>
    stage.source.value === 'bytea' ? Buffer.from(JSON.stringify(text)) : JSON.stringify(text);
  // This run is too old to be among the youngest: the exporter asks for it by its id.
  await stage.writer.query(
    `UPDATE dag_run SET state = 'success', end_date = now() WHERE run_id = 'scheduled__100'`,
  );
  for (const run of live) {
    const task = { run, taskId: 'task_1' };
    await stage.push({ ...task, key: 'large', stored: encode(noise(20_000)) });
    await stage.push({ ...task, key: 'packed', stored: encode('x'.repeat(20_000)) });
    const path = `${BASE}/${run.dagId}/${run.runId}/task_1/${uuid4()}`;
    await stage.push({ ...task, key: 'reference', stored: encode(path) });
    await stage.push({ ...task, key: 'key_1', stored: encode('written again') });
  }
  const [run] = live;
  for (let mapIndex = 0; run !== undefined && mapIndex < LOST; mapIndex += 1) {
    const path = `${BASE}/${run.dagId}/${run.runId}/mapped/${uuid4()}`;
    await stage.push({ run, taskId: 'mapped', mapIndex, key: 'return_value', stored: encode(path) });
  }
  // A canary run: the exporter reads its tasks together with their reports.
  const canary = await stage.addRun({
    dagId: 'airflow_xcom_canary',
    runId: 'scheduled__1',
    state: 'running',
  });
  await stage.push({ run: canary, taskId: 'look_default', key: 'canary_report', stored: encode('a report') });
  // Among the ended runs, one row of the last run is deleted, and one row of the window's first run is written again.
  const ended = await stage.writer.query<Run>(
    `SELECT id, dag_id AS "dagId", run_id AS "runId" FROM dag_run
     WHERE id < ${RUNS - LIVE} AND queued_at > now() - interval '1 day' ORDER BY id`,
  );
  const [first, last] = [ended[0], ended.at(-1)];
  if (first === undefined || last === undefined) throw new Error('No run has ended in the window');
  await stage.remove({ run: last, taskId: 'task_1', key: 'key_2' });
  await stage.patch({ run: first, taskId: 'task_1', key: 'key_3', stored: encode('patched') });
}
