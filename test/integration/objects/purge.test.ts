import { describe, expect, test } from 'vitest';
import { betweenQueries } from '../../support/between-queries.ts';
import { BASE, BUCKET, dumps, uuid4 } from '../../support/plant.ts';
import { usePostgres } from '../../support/postgres.ts';
import { useS3 } from '../../support/s3.ts';
import { listShapes, openCycle, openStage, sumUp } from '../../support/seed.ts';

const postgres = usePostgres();
const s3 = useS3(BUCKET);

// Seen on Airflow 2.9.3 on a busy machine: the object was gone seconds before the row was.
describe.each(listShapes())('$shape', ({ release }) => {
  test('an object that a try purges is not missing, until that try has ended or its row has stayed', async () => {
    const stage = await openStage(postgres(), release);
    const cycle = openCycle(stage, { endpoint: s3().endpoint });
    try {
      await cycle.pass();
      const run = await stage.addRun({ dagId: 'etl', runId: `manual__${release}` });
      const key = `${run.dagId}/${run.runId}/load/${uuid4()}`;
      const object = `${s3().endpoint}/${BUCKET}/base/${key}`;
      await fetch(object, { method: 'PUT', body: 'x'.repeat(2_000) });
      const text = dumps(`${BASE}/${key}`);
      await stage.push({
        run,
        taskId: 'load',
        stored: stage.source.value === 'bytea' ? Buffer.from(text) : text,
      });
      expect((await cycle.pass()).window?.rows.s3).toBe(1);
      const setTask = (state: string | null, agoMinutes: number) =>
        stage.writer.query(
          `UPDATE task_instance SET state = $1, start_date = now() - make_interval(mins => $2::int)`,
          [state, agoMinutes],
        );

      await setTask('running', 0);
      await fetch(object, { method: 'DELETE' });
      const purging = await cycle.pass();
      expect(purging.window?.broken.missing).toBe(0);
      expect(purging.states.objects_missing).toBe('clear');
      expect(sumUp(purging.increments).counters).toEqual({});

      await setTask('running', 11);
      const stayed = await cycle.pass();
      expect(stayed.window?.broken.missing).toBe(1);
      expect(stayed.states.objects_missing).toBe('raised');
      expect(sumUp(stayed.increments).counters).toMatchObject({ 'references_broken_total etl missing': 1 });

      await fetch(object, { method: 'PUT', body: 'x'.repeat(2_000) });
      expect((await cycle.pass()).window?.broken.missing).toBe(0);
      await fetch(object, { method: 'DELETE' });
      await setTask('success', 0);
      expect((await cycle.pass()).window?.broken.missing).toBe(1);
    } finally {
      await cycle.close();
      await stage.close();
    }
  });

  test('whoever looks first at that moment has not fallen behind: it is not known, and that is said', async () => {
    const stage = await openStage(postgres(), release);
    const cycle = openCycle(stage, { endpoint: s3().endpoint });
    try {
      const run = await stage.addRun({ dagId: 'etl', runId: `cleared__${release}`, agoSeconds: 400 });
      for (const taskId of ['load', 'report']) {
        const key = `${run.dagId}/${run.runId}/${taskId}/${uuid4()}`;
        if (taskId === 'report')
          await fetch(`${s3().endpoint}/${BUCKET}/base/${key}`, { method: 'PUT', body: 'x'.repeat(2_000) });
        const text = dumps(`${BASE}/${key}`);
        const stored = stage.source.value === 'bytea' ? Buffer.from(text) : text;
        await stage.push({ run, taskId, stored, agoSeconds: 300 });
      }
      await stage.writer.query(
        `UPDATE task_instance SET state = 'running', start_date = now() WHERE task_id = 'load'`,
      );
      const { states, undecided, coverage, increments } = await cycle.pass();
      expect(coverage).toBe(0.5);
      expect([states.exporter_behind, states.objects_missing]).toEqual(['clear', 'unknown']);
      expect(undecided.objects_missing).toMatch(
        /^the object of one reference is not known: S3 has no usable object/,
      );
      expect(sumUp(increments).counters).toMatchObject({ 'references_unchecked_total unconfirmed': 1 });
    } finally {
      await cycle.close();
      await stage.close();
    }
  });

  test('a row that is rewritten after the look is not the row whose object was missing', async () => {
    const stage = await openStage(postgres(), release);
    const run = await stage.addRun({ dagId: 'etl', runId: `rewritten__${release}` });
    const references = ['gone', 'written'].map(() => `etl/${run.runId}/load/${uuid4()}`);
    const [gone = '', written = ''] = references.map((key) => {
      const text = dumps(`${BASE}/${key}`);
      return stage.source.value === 'bytea' ? Buffer.from(text) : text;
    });
    const asked: string[] = [];
    const cycle = openCycle(stage, {
      endpoint: s3().endpoint,
      through: (database) =>
        betweenQueries(database, (query) => async (statement) => {
          // The first statement after S3 has answered, in a transaction of its own.
          if (asked.includes('fetch') && statement.name === 'role' && !asked.includes('rewrite')) {
            asked.push('rewrite');
            await stage.patch({ run, taskId: 'load', stored: written });
          }
          asked.push(statement.name.replace(/_.*/, ''));
          return query(statement);
        }),
    });
    try {
      await cycle.pass();
      await fetch(`${s3().endpoint}/${BUCKET}/base/${references[1] ?? ''}`, { method: 'PUT', body: 'x' });
      await stage.push({ run, taskId: 'load', stored: gone });
      asked.length = 0;
      const first = await cycle.pass();
      const around = asked.filter((name) => name === 'rewrite' || name === 'versions');
      expect(around).toEqual(['rewrite', 'versions']);
      expect([first.states.objects_missing, first.window?.rows.s3]).toEqual(['clear', 0]);
      expect(sumUp(first.increments).counters).not.toHaveProperty('references_broken_total etl missing');

      const second = await cycle.pass();
      expect([second.states.objects_missing, second.window?.rows.s3]).toEqual(['clear', 1]);
    } finally {
      await cycle.close();
      await stage.close();
    }
  });
});
