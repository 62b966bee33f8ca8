import { describe, expect, test } from 'vitest';
import { classify } from '../../../src/airflow/classify.ts';
import type { Shape } from '../../../src/airflow/shape.ts';
import { standingRule } from '../../../src/airflow/xcom-path.ts';
import { conclude, decidedOf } from '../../../src/diagnosis/conclude.ts';
import type { Figures } from '../../../src/diagnosis/conclude.ts';
import { PROBLEMS } from '../../../src/diagnosis/problem-catalogue.ts';
import { survey } from '../../../src/diagnosis/survey.ts';
import { newLooks } from '../../../src/diagnosis/surveyor.ts';
import type { ProbeResult } from '../../../src/probe/bucket.ts';
import { readConfig } from '../../../src/settings/read-config.ts';
import type { ObjectState } from '../../../src/window/flags.ts';
import { emptyState } from '../../../src/window/ledger-state.ts';
import { createLedger } from '../../../src/window/ledger.ts';
import { createLooks } from '../../../src/window/looks.ts';
import { newRun } from '../../../src/window/run.ts';
import { uuid4 } from '../../support/plant.ts';

/** Texts that tasks have pushed, in the form of the backend's own paths: tests what the exporter may say of them. */

const NOW = Date.UTC(2026, 0, 1, 18);
const SHAPE: Shape = {
  airflow: '3.0-3.2',
  major: 3,
  tooOld: false,
  name: 'xcom-jsonb',
  sources: [{ table: 'xcom', value: 'jsonb', keyedBy: 'dag_run' }],
  mapIndexColumn: 'map_index',
  hasExecutor: true,
  keepsTries: false,
  knowsOwners: false,
  hasRunAfter: true,
  unread: [],
};
const PROBE: ProbeResult = {
  steps: (['put', 'head', 'get', 'list', 'delete'] as const).map((operation) => ({
    operation,
    ok: true,
    seconds: 0,
  })),
  leftoversDeleted: 0,
  asker: 'workers',
  othersWriteFrom: null,
  othersReachFrom: null,
  writesFailSince: null,
};
const BASE = 's3://aws@bucket/xcom';
const LAKE = 's3://lake/raw';
const GS = 'gs://lake/xcom';

interface Pushed {
  readonly task: string;
  readonly text: string;
  /** Minutes before now. */
  readonly ago: number;
  readonly object?: Exclude<ObjectState, 'unverified'>;
  readonly bytes?: number;
}

function path(base: string, task: string): string {
  return `${base}/orders/r1/${task}/${uuid4()}`;
}

/** A reference to an object of its own row. */
function reference(base: string, task: string, more: Partial<Pushed> = {}): Pushed {
  return { task, text: path(base, task), ago: 10, object: 'present', bytes: 2_000, ...more };
}

/** A reference whose object nobody looks up. */
function stored(base: string, task: string, ago: number): Pushed {
  return { task, text: path(base, task), ago };
}

/** Forty tasks whose values went to S3 as configured. */
function sound(ago: number): Pushed[] {
  return Array.from({ length: 40 }, (_, index) => reference(BASE, `sound_${index}`, { ago }));
}

async function judge(pushed: readonly Pushed[], paths: string | null = BASE): Promise<Figures> {
  const config = readConfig({
    argv: [
      '--xcom.backend=airflow.providers.common.io.xcom.backend.XComObjectStorageBackend',
      ...(paths === null ? [] : [`--xcom.path=${paths}`]),
      '--xcom.threshold=1000',
      '--xcom.compression=',
    ],
    env: { AIRFLOW__CORE__EXECUTOR: 'CeleryExecutor' },
    readFile: () => '',
  });
  const state = emptyState();
  const run = newRun(state.runSlots.take(), {
    id: 1,
    dagId: 'orders',
    runId: 'r1',
    live: true,
    readAt: NOW,
    horizon: '7',
    expired: 0,
    gone: false,
    activeAt: NOW,
    listed: { at: NOW, unseen: false, orphans: 0, orphanBytes: 0 },
  });
  state.runSlots.put(run);
  state.runs.set(run.id, run);
  for (const [index, { task, text, ago, object, bytes = null }] of pushed.entries()) {
    const row = {
      table: 'xcom' as const,
      dagRunId: 1,
      taskInstanceId: null,
      taskId: task,
      mapIndex: -1,
      key: `key_${index}`,
      dagId: run.dagId,
      runId: run.runId,
      version: String(index),
      at: NOW - ago * 60_000,
      isNull: false,
      stored: text.length,
      bytes: text.length,
      leastBytes: text.length,
      text,
    };
    const placement = classify(row, { major: 3, isRun: (dag, id) => dag === run.dagId && id === run.runId });
    const slot = state.rows.link(run, state.rows.write(run, row, { placement, baseline: false }));
    if (object !== undefined && placement.storage === 's3' && !placement.leaked)
      state.rows.setObject(run, slot, {
        object,
        bytes: object === 'missing' ? null : bytes,
      });
  }
  const { oversize, threshold, paths: told } = config.xcom;
  const seen = await survey(
    createLedger(state),
    {
      windowMs: 86_400_000,
      oversize,
      threshold,
      standing: standingRule(told),
      ownersUnread: false,
    },
    newLooks(createLooks()),
  );
  const sampled = {
    shape: SHAPE,
    survey: seen,
    orphanGrowth: 'none' as const,
    standby: { lagSeconds: 0, doubt: null },
    canary: null,
    isCanaryGone: false,
  };
  return conclude(
    { ...sampled, ...decidedOf(seen, { now: NOW, unmeasured: 0 }) },
    { config, probe: PROBE, at: NOW },
  );
}

