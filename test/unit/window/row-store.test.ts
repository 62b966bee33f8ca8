import fc from 'fast-check';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { Placement } from '../../../src/airflow/classify.ts';
import type { Reference } from '../../../src/airflow/reference.ts';
import type { SampledRow } from '../../../src/airflow/xcom-row.ts';
import { StateFileError } from '../../../src/state/failure.ts';
import { openStateFile } from '../../../src/state/file.ts';
import type { ObjectState } from '../../../src/window/flags.ts';
import { emptyState } from '../../../src/window/ledger-state.ts';
import type { LedgerState } from '../../../src/window/ledger-state.ts';
import { readRow } from '../../../src/window/remembered-row.ts';
import { timeAt } from '../../../src/window/row-fields.ts';
import type { Run } from '../../../src/window/run.ts';
import { MAX_HOSTS } from '../../../src/window/shared-values.ts';
import { WHOLE } from '../../support/whole.ts';
import { openLiveRun } from '../../support/live-run.ts';

const folder = mkdtempSync(join(tmpdir(), 'row-store-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** A row as a plain object: the store must give the same. */
interface Plain {
  readonly row: SampledRow;
  readonly placement: Placement;
  readonly baseline: boolean;
  object: ObjectState;
  objectBytes: number | null;
  queue: string | null;
}

/** The store, and a map that does the same in a simple way. */
interface World {
  state: LedgerState;
  readonly runs: Run[];
  readonly model: Map<string, Plain>;
  waiting: { slot: number; run: Run; plain: Plain }[];
}

const RUNS = 3;

function newWorld(): World {
  const state = emptyState();
  const runs = Array.from({ length: RUNS }, (_, id) => {
    const run = openLiveRun(state, { id: 100 + id, dagId: `dag ${id % 2}`, runId: `run/${id}` });
    return run;
  });
  return { state, runs, model: new Map(), waiting: [] };
}

const nameOf = ({ table, dagRunId, taskId, mapIndex, key, taskInstanceId }: SampledRow) =>
  JSON.stringify([table, dagRunId, taskId, mapIndex, key, taskInstanceId]);

const UUIDS = [
  '00000000-0000-4000-8000-000000000000',
  'ffffffff-ffff-4fff-bfff-ffffffffffff',
  '0123abcd-89ab-4cde-8123-456789abcdef',
];

interface Row {
  readonly run: number;
  readonly table: SampledRow['table'];
  readonly taskId: string;
  readonly mapIndex: number;
  readonly key: string;
  readonly uuid: string;
  readonly version: number;
  readonly at: number;
}

function sampled({ runs }: World, row: Row): SampledRow {
  const run = runs[row.run];
  if (run === undefined) throw new Error('There is no such run');
  return {
    table: row.table,
    dagRunId: run.id,
    dagId: run.dagId,
    runId: run.runId,
    taskId: row.taskId,
    mapIndex: row.mapIndex,
    key: row.key,
    taskInstanceId: row.table === 'xcom_v2' ? row.uuid : null,
    version: String(row.version),
    at: row.at,
    isNull: false,
    stored: 10,
    bytes: 10,
    leastBytes: 10,
    text: null,
  };
}

const rowArbitrary: fc.Arbitrary<Row> = fc.record({
  run: fc.nat({ max: RUNS - 1 }),
  table: fc.constantFrom('xcom' as const, 'xcom_v1' as const, 'xcom_v2' as const),
  taskId: fc.constantFrom('extract', 'group.load', 'ж 100%'),
  mapIndex: fc.constantFrom(-1, 0, 99_999),
  key: fc.constantFrom('return_value', 'skipmixin_key', `it's a (key)!*é`),
  uuid: fc.constantFrom(...UUIDS),
  version: fc.constantFrom(3, 4, 4_294_967_295),
  at: fc.constantFrom(1_000.25, 2_000, 3_000, 1_800_000_000_000.125),
});

const base = { scheme: 's3', connection: 'aws', bucket: 'b', prefix: 'a/b', suffix: '' };

/** Every kind of placement. References have every spelling that Airflow uses, and one that it does not use. */
const placementArbitrary = fc.oneof(
  fc.record({
    storage: fc.constant('db' as const),
    bytes: fc.constantFrom(0, 10, 5_000_000_000),
    less: fc.constantFrom(0, 7),
    exact: fc.boolean(),
    byDesign: fc.constantFrom(null, 'extra_link' as const, 'skip_decision' as const, 'server_side' as const),
  }),
  fc.record({
    storage: fc.constant('other' as const),
    form: fc.constantFrom('local' as const, 'third_party' as const),
    bytes: fc.nat(),
  }),
  fc.record({
    storage: fc.constant('s3' as const),
    leaked: fc.boolean(),
    prefix: fc.constantFrom('', 'a/b', '/odd'),
    suffix: fc.constantFrom('', '.gz'),
    leaf: fc.constantFrom(
      'uuid' as const,
      'ti' as const,
      'write' as const,
      'hashed' as const,
      'elsewhere' as const,
    ),
    uuid: fc.constantFrom(...UUIDS),
  }),
);
type Kind = typeof placementArbitrary extends fc.Arbitrary<infer Value> ? Value : never;

function placementOf(kind: Kind, row: SampledRow): Placement {
  switch (kind.storage) {
    case 'db': {
      const { less, ...rest } = kind;
      return { ...rest, leastBytes: Math.max(0, kind.bytes - less) };
    }
    case 'other':
      return kind;
    case 's3': {
      const { prefix, suffix, leaf, uuid } = kind;
      const folder = `${prefix === '' ? '' : `${prefix}/`}${row.dagId}/${row.runId}/${row.taskId}/`;
      // The key as Python's quote(…, safe='') gives it.
      const quoted = row.key.replace("it's a (key)!*é", 'it%27s%20a%20%28key%29%21%2A%C3%A9');
      const keys = {
        uuid: `${folder}${uuid}${suffix}`,
        ti: `${folder}ti-${uuid}/${quoted}.json${suffix}`,
        write: `${folder}write-${uuid}/${quoted}.json${suffix}`,
        hashed: `${folder}ti-${uuid}/0123456789abcdef.json${suffix}`,
        elsewhere: `x/y/${uuid}${suffix}`,
      };
      const reference: Reference = { ...base, prefix, suffix, key: keys[leaf] };
      return { storage: 's3', leaked: kind.leaked, reference };
    }
  }
}

const stepArbitrary = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('write' as const),
      row: rowArbitrary,
      kind: placementArbitrary,
      baseline: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('link' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('discard' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('remove' as const),
      run: fc.nat({ max: RUNS - 1 }),
      before: fc.constantFrom(1_500, 2_500, Infinity),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('answer' as const),
      row: rowArbitrary,
      object: fc.constantFrom(
        'present' as const,
        'missing' as const,
        'empty' as const,
        'unreadable' as const,
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('worker' as const),
      row: rowArbitrary,
      queue: fc.constantFrom('a', 'b'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
);
type Step = typeof stepArbitrary extends fc.Arbitrary<infer Value> ? Value : never;

const PLAIN = { run: 0, table: 'xcom', taskId: 't', key: 'k', uuid: '', version: 1, at: 1 } as const;

describe('the columns say what a map of objects says', () => {
  test('after any steps, also through a state file', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(stepArbitrary, { minLength: 20, maxLength: 120 }), async (steps) => {
        const world = newWorld();
        for (const step of steps) await play(world, step);
        await play(world, { do: 'link' });
        expectSame(world);
      }),
      { seed: 20_260_101, numRuns: Number(process.env['HISTORIES'] ?? '40') },
    );
  });

  test('more rows than one chunk, each found again', () => {
    const world = newWorld();
    const rows = Array.from({ length: 40_000 }, (_, mapIndex) =>
      sampled(world, { ...PLAIN, run: mapIndex % 3, mapIndex }),
    );
    const placement = { storage: 'db', bytes: 1, leastBytes: 1, exact: true, byDesign: null } as const;
    for (const row of rows) add(world, row, placement);
    expect(rows.filter((row) => !(find(world, row) >= 0))).toEqual([]);
    for (const run of world.runs) world.state.rows.remove(run, (slot) => slot % 2 === 0);
    expect(rows.filter((row) => find(world, row) === -1)).toHaveLength(20_000);
    for (const row of rows) add(world, row, placement);
    expect(world.state.rows.size()).toBeLessThanOrEqual(40_001);
    expect(world.runs.reduce((sum, run) => sum + run.rows, 0)).toBe(40_000);
  });
});

function runOf({ runs }: World, row: SampledRow): Run {
  const run = runs.find(({ id }) => id === row.dagRunId);
  if (run === undefined) throw new Error('There is no such run');
  return run;
}

function find(world: World, row: SampledRow): number {
  return world.state.rows.find(runOf(world, row), row);
}

function add(world: World, row: SampledRow, placement: Placement): void {
  const run = runOf(world, row);
  world.state.rows.link(run, world.state.rows.write(run, row, { placement, baseline: false }));
}

async function play(world: World, step: Step): Promise<void> {
  const { rows } = world.state;
  switch (step.do) {
    case 'write': {
      const row = sampled(world, step.row);
      // A reading has each row only once.
      if (world.waiting.some(({ plain }) => nameOf(plain.row) === nameOf(row))) return;
      const placement = placementOf(step.kind, row);
      const run = runOf(world, row);
      const slot = rows.write(run, row, { placement, baseline: step.baseline });
      const plain: Plain = {
        row,
        placement,
        baseline: step.baseline,
        object: 'unverified',
        objectBytes: null,
        queue: null,
      };
      world.waiting.push({ slot, run, plain });
      return;
    }
    case 'link':
      for (const { slot, run, plain } of world.waiting) {
        rows.link(run, slot);
        world.model.set(nameOf(plain.row), plain);
      }
      world.waiting = [];
      return;
    case 'discard':
      for (const { slot } of world.waiting) rows.discard(slot);
      world.waiting = [];
      return;
    case 'remove': {
      const run = world.runs[step.run];
      if (run === undefined) return;
      const removed = rows.remove(run, (_, chunk, index) => timeAt(chunk, index) < step.before);
      const going = [...world.model].filter(([, { row }]) => row.dagRunId === run.id && row.at < step.before);
      for (const [name] of going) world.model.delete(name);
      expect(removed).toBe(going.length);
      return;
    }
    case 'answer': {
      const row = sampled(world, step.row);
      const plain = world.model.get(nameOf(row));
      if (plain?.placement.storage !== 's3' || plain.placement.leaked) return;
      plain.object = step.object;
      plain.objectBytes = step.object === 'missing' ? null : step.object === 'empty' ? 0 : 17;
      rows.setObject(runOf(world, row), find(world, row), {
        object: step.object,
        bytes: plain.objectBytes,
      });
      return;
    }
    case 'worker': {
      const row = sampled(world, step.row);
      const plain = world.model.get(nameOf(row));
      if (plain === undefined) return;
      plain.queue = step.queue;
      rows.setWorker(find(world, row), { queue: step.queue, executor: null, hostname: null, operator: null });
      return;
    }
    case 'restart': {
      await play(world, { do: 'discard' });
      const path = join(folder, 'state');
      rmSync(path, { force: true });
      await openStateFile(path, WHOLE).write({ window: world.state, problems: {}, cleared: [] });
      const state = (await openStateFile(path, WHOLE).read())?.window ?? null;
      if (state === null) throw new Error('There is no state');
      world.state = state;
      world.runs.splice(0, RUNS, ...state.runs.values());
      return;
    }
  }
}

function expectSame({ state, runs, model }: World): void {
  const { rows } = state;
  const found = runs.flatMap((run) => [...rows.slotsOf(run)].map((slot) => readRow(rows, run, slot)));
  const seen = found.map((entry) => ({
    name: nameOf({
      ...entry.row,
      isNull: false,
      stored: 0,
      bytes: 0,
      leastBytes: 0,
      text: null,
    }),
    version: entry.row.version,
    at: entry.row.at,
    placement: entry.placement,
    baseline: entry.baseline,
    object: entry.object,
    objectBytes: entry.objectBytes,
    queue: entry.worker?.queue ?? null,
    found:
      find(
        { state, runs, model, waiting: [] },
        { ...entry.row, isNull: false, stored: 0, bytes: 0, leastBytes: 0, text: null },
      ) === entry.slot,
  }));
  const expected = [...model].map(([name, { row, placement, ...rest }]) => ({
    name,
    version: row.version,
    at: row.at,
    placement:
      placement.storage === 's3' && placement.leaked
        ? { storage: 's3', leaked: true, path: placement.reference }
        : placement,
    ...rest,
    found: true,
  }));
  const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);
  expect(seen.sort(byName)).toEqual(expected.sort(byName));
  for (const run of runs) {
    const ours = [...model.values()].filter(({ row }) => row.dagRunId === run.id);
    const references = ours.filter(({ placement }) => placement.storage === 's3' && !placement.leaked);
    expect([run.rows, run.references, run.unverified]).toEqual([
      ours.length,
      references.length,
      references.filter(({ object }) => object === 'unverified').length,
    ]);
    expect(run.oldest).toBeLessThanOrEqual(Math.min(Infinity, ...ours.map(({ row }) => row.at)));
  }
  // Names, workers and bases that no row uses any more are released.
  const names = new Set([...model.values()].map(({ row }) => `${row.taskId}\0${row.key}`));
  expect([...rows.names.entries()].map(([, name]) => name).sort()).toEqual([...names].sort());
  expect([...rows.workers.entries()]).toHaveLength(
    new Set([...model.values()].flatMap(({ queue }) => (queue === null ? [] : [queue]))).size,
  );
  const kept = [...model.values()].flatMap(({ placement }) =>
    placement.storage === 's3' && !placement.leaked ? [placement.reference] : [],
  );
  expect([...rows.bases.entries()].length === 0).toBe(kept.length === 0);
  const leaked = [...model.values()].filter(
    ({ placement }) => placement.storage === 's3' && placement.leaked,
  );
  expect(rows.verbatimReferences.size).toBeGreaterThanOrEqual(leaked.length);
  expect(rows.verbatimReferences.size).toBeLessThanOrEqual(leaked.length + kept.length);
}

test('where each task has a host of its own, a ceiling of them is kept', () => {
  const world = newWorld();
  const [run] = world.runs;
  if (run === undefined) throw new Error('There is no run');
  const { rows } = world.state;
  const slots = Array.from({ length: MAX_HOSTS + 1_000 }, (_, mapIndex) => {
    const row = { ...PLAIN, mapIndex };
    const placement = { storage: 'other', form: 'local', bytes: 1 } as const;
    const slot = rows.link(run, rows.write(run, sampled(world, row), { placement, baseline: false }));
    rows.setWorker(slot, { queue: 'q', executor: null, hostname: `pod-${mapIndex}`, operator: null });
    return slot;
  });
  expect([...rows.workers.entries()]).toHaveLength(MAX_HOSTS + 1);
  const workerOf = (index: number) => readRow(rows, run, slots.at(index) ?? -1).worker;
  expect([workerOf(0)?.hostname, workerOf(-1)?.hostname, workerOf(-1)?.queue]).toEqual(['pod-0', null, 'q']);
});

describe('a state file', () => {
  const written = async (name: string): Promise<string> => {
    const path = join(folder, name);
    const world = newWorld();
    await play(world, {
      do: 'write',
      row: { run: 0, table: 'xcom', taskId: 't', mapIndex: 1, key: 'k', uuid: '', version: 1, at: 1 },
      kind: { storage: 'other', form: 'local', bytes: 1 },
      baseline: false,
    });
    await play(world, { do: 'link' });
    await openStateFile(path, WHOLE).write({ window: world.state, problems: {}, cleared: [] });
    return path;
  };

  test('that is cut short or altered anywhere is refused and stays as it is', async () => {
    const path = await written('damaged');
    const whole = readFileSync(path);
    const size = whole.length;
    const places = [260, 300, 400, Math.floor(size / 2), size - 100, size - 1];
    for (const at of places) {
      for (const bytes of [whole.subarray(0, at), flipped(whole, at)]) {
        writeFileSync(path, bytes);
        const file = openStateFile(path, WHOLE);
        await expect(file.read()).rejects.toThrow(StateFileError);
        await expect(file.read()).rejects.toThrow(`Cannot use the state file ${path}: it is damaged`);
        await expect(file.write({ window: emptyState(), problems: {}, cleared: [] })).rejects.toThrow(
          StateFileError,
        );
        expect(readFileSync(path).equals(bytes)).toBe(true);
      }
    }
  });

  test.each([
    [
      'that is cut short within its first line',
      '{"format":"airflow-xcom-exporter-state/3","owner":"1","wri',
      'it is damaged, or no state file',
    ],
    ['of somebody else', '#!/bin/sh\n', 'it is damaged, or no state file'],
    ['that is empty', '', 'it is damaged, or no state file'],
  ])('%s is refused and stays as it is', async (_, text, words) => {
    const path = join(folder, 'foreign');
    writeFileSync(path, text);
    const file = openStateFile(path, WHOLE);
    await expect(file.read()).rejects.toThrow(`Cannot use the state file ${path}: ${words}`);
    await expect(file.write({ window: emptyState(), problems: {}, cleared: [] })).rejects.toThrow(words);
    expect(readFileSync(path, 'utf8')).toBe(text);
  });

  test('of another version is set aside when the first of this version is written', async () => {
    const path = join(folder, 'earlier');
    const text =
      '{"format":"airflow-xcom-exporter-state/2","owner":"1","written":1,"shard":"0/1"}'.padEnd(255) + '\n';
    writeFileSync(path, text);
    const file = openStateFile(path, WHOLE);
    expect(await file.read()).toBeNull();
    expect(file.unused()).toContain('is of another version of the exporter. It will be set aside as');
    expect(readFileSync(path, 'utf8')).toBe(text);
    await file.write({ window: emptyState(), problems: {}, cleared: [] });
    expect(readFileSync(`${path}.old`, 'utf8')).toBe(text);
    expect(await openStateFile(path, WHOLE).read()).not.toBeNull();
  });

  test('keeps how far each search has come, so that frequent restarts do not begin it anew', async () => {
    const path = join(folder, 'searches');
    const sweep = { to: 5, changes: 7, fastRounds: 1 };
    const runSweep = { below: 400, baselineUntil: 1_000, strays: [3] };
    const window = { ...emptyState(), sweep, runSweep };
    await openStateFile(path, WHOLE).write({ window, problems: {}, cleared: [] });
    const read = await openStateFile(path, WHOLE).read();
    expect(read?.window).toMatchObject({ sweep, runSweep });
  });

  test('without the search for old runs counts nothing of them from before its last reading', async () => {
    const path = join(folder, 'no searches');
    const { sweep, runSweep, ...earlier } = emptyState();
    const window = { ...earlier, lastReading: { at: 2_000, horizon: '1', from: 1_000 } } as LedgerState;
    await openStateFile(path, WHOLE).write({ window, problems: {}, cleared: [] });
    const read = await openStateFile(path, WHOLE).read();
    expect(read?.window).toMatchObject({ sweep, runSweep: { ...runSweep, baselineUntil: 2_000 } });
  });

  test('has one writer: whoever finds that another one has written stops', async () => {
    const path = await written('two');
    const one = openStateFile(path, WHOLE);
    const other = openStateFile(path, WHOLE);
    const state = await one.read();
    if (state === null) throw new Error('There is no state');
    await other.read();
    await one.write(state);
    expect(await other.changed()).toBe(true);
    await expect(other.write(state)).rejects.toThrow('another exporter writes to it');
    await one.write(state);
    // After the first has ended, in whatever way, the second goes on from the file that it left.
    await other.read();
    await other.write(state);
    await expect(one.write(state)).rejects.toThrow('another exporter writes to it');
  });

  test('is no pipe and no folder, which is said at once', async () => {
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    for (const path of [pipe, folder])
      await expect(openStateFile(path, WHOLE).read()).rejects.toThrow(
        `Cannot use the state file ${path}: it is no file. Name one in state.file`,
      );
  });

  test('leaves nothing else in its folder once it is written, whatever a crash has left there', async () => {
    const path = await written('lonely');
    const half = `${path}.00000000-0000-4000-8000-000000000000.tmp`;
    writeFileSync(half, 'half');
    const file = openStateFile(path, WHOLE);
    const state = await file.read();
    if (state === null) throw new Error('There is no state');
    // A command that reads beside the exporter must not break a write that goes on.
    expect(readFileSync(half, 'utf8')).toBe('half');
    await file.write(state);
    expect(() => readFileSync(half)).toThrow('ENOENT');
    await expect(openStateFile(join(folder, 'no', 'folder'), WHOLE).read()).rejects.toThrow(
      `its folder ${join(folder, 'no')} is not there`,
    );
  });
});

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 0x10;
  return copy;
}
