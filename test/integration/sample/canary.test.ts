import { randomBytes } from 'node:crypto';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openObjectStore } from '../../../src/s3/client.ts';
import type { Report } from '../../../src/diagnosis/report.ts';
import { MOST_REPORT_BYTES } from '../../../src/canary/report.ts';
import { DENIED, lookOf, readOf, WITHOUT_BACKEND } from '../../support/canary.ts';
import { BASE, BUCKET, dumps, uuid4 } from '../../support/plant.ts';
import { usePostgres } from '../../support/postgres.ts';
import { connectionTo, recordRequests, useS3 } from '../../support/s3.ts';
import type { NewXCom, Run, Stage, StageCycle } from '../../support/seed.ts';
import { listShapes, openCycle, openStage, sumUp } from '../../support/seed.ts';

const postgres = usePostgres();
const s3 = useS3(BUCKET);
const DAG_ID = 'airflow_xcom_canary';

describe.each(listShapes())('the canary, $shape (Airflow $release)', ({ release }) => {
  let stage: Stage;
  let cycle: StageCycle;
  let run: Run;
  let runs = 0;

  beforeAll(async () => {
    stage = await openStage(postgres(), release);
  });
  beforeEach(async () => {
    await stage.clear();
    cycle = openCycle(stage, { endpoint: s3().endpoint });
    await cycle.pass();
    run = await begin();
  });
  afterEach(async () => {
    await cycle.close();
  });
  afterAll(async () => {
    await stage.close();
  });

  function begin(dagId = DAG_ID): Promise<Run> {
    runs += 1;
    return stage.addRun({ dagId, runId: `scheduled__${runs}`, state: 'running' });
  }
  /** The value as Airflow stores it, with the exporter's path as the path of the workers. */
  const encode = (value: unknown) => {
    const text = stage.source.value === 'bytea' ? dumps(value) : JSON.stringify(value);
    const told = text.replaceAll('s3://aws_xcom@airflow-xcom/xcom', BASE);
    return stage.source.value === 'bytea' ? Buffer.from(told) : told;
  };
  const leave = (report: ReturnType<typeof lookOf>, to: Partial<NewXCom> = {}) =>
    stage.push({
      run,
      taskId: `${report['step'] as string}_${report['pool'] as string}`,
      key: 'canary_report',
      stored: encode(report),
      ...to,
    });
  /** Writes a reference, and the object that it names. */
  async function write(path: string, to: Pick<NewXCom, 'run' | 'taskId'>): Promise<void> {
    const key = path.slice(`s3://aws_xcom@${BUCKET}/`.length);
    const store = openObjectStore(connectionTo(s3().endpoint, s3()), {
      observer: recordRequests(),
      log: pino({ level: 'silent' }),
    });
    const put = await store.put(
      { bucket: BUCKET, key, body: Buffer.from('1') },
      new AbortController().signal,
    );
    expect(put.kind).toBe('done');
    store.close();
    await stage.push({ ...to, key: 'return_value', stored: encode(path) });
  }
  const statesOf = ({ canary }: Report) => canary.verdict?.pools.map(({ name, state }) => `${name} ${state}`);

  test('is in no figure of the team', async () => {
    const path = `${BASE}/${DAG_ID}/${run.runId}/look_default/${uuid4()}`;
    await stage.push({ run, taskId: 'look_default', key: 'canary_payload', stored: encode(path) });
    await stage.push({
      run,
      taskId: 'look_legacy',
      key: 'canary_payload',
      stored: encode('x'.repeat(5_000)),
    });
    await leave(lookOf('default'));
    const report = await cycle.pass();
    expect(statesOf(report)).toEqual(['default works', 'denied waits', 'legacy waits']);
    expect(sumUp(report.increments)).toEqual({ counters: {}, sizes: {} });
    expect(report.window).toMatchObject({
      rows: { db: 0, s3: 0, other: 0 },
      oversizeRows: 0,
      broken: { missing: 0 },
      orphanObjects: 0,
    });
    expect(report.problems).toEqual([]);
    expect(cycle.ledger.runs().size).toBe(0);
  });

  test('of another name is the team’s own', async () => {
    const other = await begin('airflow_xcom_canary_2');
    await stage.push({
      run: other,
      taskId: 'look_default',
      key: 'canary_report',
      stored: encode(lookOf('default')),
    });
    const report = await cycle.pass();
    expect(report.window?.rows.db).toBe(1);
    expect(report.canary.verdict).toBeNull();
  });

  test('is heard in its latest run, and remembered when the next has deleted what it said', async () => {
    await leave(lookOf('default'));
    await leave(lookOf('denied', DENIED));
    await leave(
      readOf('default', [{ operation: 'read', ok: true, got: 'equal', from: 'denied', seconds: 0.5 }]),
    );
    const first = await cycle.pass();
    expect(statesOf(first)).toEqual(['default works', 'denied fails', 'legacy waits']);
    expect(first.problems.map(({ code }) => code)).toEqual(['canary_failing']);

    await stage.remove({ run, taskId: 'look_default', key: 'canary_report' });
    await stage.remove({ run, taskId: 'look_denied', key: 'canary_report' });
    await stage.setState(run, 'success');
    run = await begin();
    expect(statesOf(await cycle.pass())).toEqual(['default works', 'denied fails', 'legacy waits']);

    await leave(lookOf('denied'));
    const last = await cycle.pass();
    expect(statesOf(last)).toEqual(['default works', 'denied works', 'legacy waits']);
    expect(last.canary.verdict?.pools[0]?.operations.map(({ operation }) => operation)).toEqual([
      'push',
      'pull',
      'read',
    ]);
  });

  test('that is forged changes nothing but a count, and a value that is long does not leave the database', async () => {
    await leave(lookOf('default'));
    const honest = await cycle.pass();
    const forged: Partial<NewXCom>[] = [
      // A megabyte that Postgres stores as it is, and one that it packs into a few bytes.
      { stored: encode(randomBytes(500_000).toString('hex')) },
      { stored: encode({ ...lookOf('legacy'), more: 'x'.repeat(1e6) }) },
      { stored: encode('x'.repeat(MOST_REPORT_BYTES + 1)) },
      { stored: encode(lookOf('denied')) },
      { stored: encode({ ...lookOf('default'), operations: 'none' }) },
      { stored: encode(6) },
      { stored: null },
    ];
    if (stage.source.value === 'bytea') forged.push({ stored: Buffer.from([0x80, 0xff, 0xfe]) });
    for (const [mapIndex, one] of forged.entries())
      await leave(lookOf('default'), { mapIndex, taskId: 'look_default_2', ...one });
    const report = await cycle.pass();
    expect(report.canary.verdict).toEqual({ ...honest.canary.verdict });
    const refused = [...report.canary.refusals.values()].reduce((sum, count) => sum + count, 0);
    expect(refused).toBe(forged.length);
    expect(report.canary.refusals.get('too_large')).toBe(4);
    // The forged reports stay and are refused, but each is counted once.
    expect((await cycle.pass()).canary.refusals.size).toBe(0);
  });

  test('that was cleaned but for one run is silent in time, and asked for no more', async () => {
    await leave(lookOf('default'));
    await cycle.pass();
    // `airflow db clean` keeps the latest scheduled run of each DAG, without its tasks.
    await begin();
    await stage.deleteRun(run);
    expect(statesOf(await cycle.pass())).toEqual(['default works', 'denied waits', 'legacy waits']);
    expect(statesOf(await cycle.pass())).toEqual(['default works', 'denied waits', 'legacy waits']);
  });

  test('of which no run is left is gone, with what it said, also after a restart', async () => {
    await leave(lookOf('denied', DENIED));
    const before = await cycle.pass();
    expect(before.states.canary_failing).toBe('raised');
    await stage.deleteRun(run);
    const codes = ['canary_failing', 'worker_settings_differ', 'canary_silent'];
    const gone = { canary: { verdict: null }, takenBack: codes, states: { canary_failing: 'unknown' } };
    expect(await cycle.pass()).toMatchObject(gone);
    await cycle.close();
    cycle = openCycle(stage, { endpoint: s3().endpoint, restored: cycle.state() });
    expect(await cycle.pass()).toMatchObject(gone);
    // It is set up again.
    run = await begin();
    await leave(lookOf('default'));
    const again = await cycle.pass();
    expect(statesOf(again)?.[0]).toBe('default works');
    expect(again.takenBack).toEqual([]);
  });

  test('of another database leads to no run of another dag that has its id here', async () => {
    const other = await begin('orders');
    await leave(lookOf('default', DENIED), { run: other });
    const canarySeen = { dagId: DAG_ID, runIds: [other.id], refused: new Set<string>() };
    const next = openCycle(stage, { endpoint: s3().endpoint, canarySeen });
    const { canary } = await next.pass();
    expect(canary.verdict?.pools ?? []).toEqual([]);
    await next.close();
  });

  test('that no setting names any more is gone, though its runs are there', async () => {
    await leave(lookOf('denied', DENIED));
    await cycle.pass();
    await cycle.close();
    const env = { XCOM_EXPORTER_CANARY_DAG_ID: '' };
    cycle = openCycle(stage, { endpoint: s3().endpoint, env, restored: cycle.state() });
    expect((await cycle.pass()).takenBack).toContain('canary_failing');
  });

  test('tells what nobody told the exporter, also after a restart', async () => {
    await cycle.close();
    // These are the settings that `stageConfig` tells unless a test leaves them out.
    const nothing = {
      AIRFLOW__CORE__XCOM_BACKEND: undefined,
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION: undefined,
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: undefined,
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD: undefined,
    };
    const untold = { endpoint: s3().endpoint, env: nothing };
    cycle = openCycle(stage, untold);
    const before = await cycle.pass();
    expect(Object.values(before.told)).toEqual([false, false, false, false]);
    expect(before.states).toMatchObject({ threshold_disabled: 'unknown', backend_inactive: 'unknown' });

    await leave(lookOf('default'));
    await leave(lookOf('denied'));
    const some = await cycle.pass();
    expect(some.heard).toEqual([]);
    await leave(lookOf('legacy'));
    // One reference is below the path that all reports name, one below another path.
    const other = await begin('orders');
    for (const [taskId, base] of [
      ['here', BASE],
      ['there', 's3://aws_xcom@airflow-xcom/elsewhere'],
    ] as const)
      await write(`${base}/orders/${other.runId}/${taskId}/${uuid4()}`, { run: other, taskId });
    const heard = await cycle.pass();
    expect(Object.values(heard.told)).toEqual([true, true, true, true]);
    expect(heard.heard.map(({ name }) => name)).toEqual([
      'xcom.path',
      'xcom.threshold',
      'xcom.compression',
      'xcom.backend',
    ]);
    expect(heard.thresholdBytes).toBe(1000);
    expect(heard.backend).toMatchObject({ bucket: 'airflow-xcom', prefix: 'base', connection: 'aws_xcom' });
    expect(heard.states).toMatchObject({
      threshold_disabled: 'clear',
      backend_inactive: 'clear',
      compression_unsupported: 'clear',
      worker_settings_differ: 'clear',
    });
    expect(heard.window?.broken).toMatchObject({ missing: 0, path_mismatch: 1 });

    await cycle.close();
    cycle = openCycle(stage, { ...untold, restored: cycle.state() });
    expect((await cycle.pass()).heard).toEqual(heard.heard);

    // One pool is now set up in another way: the settings that the reports agreed on are not known any more.
    run = await begin();
    await leave(lookOf('denied', WITHOUT_BACKEND));
    const differ = await cycle.pass();
    expect(Object.values(differ.told)).toEqual([false, false, false, true]);
    expect(differ.states).toMatchObject({ threshold_disabled: 'unknown', worker_settings_differ: 'raised' });
  });
});