function criticalOf({ problems }: Figures): string[] {
  return problems.map(({ code }) => code).filter((code) => PROBLEMS[code].severity === 'critical');
}

const small = { bytes: 10 };
const gone = { object: 'missing' } as const;

describe('of a task that returns a path of its own nothing critical is said', () => {
  test.each<readonly [string, readonly Pushed[], 'clear' | 'unknown']>([
    ['a small file, after all others', [reference(LAKE, 'export', { ...small, ago: 1 })], 'clear'],
    ['a small file, before all others', [reference(LAKE, 'export', { ...small, ago: 90 })], 'clear'],
    ['small files of two tasks', [reference(LAKE, 'a', small), reference(LAKE, 'b', small)], 'clear'],
    ['in the bucket of XComs', [reference('s3://bucket/exports', 'export', { ...small, ago: 90 })], 'clear'],
    ['a large file, before all others', [reference(LAKE, 'export', { ago: 90 })], 'unknown'],
    ['a file that was taken away', [reference(LAKE, 'export', gone)], 'unknown'],
    ['a file of 0 bytes', [reference(LAKE, 'export', { object: 'empty', bytes: 0 })], 'unknown'],
    ['a file that nobody has looked up', [{ task: 'export', text: path(LAKE, 'export'), ago: 9 }], 'unknown'],
    [
      'the file of another task, which exists',
      [{ task: 'export', text: path(LAKE, 'sound_1'), ago: 9 }],
      'clear',
    ],
    ['the file of a task that does not', [{ task: 'export', text: path(LAKE, 'extract'), ago: 9 }], 'clear'],
    [
      'its file, and the next task that hands it on',
      [
        reference(LAKE, 'export', small),
        { task: 'load', text: `"${path(LAKE, 'export')}"`, ago: 8 },
        { task: 'load', text: path(LAKE, 'export'), ago: 8 },
      ],
      'clear',
    ],
  ])('%s', async (_, own, mismatch) => {
    for (const others of [sound(60), []]) {
      const figures = await judge([...others, ...own]);
      expect(criticalOf(figures)).toEqual([]);
      expect(figures.states.path_mismatch).toBe(mismatch);
      expect(figures.states.path_leaked).toBe('clear');
      expect(figures.window?.broken).toMatchObject({ path_mismatch: 0, leaked: 0, missing: 0 });
      expect(figures.coverage).toBe(1);
      const isValue = mismatch === 'clear';
      expect(figures.window?.rows.s3).toBe(others.length + (isValue ? 0 : own.length));
      expect(figures.window?.rows.db).toBe(isValue ? own.length : 0);
    }
    expect(criticalOf(await judge([...sound(60), ...own], null))).toEqual([]);
  });

  test('a path in a store that is not S3', async () => {
    for (const others of [sound(60), []]) {
      const figures = await judge([...others, stored(GS, 'export', 90)]);
      expect(criticalOf(figures)).toEqual([]);
      expect(figures.undecided.path_mismatch).toMatch(
        /^1 row points below gs:\/\/lake\/xcom: a file of one task’s own/,
      );
      expect(figures.window?.broken.path_mismatch).toBe(0);
    }
  });

  test('a store that is not S3 and is in force is no fault, and what is beside it is not decided', async () => {
    const inGs = [stored(GS, 'load', 90), stored(GS, 'merge', 90)];
    const figures = await judge(inGs, GS);
    expect([figures.states.path_mismatch, figures.problems.map(({ code }) => code)]).toEqual([
      'clear',
      ['third_party_backend'],
    ]);
    expect((await judge([...sound(60), ...inGs], `${BASE},${GS}`)).states.path_mismatch).toBe('clear');
    const beside = await judge([...sound(60), ...inGs], GS);
    expect([beside.states.path_mismatch, criticalOf(beside)]).toEqual(['unknown', []]);
    const since = await judge([...sound(60), stored(GS, 'load', 5), stored(GS, 'merge', 5)]);
    expect(since.undecided.path_mismatch).toMatch(/^references are written to gs:\/\/lake\/xcom beside s3:/);
  });

  test('a path on a disk, while others are in S3', async () => {
    const own = { task: 'export', text: path('/mnt/shared', 'export'), ago: 9 };
    const figures = await judge([...sound(60), own]);
    expect(criticalOf(figures)).toEqual([]);
    expect(figures.undecided.local_path).toBe(
      '1 row names a file beside 40 references as configured: a task may have returned its path, or some workers lack xcom_objectstorage_path',
    );
    expect(criticalOf(await judge([own]))).toEqual(['local_path']);
    expect(criticalOf(await judge([...sound(60), own], ''))).toEqual(['local_path']);
  });
});

