import type { Shape } from '../../src/airflow/shape.ts';
import type { EmbeddedPostgres } from '../../src/demo/embedded-postgres.ts';
import { openStage } from '../support/seed.ts';
import type { Stage } from '../support/seed.ts';
import { uuid7 } from '../support/uuid7.ts';

/** The tasks of a run and the rows of a task: 20 rows a run. */
const TASKS = 4;
const KEYS = 5;
/** A day brings 33,340 rows in 1,667 runs, however long the table has been growing. */
const RUNS_A_DAY = 1_667;
const DAGS = 500;
const LIVE = 20;
/** One row in this many has a value of 2 MB. Every other one of these values cannot be compressed. */
const LARGE_EVERY = 10_000;
const LARGE_BYTES = 2_000_000;

/** The new rows that one cycle finds: mapped task instances in the live runs, one row each. */
export const BUSY_ROWS = 2_000;

/**
 * Builds a history of `rows` rows, with the keys and indexes of the release, vacuumed as autovacuum leaves a table.
 */
export async function buildWorld(
  postgres: EmbeddedPostgres,
  { release, rows }: { release: string; rows: number },
): Promise<Stage> {
  const stage = await openStage(postgres, release, { fill: (on) => fill(on, rows / (TASKS * KEYS)) });
  await stage.writer.query('VACUUM (ANALYZE)');
  return stage;
}

async function fill({ writer, shape }: Pick<Stage, 'writer' | 'shape'>, runs: number): Promise<void> {
  await writer.query(NOISE);
  const at = `now() - (${runs} - r) * interval '1 day' / ${RUNS_A_DAY}`;
  const insert = (table: string, columns: Readonly<Record<string, string>>, from: string) =>
    writer.query(
      `INSERT INTO ${table} (${Object.keys(columns).join(', ')}) SELECT ${Object.values(columns).join(', ')} FROM ${from}`,
    );
  // The youngest runs are live, and so is one that was cleared long after it ended. All others have ended.
  const live = `(r > ${runs - LIVE} OR r = 100)`;
  const ids = { dag_id: `'dag_' || r % ${DAGS}`, run_id: `'scheduled__' || r` };
  await insert(
    'dag_run',
    {
      ...ids,
      ...(shape.hasRunAfter ? { run_after: at } : { execution_date: at }),
      state: `CASE WHEN ${live} THEN 'running' ELSE 'success' END`,
      run_type: `'scheduled'`,
      queued_at: at,
      start_date: at,
      end_date: `CASE WHEN NOT ${live} THEN ${at} + interval '10 minutes' END`,
    },
    `generate_series(1, ${runs}) r`,
  );
  // Runs that are live together write in turns: the rows of one lie between those of the others.
  const inTurns = (from: number, to: number, inner: string) => `
    generate_series(${from}, ${to - 1}, ${LIVE}) b CROSS JOIN LATERAL generate_series(1, ${TASKS} + 0 * b) t
    ${inner} CROSS JOIN LATERAL generate_series(b + 1 + 0 * t, least(b + ${LIVE}, ${to})) r`;
  const keys = `CROSS JOIN LATERAL generate_series(1, ${KEYS} + 0 * t) k`;
  await insert('task_instance', { ...ids, ...taskColumns(shape, at) }, inTurns(0, runs, ''));
  for (const { table, value, keyedBy } of shape.sources) {
    // The rows that an upgrade leaves behind in xcom_v1 are those of the first quarter of the runs.
    const from = keyedBy === 'task_instance' ? runs / 4 : 0;
    const to = table === 'xcom_v1' ? runs / 4 : runs;
    const row = `(r * ${TASKS * KEYS} + t * ${KEYS} + k)`;
    const content = `CASE WHEN ${row} % ${2 * LARGE_EVERY} = 7 THEN (SELECT '"' || text || '"' FROM noise WHERE id = r % 10)
      WHEN ${row} % ${2 * LARGE_EVERY} = ${LARGE_EVERY + 7} THEN '"' || repeat('x', ${LARGE_BYTES}) || '"'
      ELSE '"' || repeat('value ', 20) || r || '"' END`;
    const common = {
      key: `'key_' || k`,
      value: value === 'bytea' ? `convert_to(${content}, 'UTF8')` : `(${content})::jsonb`,
      timestamp: at,
    };
    if (keyedBy === 'task_instance') {
      // The planner knows nothing about the rows that functions give: it would join two tables of millions row by
      // row.
      await writer.query('ANALYZE task_instance; SET enable_nestloop = off');
      await insert(
        table,
        { id: uuid7(at), task_instance_id: `ti.id`, ...common },
        `(SELECT b, t, k, r FROM ${inTurns(from, to, keys)}) w
         JOIN task_instance ti ON ti.dag_id = 'dag_' || r % ${DAGS} AND ti.run_id = 'scheduled__' || r
           AND ti.task_id = 'task_' || t ORDER BY b, t, k, r`,
      );
      await writer.query('RESET enable_nestloop');
    } else
      await insert(
        table,
        { dag_run_id: 'r', ...ids, task_id: `'task_' || t`, map_index: '-1', ...common },
        inTurns(from, to, keys),
      );
  }
}

