import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Report } from '../../../src/diagnosis/report.ts';
import type { Database, Query } from '../../../src/postgres/client.ts';
import type { ObjectStore } from '../../../src/s3/client.ts';
import { openObjectStore } from '../../../src/s3/client.ts';
import type { LedgerState } from '../../../src/window/ledger-state.ts';
import { BASE, BUCKET, dumps, uuid4 } from '../../support/plant.ts';
import { usePostgres } from '../../support/postgres.ts';
import { connectionTo, recordRequests, useS3 } from '../../support/s3.ts';
import { listShapes, openCycle, openStage } from '../../support/seed.ts';
import type { Run, Stage, StageCycle } from '../../support/seed.ts';

/**
 * Objects without a row, under runs that have ended. All objects are written now. The clock of the database is ahead,
 * and rows may be too: the object of a row is older than the row.
 */

const postgres = usePostgres();
const s3 = useS3(BUCKET);
const { signal } = new AbortController();
let store: ObjectStore;
let cycle: StageCycle | null = null;
let minutesAhead = 0;

beforeAll(() => {
  store = openObjectStore(connectionTo(s3().endpoint, s3()), {
    observer: recordRequests(),
    log: pino({ level: 'silent' }),
  });
});

afterEach(async () => {
  await cycle?.close();
  cycle = null;
});

afterAll(() => {
  store.close();
});

function later(database: Database): Pick<Database, 'read'> {
  const ahead =
    (query: Query): Query =>
    async <Row>(...call: Parameters<Query>) => {
      const rows = await query<Row>(...call);
      for (const row of rows as { now?: number }[])
        if (row.now !== undefined) row.now += minutesAhead * 60_000;
      return rows;
    };
  return { read: (use, ...rest) => database.read((query) => use(ahead(query)), ...rest) };
}

/** Looks as often as there are minutes, at each that many after the present. */
async function lookAt(stage: Stage, ...minutes: readonly number[]): Promise<Report> {
  cycle ??= open(stage, null);
  let report: Report | null = null;
  for (const minute of minutes) {
    minutesAhead = minute;
    report = await cycle.pass();
  }
  if (report === null) throw new Error('No minute was given');
  return report;
}

function open(stage: Stage, restored: LedgerState | null, more: Record<string, string> = {}): StageCycle {
  const env = { XCOM_EXPORTER_WINDOW: '75m', ...more };
  return openCycle(stage, { endpoint: s3().endpoint, env, through: later, restored });
}

async function putObject(run: Run, taskId: string): Promise<string> {
  const tail = `${run.dagId}/${run.runId}/${taskId}/${uuid4()}`;
  await store.put({ bucket: BUCKET, key: `base/${tail}`, body: Buffer.from('"x"') }, signal);
  return `${BASE}/${tail}`;
}

async function push(stage: Stage, run: Run, { taskId, ahead }: { taskId: string; ahead: number }) {
  const path = await putObject(run, taskId);
  const stored = stage.source.value === 'bytea' ? Buffer.from(dumps(path)) : JSON.stringify(path);
  await stage.push({ run, taskId, stored, agoSeconds: -60 * ahead });
}

let runs = 0;
function addRun(stage: Stage, { ahead } = { ahead: 0 }): Promise<Run> {
  runs += 1;
  const runId = `manual__${runs}`;
  return stage.addRun({ dagId: 'orders', runId, state: 'success', agoSeconds: -60 * ahead });
}

describe.each(listShapes())('$shape: a run of which a row leaves the window', ({ release }) => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await openStage(postgres(), release);
  });

  beforeEach(async () => {
    await stage.clear();
    const run = await addRun(stage, { ahead: 10 });
    await push(stage, run, { taskId: 'older', ahead: 0 });
    await push(stage, run, { taskId: 'newer', ahead: 10 });
    await putObject(run, 'lost');
  });

  afterAll(async () => {
    await stage.close();
  });

  test('has the object of that row for no orphan, and orphans do not seem to grow', async () => {
    expect((await lookAt(stage, 21)).window).toMatchObject({ rows: { s3: 2 }, orphanObjects: 1 });
    // The run is listed again after an hour. The orphan is now as old as the row that has left.
    const { window, states } = await lookAt(stage, 82);
    expect(window).toMatchObject({ rows: { s3: 1 }, orphanObjects: 0, orphanBytes: 0 });
    expect(states.orphans_growing).toBe('clear');
  });

  test('has it for none if that row was never read', async () => {
    expect((await lookAt(stage, 82)).window).toMatchObject({ rows: { s3: 1 }, orphanObjects: 0 });
  });

  test('has it for none after a restart', async () => {
    await lookAt(stage, 21);
    const kept = cycle?.state() ?? null;
    await cycle?.close();
    cycle = open(stage, kept);
    expect((await lookAt(stage, 82)).window).toMatchObject({ rows: { s3: 1 }, orphanObjects: 0 });
  });
});