describe('what workers have written elsewhere is critical still', () => {
  test.each<readonly [string, readonly Pushed[]]>([
    ['one reference with the connection of workers', [reference('s3://aws@bucket/old', 'load', { ago: 90 })]],
    ['small as well', [reference('s3://aws@old/xcom', 'load', { ago: 90, ...small })]],
    ['at the path, without the connection', [reference('s3://bucket/xcom', 'load', { ago: 90 })]],
    [
      'by several tasks, with no connection',
      [reference('s3://old/xcom', 'load', { ago: 90 }), reference('s3://old/xcom', 'merge', { ago: 90 })],
    ],
  ])('%s', async (_, old) => {
    expect(criticalOf(await judge([...sound(60), ...old]))).toEqual(['path_mismatch']);
  });

  test.each<readonly [string, readonly Pushed[], string]>([
    [
      'beside others as configured',
      [...sound(60), stored(GS, 'load', 90), stored(GS, 'merge', 90)],
      `2 of 42 references in the window lie outside ${BASE}; seen is ${GS}.`,
    ],
    [
      'with the connection of workers',
      [stored('abfs://aws@box/xcom', 'load', 90)],
      `1 of 1 reference in the window lies outside ${BASE}; seen is abfs://aws@box/xcom.`,
    ],
  ])('in a store that is not S3: %s', async (_, pushed, evidence) => {
    const figures = await judge(pushed);
    expect(criticalOf(figures)).toEqual(['path_mismatch']);
    expect(figures.problems.map((problem) => problem.evidence)).toEqual([evidence]);
    expect(figures.window?.broken).toMatchObject({ path_mismatch: pushed.length % 40, missing: 0 });
    expect(figures.window?.rows.other).toBe(pushed.length % 40);
  });

  test('all that lie outside are counted, whatever became of their objects', async () => {
    const old = [{}, {}, { object: 'missing' } as const, { object: 'empty', bytes: 0 } as const];
    const { problems } = await judge(
      old.map((more, i) => reference('s3://aws@bucket/old', `load_${i}`, more)),
    );
    expect(problems.find(({ code }) => code === 'path_mismatch')?.evidence).toBe(
      `4 of 4 references in the window lie outside ${BASE}; seen is s3://aws@bucket/old.`,
    );
  });

  test.each([
    ['below the path', BASE, []],
    ['where workers wrote before', 's3://aws@bucket/old', []],
    ['where several tasks lie', 's3://old/xcom', ['load', 'merge']],
  ])('the path of another row %s', async (_, base, owners) => {
    const leaked = { task: 'consume', text: path(base, 'produce'), ago: 9 };
    const figures = await judge([
      ...owners.map((task) => reference(base, task, { ago: 90 })),
      ...sound(60),
      leaked,
    ]);
    expect(criticalOf(figures)).toContain('path_leaked');
    expect(figures.window?.broken.leaked).toBe(1);
  });
});

describe('where none of the objects is, and the credentials are known to see others', () => {
  const lost = (count: number) =>
    Array.from({ length: count }, (_, index) => reference(BASE, `lost_${index}`, gone));

  test.each([2, 3, 12])('%d are missing, however many they are', async (count) => {
    const figures = await judge(lost(count));
    expect(figures.problems.map(({ evidence }) => evidence)).toEqual([
      `${count} of ${count} references in the window point at objects that are not there.`,
    ]);
    expect(figures.window?.broken.missing).toBe(count);
  });

  test('and one is there, the others are', async () => {
    const figures = await judge([...lost(12), reference(BASE, 'there')]);
    expect(criticalOf(figures)).toEqual(['objects_missing']);
    expect(figures.window?.broken.missing).toBe(12);
  });
});