function taskColumns(shape: Shape, at: string): Record<string, string> {
  return {
    task_id: `'task_' || t`,
    pool: `'default_pool'`,
    pool_slots: '1',
    queue: `'default'`,
    hostname: `'worker-' || r % 20`,
    operator: `'PythonOperator'`,
    state: `'success'`,
    ...(shape.major === 3 ? { id: uuid7(at), try_number: '1' } : {}),
  };
}

/** Ten texts that do not compress. */
const NOISE = `CREATE UNLOGGED TABLE noise AS SELECT id, string_agg(md5(id || '.' || part), '') AS text
  FROM generate_series(0, 9) id, generate_series(1, ${LARGE_BYTES / 32}) part GROUP BY id`;

/**
 * The new rows that a cycle finds: `large` of them have values of 2 MB that do not compress, and `medium` have values
 * of 20 kB that do.
 */
export interface Writing {
  readonly rows: number;
  readonly large: number;
  readonly medium: number;
}

/**
 * Writes what the tasks of the live runs write between two cycles. `name` is their task id, which tells the rows of
 * one call from those of the others.
 */
export async function writeRows(
  { writer, shape, source }: Stage,
  { name, rows, large, medium }: Writing & { name: string },
): Promise<void> {
  const perRun = Math.ceil(rows / LIVE);
  const runs = `(SELECT row_number() OVER (ORDER BY id DESC) AS nth, id, dag_id, run_id FROM dag_run
    WHERE state = 'running' ORDER BY id DESC LIMIT ${LIVE}) d CROSS JOIN generate_series(0, ${perRun - 1}) m`;
  const row = `(m * ${LIVE} + d.nth)`;
  const extra = taskColumns(shape, 'clock_timestamp()');
  const own = { ...extra, task_id: `'${name}'`, hostname: `'worker-1'` };
  await writer.query(
    `INSERT INTO task_instance (dag_id, run_id, ${shape.mapIndexColumn}, ${Object.keys(own).join(', ')})
     SELECT d.dag_id, d.run_id, m, ${Object.values(own).join(', ')} FROM ${runs}`,
  );
  const content = `CASE WHEN ${row} <= ${large} THEN (SELECT '"' || text || '"' FROM noise WHERE id = m % 10)
    WHEN ${row} <= ${large + medium} THEN '"' || repeat('y', 20000) || '"'
    ELSE '"' || repeat('value ', 20) || m || '"' END`;
  const value = source.value === 'bytea' ? `convert_to(${content}, 'UTF8')` : `(${content})::jsonb`;
  if (source.keyedBy === 'task_instance')
    await writer.query(
      `INSERT INTO ${source.table} (id, task_instance_id, key, value, timestamp)
       SELECT ${uuid7('clock_timestamp()')}, ti.id, 'return_value', ${value}, clock_timestamp() FROM ${runs}
       JOIN task_instance ti ON ti.dag_id = d.dag_id AND ti.run_id = d.run_id AND ti.task_id = '${name}'
         AND ti.${shape.mapIndexColumn} = m`,
    );
  else
    await writer.query(
      `INSERT INTO ${source.table} (dag_run_id, dag_id, run_id, task_id, map_index, key, value, timestamp)
       SELECT d.id, d.dag_id, d.run_id, '${name}', m, 'return_value', ${value}, clock_timestamp() FROM ${runs}`,
    );
}
