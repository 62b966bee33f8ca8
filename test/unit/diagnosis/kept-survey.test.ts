import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ByDesign, Placement } from '../../../src/airflow/classify.ts';
import type { SampledRow } from '../../../src/airflow/xcom-row.ts';
import { parseXComPaths, standingRule } from '../../../src/airflow/xcom-path.ts';
import { createSurveyor } from '../../../src/diagnosis/surveyor.ts';
import type { SurveyOptions } from '../../../src/diagnosis/survey.ts';
import { worthAttributing } from '../../../src/sample/workers.ts';
import type { WorkerLooks } from '../../../src/sample/workers.ts';
import { basesOf } from '../../../src/window/bases.ts';
import { CHUNK_ROWS } from '../../../src/window/columns.ts';
import type { ObjectState } from '../../../src/window/flags.ts';
import * as is from '../../../src/window/flags.ts';
import { emptyState } from '../../../src/window/ledger-state.ts';
import type { LedgerState } from '../../../src/window/ledger-state.ts';
import { createLedger } from '../../../src/window/ledger.ts';
import { createLooks } from '../../../src/window/looks.ts';
import type { Run } from '../../../src/window/run.ts';
import { ALWAYS_COMPARED } from '../../support/compared.ts';
import { openLiveRun } from '../../support/live-run.ts';

const CHUNKS = 2;
const RUNS = 4;
const HOUR = 3_600_000;
const START = Date.UTC(2026, 0, 1, 6);

interface World {
  readonly state: LedgerState;
  readonly runs: readonly Run[];
  options: SurveyOptions;
}

const SETTINGS: readonly SurveyOptions[] = [
  ['s3://aws@bucket/xcom', 1_000, 1_000],
  ['s3://aws@bucket/xcom', 100, 100],
  ['s3://aws@bucket/xcom', 1_000, 100],
  ['s3://aws@bucket/other', 1_000, 1_000],
  [null, 1_000, null],
  ['s3://aws@bucket/xcom', 1_000, -1],
  ['s3://aws@bucket/xcom', 1_000, 1_000, 'unread'],
].map(([paths, oversize, threshold, owners]) => ({
  windowMs: 24 * HOUR,
  oversize: Number(oversize),
  threshold: threshold as number | null,
  standing: standingRule(paths === null ? null : parseXComPaths(String(paths))),
  ownersUnread: owners === 'unread',
}));

/** A window of several chunks, which new rows fill in turn. */
function newWorld(): World {
  const state = emptyState();
  const runs = Array.from({ length: RUNS }, (_, id) => {
    const run = openLiveRun(state, { id: 100 + id, dagId: `dag_${id % 2}`, runId: `run_${id}` });
    return run;
  });
  const world = { state, runs, options: SETTINGS[0] as SurveyOptions };
  const [run] = runs as [Run];
  const slots = Array.from({ length: CHUNKS * CHUNK_ROWS }, () =>
    state.rows.write(run, rowOf(run, { task: 'filler', mapIndex: -1, at: START, size: 1 }), {
      placement: { storage: 'other', form: 'local', bytes: 1 },
      baseline: false,
    }),
  );
  // A new row takes the slot that was given back last.
  for (let index = 0; index < CHUNK_ROWS; index += 1)
    for (let chunk = 0; chunk < CHUNKS; chunk += 1)
      state.rows.discard(slots[chunk * CHUNK_ROWS + index] ?? 0);
  return world;
}

function rowOf(
  run: Run,
  { task, mapIndex, at, size }: { task: string; mapIndex: number; at: number; size: number },
): SampledRow {
  return {
    table: task === 'load' ? 'xcom' : 'xcom_v1',
    dagRunId: run.id,
    dagId: run.dagId,
    runId: run.runId,
    taskId: task,
    mapIndex,
    key: task === 'skip' ? 'skipmixin_key' : 'return_value',
    taskInstanceId: null,
    version: '1',
    at,
    isNull: false,
    stored: size,
    bytes: size,
    leastBytes: size,
    text: null,
  };
}

const PLACES = [
  { scheme: 's3', connection: 'aws', bucket: 'bucket', prefix: 'xcom' },
  { scheme: 's3', connection: 'aws', bucket: 'bucket', prefix: 'before' },
  { scheme: 's3', connection: '', bucket: 'lake', prefix: 'exports' },
  { scheme: 's3', connection: '', bucket: 'bucket', prefix: 'own' },
] as const;

const WORKERS = [
  { queue: 'a', executor: null, hostname: 'host_1', operator: 'PythonOperator' },
  { queue: 'a', executor: null, hostname: 'host_2', operator: 'PythonOperator' },
  { queue: 'b', executor: null, hostname: 'host_3', operator: 'PythonOperator' },
  { queue: 'b', executor: null, hostname: 'host_4', operator: '_StubOperator' },
  { queue: 'a', executor: null, hostname: 'host_1', operator: 'BashOperator' },
] as const;