describe.each(['2.11.2', '3.3.2', '3.4.0b2'])('Airflow %s: a run that is deleted', (release) => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await openStage(postgres(), release);
  });

  beforeEach(async () => {
    await stage.clear();
  });

  afterAll(async () => {
    await stage.close();
  });

  test('and made again under its name: each object of the one folder is judged once, by the rows of both', async () => {
    const names = { dagId: 'orders', runId: `again__${release}`, state: 'success' };
    const before = await stage.addRun(names);
    await push(stage, before, { taskId: 'extract', ahead: 0 });
    await lookAt(stage, 0);
    await stage.clear();
    expect((await lookAt(stage, 1, 12)).window?.orphanObjects).toBe(1);
    const again = await stage.addRun(names);
    for (const taskId of ['extract', 'transform', 'load']) await push(stage, again, { taskId, ahead: 12 });
    // The figure stands until the new run has been left alone long enough.
    expect((await lookAt(stage, 13)).window).toMatchObject({ rows: { s3: 3 }, orphanObjects: 1 });
    const { window, states } = await lookAt(stage, 24);
    expect(window).toMatchObject({ rows: { s3: 3 }, orphanObjects: 1 });
    expect(states.orphans_growing).toBe('clear');
  });

  test('and made again between two looks, while many other ended runs have their turn: likewise', async () => {
    const names = { dagId: 'orders', runId: `replaced__${release}`, state: 'success' };
    const before = await stage.addRun(names);
    await push(stage, before, { taskId: 'extract', ahead: 0 });
    for (let at = 0; at < 30; at += 1) await addRun(stage);
    await lookAt(stage, 0);
    expect((await lookAt(stage, 12, 13)).window).toMatchObject({ rows: { s3: 1 }, orphanObjects: 0 });
    await stage.deleteRun(before);
    const again = await stage.addRun(names);
    for (const taskId of ['extract', 'transform', 'load']) await push(stage, again, { taskId, ahead: 13 });
    expect((await lookAt(stage, 14)).window).toMatchObject({ rows: { s3: 3 }, orphanObjects: 0 });
    // The object of the first run is all that has no row.
    expect((await lookAt(stage, 25)).window).toMatchObject({ rows: { s3: 3 }, orphanObjects: 1 });
  });

  test('from what is watched, since its dag has become the canary, leaves no orphans and no rows', async () => {
    const run = await addRun(stage);
    await push(stage, run, { taskId: 'look', ahead: 0 });
    await lookAt(stage, 0);
    const kept = cycle?.state() ?? null;
    await cycle?.close();
    cycle = open(stage, kept, { XCOM_EXPORTER_CANARY_DAG_ID: 'orders' });
    expect((await lookAt(stage, 1, 12, 24)).window).toMatchObject({ rows: { s3: 0 }, orphanObjects: 0 });
  });
});

describe('the growth of orphans', () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await openStage(postgres(), '3.3.2');
  });

  beforeEach(async () => {
    await stage.clear();
  });

  afterAll(async () => {
    await stage.close();
  });

  test('is measured while other runs have just ended, and is unknown until then', async () => {
    const run = await addRun(stage);
    for (const taskId of ['kept', 'removed']) await push(stage, run, { taskId, ahead: 0 });
    await putObject(run, 'lost');
    await push(stage, await addRun(stage), { taskId: 'busy', ahead: 20 });
    expect((await lookAt(stage, 21)).states.orphans_growing).toBe('unknown');
    expect((await lookAt(stage, 22)).states.orphans_growing).toBe('clear');

    await stage.remove({ run, taskId: 'removed' });
    const { problems } = await lookAt(stage, 23);
    expect(problems.filter(({ code }) => code === 'orphans_growing')).toMatchObject([
      { evidence: 'Objects that no row refers to grew from 1 to 2 under the runs of the window.' },
    ]);
  });

  test('is none when a run with orphans gets another row', async () => {
    const run = await addRun(stage);
    await push(stage, run, { taskId: 'kept', ahead: 0 });
    await putObject(run, 'lost');
    await push(stage, await addRun(stage), { taskId: 'other', ahead: 0 });
    await lookAt(stage, 21, 22);

    await push(stage, run, { taskId: 'late', ahead: 20 });
    expect((await lookAt(stage, 23)).window?.orphanObjects).toBe(1);
    const { window, states } = await lookAt(stage, 31);
    expect(window?.orphanObjects).toBe(1);
    expect(states.orphans_growing).toBe('clear');
  });
});

test('a window in which no object could be judged has no figure of orphans', async () => {
  const stage = await openStage(postgres(), '3.3.2');
  await push(stage, await addRun(stage), { taskId: 'kept', ahead: 0 });
  const env = { XCOM_EXPORTER_WINDOW: '20m' };
  cycle = openCycle(stage, { endpoint: s3().endpoint, env, through: later });
  const { window, states } = await lookAt(stage, 12);
  expect(window?.orphanObjects).toBeNull();
  expect(states.orphans_growing).toBe('unknown');
  await stage.close();
});
