import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Report } from '../../../src/diagnosis/report.ts';
import { openObjectStore } from '../../../src/s3/client.ts';
import { pino } from 'pino';
import { BASE, BUCKET, uuid4 } from '../../support/plant.ts';
import { usePostgres } from '../../support/postgres.ts';
import { connectionTo, recordRequests, useS3 } from '../../support/s3.ts';
import type { NewXCom, Run, Stage } from '../../support/seed.ts';
import { openCycle, openStage } from '../../support/seed.ts';

/** The writer of a row is told by the row's key, task instance and time, never by what its value looks like. */

const postgres = usePostgres();
const s3 = useS3(BUCKET);
const { signal } = new AbortController();

/** Text that is JSON, as `json.dumps`, the HttpOperator or `echo` in a BashOperator return it. */
const JSON_TEXTS = [
  JSON.stringify({ rows: ['x'.repeat(2_000)] }),
  JSON.stringify(['x'.repeat(2_000)]),
  JSON.stringify('x'.repeat(2_000)),
];
const SMALL_JSON_TEXTS = ['5', 'true', 'null', '"a"', '{"a": 1}', '[1]', '"\\"a\\""'];

describe.each(['3.0.6', '3.3.2', '3.4.0b2'])('on Airflow %s', (release) => {
  let stage: Stage;
  let run: Run;
  beforeAll(async () => {
    stage = await openStage(postgres(), release);
  });
  beforeEach(async () => {
    await stage.clear();
    run = await stage.addRun({ dagId: 'orders', runId: 'run' });
  });
  afterAll(() => stage.close());

  const store = () =>
    openObjectStore(connectionTo(s3().endpoint, s3()), {
      observer: recordRequests(),
      log: pino({ level: 'silent' }),
    });

  async function text(taskId: string, value: string, more: Partial<NewXCom> = {}): Promise<void> {
    await stage.push({ run, taskId, stored: JSON.stringify(value), ...more });
  }

  async function references(count: number, queue = 'default'): Promise<void> {
    const objects = store();
    for (let at = 0; at < count; at += 1) {
      const path = `${BASE}/orders/run/good_${queue}_${at}/${uuid4()}`;
      const key = path.slice(path.indexOf(BUCKET) + BUCKET.length + 1);
      await objects.put({ bucket: BUCKET, key, body: Buffer.alloc(2_000, 'x') }, signal);
      await text(`good_${queue}_${at}`, path, { queue });
    }
    objects.close();
  }

  /**
   * Moves the task's end to an hour ago, so that its rows count as written by the server; `columns` can move its
   * start too.
   */
  async function endedBefore(taskId: string, columns = ''): Promise<void> {
    await stage.writer.query(
      `UPDATE task_instance SET state = 'success', updated_at = clock_timestamp() - interval '1 hour' ${columns} WHERE task_id = $1`,
      [taskId],
    );
  }

  async function endedAfter(): Promise<void> {
    await stage.writer.query(
      `UPDATE task_instance SET state = 'success', updated_at = clock_timestamp() WHERE updated_at IS NULL`,
    );
  }

  async function look(threshold: number): Promise<Report> {
    const cycle = openCycle(stage, {
      endpoint: s3().endpoint,
      env: { AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD: String(threshold) },
    });
    try {
      return await cycle.pass();
    } finally {
      await cycle.close();
    }
  }

  const said = ({ problems }: Report) => problems.map(({ code }) => code);

  test.each([0, 1_000])(
    'text that is JSON, and no reference, with threshold %i: no backend',
    async (threshold) => {
      for (const [at, value] of JSON_TEXTS.entries()) await text(`task_${at}`, value);
      await endedAfter();
      const report = await look(threshold);
      expect(said(report)).toEqual(['backend_inactive']);
      expect(report.problems[0]?.evidence).not.toContain('REST API');
    },
  );

  test('small text that is JSON, and no reference, with threshold 0: no backend', async () => {
    for (const [at, value] of SMALL_JSON_TEXTS.entries()) await text(`task_${at}`, value);
    await endedAfter();
    expect(said(await look(0))).toEqual(['backend_inactive']);
  });

  test('text that is JSON of one queue, and references of another: a bypass', async () => {
    await references(8);
    for (let at = 0; at < 9; at += 1)
      await text(`legacy_${at}`, JSON_TEXTS[at % 3] ?? '', { queue: 'legacy' });
    await endedAfter();
    const report = await look(1_000);
    expect(said(report)).toEqual(['worker_bypass']);
    expect(report.problems[0]?.where).toContainEqual({ label: 'queue', value: 'legacy', rows: 9 });
    expect(report.problems[0]?.evidence).not.toContain('REST API');
  });

  test('while its task runs or waits, text that is JSON is the task’s', async () => {
    await text('running', JSON_TEXTS[0] ?? '');
    await text('waiting', JSON_TEXTS[1] ?? '');
    await stage.writer.query(
      `UPDATE task_instance SET state = CASE task_id WHEN 'running' THEN 'running' ELSE 'deferred' END,
        updated_at = clock_timestamp() - interval '1 hour'`,
    );
    expect(said(await look(1_000))).toEqual(['backend_inactive']);
  });

  test('what the server wrote after the end of a task is told to be its own', async () => {
    for (const [at, value] of JSON_TEXTS.entries()) {
      await text(`task_${at}`, value);
      await endedBefore(`task_${at}`);
    }
    const report = await look(1_000);
    expect(said(report)).toEqual(['oversize_in_db']);
    expect(report.problems[0]?.evidence).toContain('(3 written by the REST API or the server)');
  });

  test('what is written over a row and leaves its time is the server’s, while its task is at work too', async () => {
    const cycle = openCycle(stage, { endpoint: s3().endpoint });
    try {
      await text('patched', 'small');
      await text('pushed', 'small');
      expect(said(await cycle.pass())).toEqual([]);
      const { table } = stage.source;
      await stage.writer.query(
        `UPDATE ${table} SET value = to_jsonb($1::text) WHERE key = 'return_value' AND ${
          table === 'xcom_v2'
            ? `task_instance_id IN (SELECT id FROM task_instance WHERE task_id = 'patched')`
            : `task_id = 'patched'`
        }`,
        ['x'.repeat(2_000)],
      );
      const patched = await cycle.pass();
      expect(said(patched)).toEqual(['oversize_in_db']);
      expect(patched.problems[0]?.evidence).toContain('(1 written by the REST API or the server)');
      // This row has a new timestamp: it is a push of the task, and it is large as well.
      await text('pushed', 'x'.repeat(2_000));
      expect(said(await cycle.pass())).toEqual(['backend_inactive']);
    } finally {
      await cycle.close();
    }
  });

  test.each(['5', 'true', '0.5', '"5"', '"true"', '"\\"a\\""', '{"a": 1}'])(
    'with threshold 0, %s that the server wrote after the end is no bypass',
    async (stored) => {
      await references(9);
      for (let at = 0; at < 6; at += 1) {
        await stage.push({ run, taskId: `by_trigger_${at}`, stored });
        await endedBefore(`by_trigger_${at}`);
      }
      await endedAfter();
      expect(said(await look(0))).toEqual([]);
    },
  );

  test.each(['past_depends_met', '_airflow_loop_decision_reason', '_airflow_loop_anything', '_link_Some'])(
    'with threshold 0, the key %s is Airflow’s own, whenever it was written',
    async (key) => {
      await references(9);
      for (let at = 0; at < 6; at += 1)
        await stage.push({ run, taskId: `gate_${at}`, key, stored: at % 2 === 0 ? 'true' : '"round 0"' });
      await endedAfter();
      expect(said(await look(0))).toEqual([]);
    },
  );

  test('a key that only begins like one of Airflow’s is a task’s', async () => {
    await references(9);
    for (let at = 0; at < 9; at += 1)
      await text(`gate_${at}`, 'x'.repeat(5_000), { key: 'past_depends_met_often', queue: 'legacy' });
    await endedAfter();
    expect(said(await look(0))).toEqual(['worker_bypass']);
  });

  test('tasks that are not in Python bypass every backend, and that is said', async () => {
    await references(9);
    for (let at = 0; at < 9; at += 1) await text(`stub_${at}`, 'x'.repeat(2_000), { queue: 'golang' });
    await stage.writer.query(`UPDATE task_instance SET operator = '_StubOperator' WHERE queue = 'golang'`);
    await endedAfter();
    const report = await look(1_000);
    expect(said(report)).toEqual(['oversize_in_db']);
    expect(report.problems[0]?.evidence).toContain('(9 by tasks that are not in Python)');
  });
});

/** Airflow 2 has no API that writes XComs, and a trigger that ends a task writes through the backend. */
test('on Airflow 2 what was written after the end of a task is a worker’s', async () => {
  const stage = await openStage(postgres(), '2.10.5');
  const cycle = openCycle(stage, { endpoint: s3().endpoint });
  try {
    const run = await stage.addRun({ dagId: 'orders', runId: 'run' });
    await stage.push({ run, taskId: 'late', stored: Buffer.from(JSON.stringify('x'.repeat(2_000))) });
    await stage.writer.query(
      `UPDATE task_instance SET state = 'success', updated_at = clock_timestamp() - interval '1 hour'`,
    );
    expect((await cycle.pass()).problems.map(({ code }) => code)).toEqual(['backend_inactive']);
  } finally {
    await cycle.close();
    await stage.close();
  }
});