const size = fc.constantFrom(5, 99, 100, 999, 1_000, 1_001, 5_000, 70_000);
/** Moments that are minutes apart, hours apart, or equal. */
const moment = fc
  .tuple(fc.nat({ max: 5 }), fc.constantFrom(0, 0.5, 1, 2, 3, 30))
  .map(([hours, minutes]) => START + hours * HOUR + minutes * 60_000);

const written = fc.record({
  run: fc.nat({ max: RUNS - 1 }),
  task: fc.constantFrom('extract', 'load', 'skip'),
  mapIndex: fc.nat({ max: 3 }),
  at: moment,
  size,
  where: fc.oneof(
    { weight: 4, arbitrary: fc.constant('value' as const) },
    { weight: 6, arbitrary: fc.constant('reference' as const) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        'leaked' as const,
        'local' as const,
        'third_party' as const,
        'other_store' as const,
      ),
    },
  ),
  exact: fc.oneof({ weight: 5, arbitrary: fc.constant(true) }, fc.constant(false)),
  byDesign: fc.oneof(
    { weight: 5, arbitrary: fc.constant(null) },
    fc.constantFrom<ByDesign>('extra_link', 'server_side'),
  ),
  place: fc.constantFrom(0 as const, 0 as const, 1 as const, 2 as const, 3 as const),
  suffix: fc.constantFrom('', '', '.gz'),
  worker: fc.option(fc.nat({ max: WORKERS.length - 1 })),
  object: fc.constantFrom<ObjectState>('present', 'present', 'unverified', 'missing', 'empty', 'unreadable'),
});
type Written = typeof written extends fc.Arbitrary<infer Value> ? Value : never;

/** Values that two workers keep or put into object storage, in any order and of any size. */
const ofFewWorkers: typeof written = written.map((one) => ({
  ...one,
  where: one.where === 'value' ? one.where : 'reference',
  exact: true,
  byDesign: null,
  place: 0,
  suffix: '',
  worker: (one.worker ?? 0) % 2,
  object: 'present',
}));

const VALUE: Written = {
  run: 0,
  task: 'extract',
  mapIndex: 0,
  at: START,
  size: 5,
  where: 'value',
  exact: true,
  byDesign: null,
  place: 0,
  suffix: '',
  worker: null,
  object: 'unverified',
};

const which = fc.nat({ max: 1_000 });

function stepOf(row: typeof written) {
  return fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({ do: fc.constant('write' as const), rows: fc.array(row, { maxLength: 2 }) }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('answer' as const),
        which,
        object: fc.constantFrom<ObjectState>('present', 'missing', 'empty', 'unreadable'),
        size,
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('worker' as const), which, worker: which }) },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('remove' as const),
        run: fc.nat({ max: RUNS - 1 }),
        before: moment,
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('discard' as const), row }) },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constantFrom('server' as const, 'measured' as const, 'unchecked' as const),
        which,
        size,
      }),
    },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('settings' as const), which }) },
  );
}
type Step = ReturnType<typeof stepOf> extends fc.Arbitrary<infer Value> ? Value : never;

function placementOf(one: Written, run: Run): Placement {
  switch (one.where) {
    case 'value': {
      const { size: bytes, exact, byDesign } = one;
      return { storage: 'db', bytes, leastBytes: exact ? bytes : bytes - 4, exact, byDesign };
    }
    case 'local':
    case 'third_party':
      return { storage: 'other', form: one.where, bytes: one.size };
    default: {
      const place = PLACES[one.place];
      const leaf = `00000000-0000-4000-8000-00000000000${one.mapIndex}`;
      const key = `${place.prefix}/${run.dagId}/${run.runId}/${one.task}/${leaf}${one.suffix}`;
      return {
        ...(one.where === 'other_store'
          ? { storage: 'other', form: 'other_store', bytes: one.size }
          : { storage: 's3', leaked: one.where === 'leaked' }),
        reference: { ...place, suffix: one.suffix, key },
      };
    }
  }
}

function writeRow({ state: { rows }, runs }: World, one: Written): { run: Run; slot: number } {
  const run = runs[one.run] as Run;
  const slot = rows.write(run, rowOf(run, one), { placement: placementOf(one, run), baseline: false });
  return { run, slot };
}

