import { expect, test } from 'vitest';
import { betweenQueries } from '../../support/between-queries.ts';
import { BUCKET } from '../../support/plant.ts';
import { usePostgres } from '../../support/postgres.ts';
import { useS3 } from '../../support/s3.ts';
import type { Run, Stage } from '../../support/seed.ts';
import { listShapes, openCycle, openStage } from '../../support/seed.ts';
import { uuid7 } from '../../support/uuid7.ts';

const postgres = usePostgres();
const s3 = useS3(BUCKET);

const RUNS = 1_500;
/** All rows of an answer are parsed in one turn of the event loop, in which no scrape is served. */
const MOST_ROWS = 1_000;

test.each(listShapes())(
  `no answer holds more than ${MOST_ROWS} rows, however many runs are live: $shape`,
  async ({ release }) => {
    const stage = await openStage(postgres(), release);
    const answers: { readonly name: string; readonly rows: number }[] = [];
    const cycle = openCycle(stage, {
      endpoint: s3().endpoint,
      through: (database) =>
        betweenQueries(database, (query) => async (statement) => {
          const answer = await query<never>(statement);
          answers.push({ name: statement.name, rows: answer.length });
          return answer;
        }),
    });
    try {
      const first = await stage.addRun({ dagId: 'many', runId: 'run_0' });
      await stage.writer.query(/* SQL */ `
      INSERT INTO dag_run SELECT y.* FROM dag_run r, generate_series(1, ${RUNS - 1}) n,
        LATERAL jsonb_populate_record(r, jsonb_build_object('id', r.id + n, 'run_id', 'run_' || n,
          'execution_date', now() - n * interval '1 second')) y`);
      await pushInAll(stage, { first, taskId: 'one' });
      expect((await cycle.pass()).window?.rows.db).toBe(RUNS);
      await pushInAll(stage, { first, taskId: 'two' });
      expect((await cycle.pass()).window?.rows.db).toBe(2 * RUNS);
      await cycle.pass();
      expect(answers.length).toBeGreaterThan(20);
      expect(answers.filter(({ rows }) => rows > MOST_ROWS)).toEqual([]);
    } finally {
      await cycle.close();
      await stage.close();
    }
  },
);

/** Pushes one value in the first run, and copies its task instance and its row to all others. */
async function pushInAll(stage: Stage, { first, taskId }: { first: Run; taskId: string }): Promise<void> {
  const { source, writer } = stage;
  await stage.push({ run: first, taskId, stored: source.value === 'bytea' ? Buffer.from('1') : '1' });
  const id = uuid7('clock_timestamp()');
  await writer.query(
    /* SQL */ `
    INSERT INTO task_instance SELECT y.* FROM task_instance ti JOIN dag_run r ON r.run_id <> ti.run_id,
      LATERAL jsonb_populate_record(ti, jsonb_build_object('run_id', r.run_id, 'id', ${id})) y
    WHERE ti.task_id = $1`,
    [taskId],
  );
  // Autovacuum is off here, and without statistics these joins take seconds.
  await writer.query('ANALYZE');
  await writer.query(
    source.keyedBy === 'dag_run'
      ? /* SQL */ `
        INSERT INTO ${source.table} SELECT y.* FROM ${source.table} x JOIN dag_run r ON r.run_id <> x.run_id,
          LATERAL jsonb_populate_record(x, jsonb_build_object('run_id', r.run_id, 'dag_run_id', r.id)) y
        WHERE x.task_id = $1`
      : /* SQL */ `
        INSERT INTO ${source.table} SELECT y.* FROM ${source.table} x JOIN task_instance t ON t.id = x.task_instance_id
          JOIN task_instance ti ON ti.task_id = t.task_id AND ti.run_id <> t.run_id,
          LATERAL jsonb_populate_record(x, jsonb_build_object('id', ${id}, 'task_instance_id', ti.id)) y
        WHERE t.task_id = $1`,
    [taskId],
  );
  await writer.query('ANALYZE');
}