function play(world: World, step: Step): void {
  const { rows } = world.state;
  switch (step.do) {
    case 'write':
      for (const one of step.rows) {
        const { run, slot: fresh } = writeRow(world, one);
        const slot = rows.link(run, fresh);
        if (one.worker !== null) rows.setWorker(slot, WORKERS[one.worker] ?? WORKERS[0]);
        if (one.where === 'reference' && one.object !== 'unverified')
          rows.setObject(run, slot, answerOf(one));
      }
      return;
    case 'discard':
      rows.discard(writeRow(world, step.row).slot);
      return;
    case 'remove':
      rows.remove(world.runs[step.run] as Run, (slot) => rows.timeOf(slot) < step.before);
      return;
    case 'settings':
      world.options = SETTINGS[step.which % SETTINGS.length] as SurveyOptions;
      return;
    default:
      change(world, step);
  }
}

/** Changes one of the rows. */
function change({ state: { rows }, runs }: World, step: Extract<Step, { which: number }>): void {
  const slots = runs.flatMap((run) => Array.from(rows.slotsOf(run), (slot) => ({ run, slot })));
  const picked = slots[step.which % slots.length];
  if (picked === undefined) return;
  const { run, slot } = picked;
  const flags = rows.flagsOf(slot);
  if (step.do === 'answer' && is.isReference(flags)) rows.setObject(run, slot, answerOf(step));
  if (step.do === 'answer' && step.size === 5) rows.setArchived(slot);
  if (step.do === 'worker') rows.setWorker(slot, WORKERS[step.worker % WORKERS.length] ?? WORKERS[0]);
  if (step.do === 'server') rows.setServerWritten(slot);
  if (step.do === 'measured' && is.storageOf(flags) === 'db')
    rows.setMeasured(slot, { bytes: step.size, leastBytes: step.size, exact: true });
  if (step.do === 'unchecked' && is.isReference(flags)) rows.setUnchecked(slot, 'denied');
}

function answerOf({ object, size: bytes }: { readonly object: ObjectState; readonly size: number }) {
  return {
    object,
    bytes: object === 'missing' ? null : object === 'empty' ? 0 : bytes,
  };
}

describe('a survey that looks only at what was written since', () => {
  test.each([
    ['of all kinds', written],
    ['of few workers', ofFewWorkers],
  ])(
    'gives what one gives that looks at everything, with rows %s',
    async (_, row) => {
      const beginning = fc.array(row, { minLength: 3, maxLength: 40 });
      const history = fc.array(stepOf(row), { minLength: 12, maxLength: 24 });
      await fc.assert(
        fc.asyncProperty(beginning, history, async (rows, steps) => {
          const world = newWorld();
          const ledger = createLedger(world.state);
          const survey = createSurveyor({ bases: createLooks(), comparison: ALWAYS_COMPARED });
          const workers: WorkerLooks = createLooks();
          for (const step of [{ do: 'write' as const, rows }, ...steps]) {
            play(world, step);
            await survey(ledger, world.options);
            const bases = await basesOf(ledger, { ...world.options, looks: createLooks() });
            const worth = (looks: WorkerLooks) =>
              worthAttributing(ledger, { ...world.options, bases, most: 3, looks });
            expect(await worth(workers)).toEqual(await worth(createLooks()));
          }
        }),
        { seed: 20_260_102, numRuns: Number(process.env['HISTORIES'] ?? '3') },
      );
    },
    300_000,
  );

  test('takes a reference for written until its object is known to be gone', async () => {
    const world = newWorld();
    const ledger = createLedger(world.state);
    const survey = createSurveyor({ bases: createLooks(), comparison: ALWAYS_COMPARED });
    const latest = async () => (await survey(ledger, world.options)).times.latestWritten;
    const reference: Written = { ...VALUE, where: 'reference', size: 5_000 };
    play(world, { do: 'write', rows: [reference] });
    expect(await latest()).toBe(START);
    play(world, { do: 'answer', which: 0, object: 'missing', size: 5_000 });
    expect(await latest()).toBeNull();
    play(world, { do: 'answer', which: 0, object: 'present', size: 5_000 });
    expect(await latest()).toBe(START);
  });

  test('is compared now and then, and gives way to one that looks at everything', async () => {
    const world = newWorld();
    const ledger = createLedger(world.state);
    const told: string[] = [];
    const survey = createSurveyor({
      bases: createLooks(),
      comparison: { every: 3, differs: (message) => told.push(message) },
    });
    const values = async () => (await survey(ledger, world.options)).values.count;
    play(world, { do: 'write', rows: [VALUE] });
    expect(await values()).toBe(1);
    const { chunks } = world.state.rows;
    const noted = chunks.map((chunk) => chunk.written);
    play(world, { do: 'write', rows: [{ ...VALUE, mapIndex: 1 }] });
    // The window looks as if nobody had noted that the row was written.
    for (const [at, chunk] of chunks.entries()) chunk.written = noted[at] ?? 0;
    expect(await values()).toBe(1);
    expect(told).toEqual([]);
    expect(await values()).toBe(2);
    expect(told).toEqual([
      'what was kept of the window was not what it holds: all of it was looked at again',
    ]);
    expect(await values()).toBe(2);
  });
});
