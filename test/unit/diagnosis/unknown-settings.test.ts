import { describe, expect, test } from 'vitest';
import type { Placement } from '../../../src/airflow/classify.ts';
import type { Shape } from '../../../src/airflow/shape.ts';
import { standingRule } from '../../../src/airflow/xcom-path.ts';
import { conclude, decidedOf } from '../../../src/diagnosis/conclude.ts';
import type { ProblemCode } from '../../../src/diagnosis/problem-catalogue.ts';
import { PROBLEM_CODES, PROBLEMS } from '../../../src/diagnosis/problem-catalogue.ts';
import { survey } from '../../../src/diagnosis/survey.ts';
import type { ProbeResult } from '../../../src/probe/bucket.ts';
import type { ToldSetting } from '../../../src/settings/catalogue.ts';
import type { Config } from '../../../src/settings/config.ts';
import { readConfig } from '../../../src/settings/read-config.ts';
import { emptyState } from '../../../src/window/ledger-state.ts';
import { createLedger } from '../../../src/window/ledger.ts';
import { newRun } from '../../../src/window/run.ts';
import { undecidedNote } from '../../../src/status/verdict.ts';
import { uuid4 } from '../../support/plant.ts';

/** Rows of the window as they are, and settings as somebody told them: what may be said of both together. */

const NOW = Date.UTC(2026, 0, 1, 18);
const DAY = 86_400_000;
const MIB = 1_048_576;

/** What Airflow measured of a value, where it is, and when it was written: minutes before now. */
interface Written {
  readonly bytes: number;
  readonly ago: number;
  readonly queue: string;
  /** The path under which it is; null: it is in the database. */
  readonly under: string | null;
}

const BASE = 's3://aws@bucket/xcom';
const SHAPE: Shape = {
  airflow: '3.0-3.2',
  major: 3,
  tooOld: false,
  name: 'xcom-jsonb',
  sources: [{ table: 'xcom', value: 'jsonb', keyedBy: 'dag_run' }],
  mapIndexColumn: 'map_index',
  hasExecutor: true,
  keepsTries: false,
  hasRunAfter: true,
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
};

function kept(bytes: number, ago: number, queue = 'default'): Written {
  return { bytes, ago, queue, under: null };
}

function offloaded(bytes: number, ago: number, { queue = 'default', under = BASE } = {}): Written {
  return { bytes, ago, queue, under };
}

function many(count: number, written: (index: number) => Written): Written[] {
  return Array.from({ length: count }, (_, index) => written(index));
}

const TOLD: Readonly<Record<ToldSetting, string>> = {
  'xcom.backend': 'airflow.providers.common.io.xcom.backend.XComObjectStorageBackend',
  'xcom.path': BASE,
  'xcom.threshold': '1000',
  'xcom.compression': '',
};

function configOf(told: Readonly<Partial<Record<ToldSetting, string>>>): Config {
  return readConfig({
    argv: Object.entries(told).map(([name, text]) => `--${name}=${text}`),
    env: {},
    readFile: () => '',
  });
}

/** What is said of these rows with these settings: every object was looked up and found. */
async function judge(written: readonly Written[], told: Readonly<Partial<Record<ToldSetting, string>>>) {
  const config = configOf(told);
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
  for (const [index, one] of written.entries()) {
    const taskId = `task_${index}`;
    const row = {
      table: 'xcom' as const,
      dagRunId: 1,
      taskInstanceId: null,
      taskId,
      mapIndex: -1,
      key: 'return_value',
      dagId: run.dagId,
      runId: run.runId,
      version: String(index),
      at: NOW - one.ago * 60_000,
      isNull: false,
      stored: one.bytes,
      bytes: one.bytes,
      leastBytes: one.bytes,
      text: null,
    };
    const placement = placementOf(one, taskId);
    const slot = state.rows.link(run, state.rows.write(run, row, { placement, baseline: false }));
    if (placement.storage === 's3')
      state.rows.setObject(run, slot, { archived: false, object: 'present', bytes: one.bytes });
    state.rows.setWorker(slot, { queue: one.queue, executor: null, hostname: null, operator: null });
  }
  const { oversize, threshold, paths } = config.xcom;
  const seen = await survey(createLedger(state), {
    windowMs: DAY,
    oversize,
    threshold,
    standing: standingRule(paths),
  });
  return conclude(
    {
      shape: SHAPE,
      survey: seen,
      orphansGrew: null,
      canary: null,
      ...decidedOf(seen, { now: NOW, unmeasured: 0 }),
    },
    { config, probe: config.xcom.inForce === null ? null : PROBE, at: NOW },
  );
}

function placementOf({ bytes, under }: Written, taskId: string): Placement {
  if (under === null) return { storage: 'db', bytes, leastBytes: bytes, exact: true, byDesign: null };
  const [, connection = '', bucket = '', prefix = ''] = /^s3:\/\/(?:(.*)@)?([^/]+)\/(.*)$/.exec(under) ?? [];
  const key = `${prefix}/orders/r1/${taskId}/${uuid4()}`;
  return {
    storage: 's3',
    reference: { scheme: 's3', connection, bucket, key, prefix, suffix: '' },
    leaked: false,
  };
}

async function raisedOf(...args: Parameters<typeof judge>): Promise<ProblemCode[]> {
  return (await judge(...args)).problems.map(({ code }) => code);
}

function isCritical(code: ProblemCode): boolean {
  return PROBLEMS[code].severity === 'critical';
}

const NAMES = Object.keys(TOLD) as ToldSetting[];
/** Every subset of the settings: those that are told. */
const SUBSETS = Array.from({ length: 2 ** NAMES.length }, (_, bits) =>
  NAMES.filter((_name, index) => (bits & (1 << index)) !== 0),
);

/** Deployments that are sound, by the threshold that their workers have. */
const HEALTHY: readonly (readonly [string, string, readonly Written[]])[] = [
  [
    'small values in the database, large ones in S3',
    '1000',
    [...many(40, (i) => kept(20 * i, i)), ...many(40, (i) => offloaded(1_000 + i, i))],
  ],
  [
    'a threshold above what counts as oversize, and large values on one queue',
    String(4 * MIB),
    [
      ...many(40, (i) => kept(100 * i, i)),
      ...many(20, (i) => kept(2 * MIB + i, i, 'science')),
      ...many(40, (i) => offloaded(4 * MIB + i, i)),
    ],
  ],
  ['everything in S3', '0', many(40, (i) => offloaded(10 + i, i))],
  ['nothing that is large', '1000', many(40, (i) => kept(20 * i, i))],
  ['no row', '1000', []],
];

describe.each(HEALTHY)('%s', (_name, threshold, written) => {
  test.each(SUBSETS.map((names) => [names.join(', ') || 'nothing', names] as const))(
    'told is %s',
    async (_told, names) => {
      const all = { ...TOLD, 'xcom.threshold': threshold };
      const figures = await judge(written, Object.fromEntries(names.map((name) => [name, all[name]])));
      expect(figures.problems.map(({ code }) => code).filter(isCritical)).toEqual([]);
      if (names.length === NAMES.length) expect(figures.problems).toEqual([]);

      const isTold = (name: ToldSetting) => names.includes(name);
      expect(figures.told).toEqual(Object.fromEntries(NAMES.map((name) => [name, isTold(name)])));
      expect(figures.backend?.bucket).toBe(isTold('xcom.path') ? 'bucket' : null);
      expect(figures.backend?.compression).toBe(isTold('xcom.compression') ? '' : null);
      const notes = undecidedNote(figures).join(' ');
      for (const code of PROBLEM_CODES) {
        const { settings }: { settings: readonly ToldSetting[] } = PROBLEMS[code].restsOn;
        const missing = settings.filter((name) => !isTold(name));
        expect([code, figures.states[code]]).toEqual([
          code,
          missing.length > 0 ? 'unknown' : figures.states[code],
        ]);
        for (const name of missing) {
          expect(figures.undecided[code]).toContain(`${name} is not known (give AIRFLOW__`);
          expect(notes).toContain(code);
        }
      }
    },
  );
});

describe('two settings that follow each other', () => {
  test('a threshold that was lowered: what was written before is no fallback of one pool', async () => {
    const written = [
      // Until two hours ago it was 1 MiB, and the queue science was the busy one.
      ...many(30, (i) => kept(5_000 + i, 130 + i, 'science')),
      ...many(5, (i) => offloaded(MIB + i, 130 + i)),
      ...many(40, (i) => offloaded(1_000 + i, 60 + i)),
      ...many(10, (i) => offloaded(1_000 + i, 60 + i, { queue: 'science' })),
    ];
    expect(await raisedOf(written, TOLD)).toEqual([]);
    // The same while both go on at once.
    const both = written.map((one) => ({ ...one, ago: one.under === null ? one.ago - 110 : one.ago }));
    expect(await raisedOf(both, TOLD)).toContain('worker_bypass');
  });

  test('a threshold that was lowered: what it left speaks of no worker that has shown nothing since', async () => {
    const silent = [
      ...many(30, (i) => kept(5_000 + i, 130 + i, 'science')),
      ...many(5, (i) => offloaded(MIB + i, 130 + i)),
      ...many(40, (i) => offloaded(1_000 + i, 60 + i)),
    ];
    expect(await raisedOf(silent, TOLD)).toEqual(['oversize_in_db']);
    // Nor of one that put values as small into S3 before: what it kept since then is no setting of the time before.
    const again = [
      ...silent,
      offloaded(1_000, 200, { queue: 'science' }),
      offloaded(1_000, 60, { queue: 'science' }),
    ];
    expect(await raisedOf(again, TOLD)).toEqual(expect.arrayContaining(['worker_bypass']));
    // Changed within a minute, as a restart changes it.
    const soon = [
      ...many(20, (i) => kept(2_000 + i, 60.5, 'science')),
      ...many(5, (i) => offloaded(MIB + i, 61, { queue: 'science' })),
      ...many(20, (i) => offloaded(1_000 + i, 60, { queue: 'science' })),
      ...many(20, (i) => offloaded(1_000 + i, 60)),
    ];
    expect(await raisedOf(soon, TOLD)).toEqual([]);
  });

  test('a threshold that was raised: small objects of the time before are no mismatch', async () => {
    const written = [
      ...many(5, (i) => offloaded(300 + i, 130 + i)),
      ...many(20, (i) => kept(400 + i, 60 + i)),
      ...many(20, (i) => offloaded(1_000 + i, 60 + i)),
    ];
    expect(await raisedOf(written, TOLD)).toEqual([]);
    const both = written.map((one) => ({ ...one, ago: one.bytes < 400 ? 30 : one.ago }));
    expect(await raisedOf(both, TOLD)).toEqual(['threshold_mismatch']);
  });

  test('a threshold that was switched off: it is said as soon as a value as large stays', async () => {
    const off = { ...TOLD, 'xcom.threshold': '-1' };
    const before = many(20, (i) => offloaded(1_000 + i, 60 + i));
    expect(await raisedOf(before, off)).toEqual([]);
    expect((await judge(before, off)).undecided.threshold_disabled).toBe(
      'the threshold is said to be -1, and there are references, the latest of 2026-01-01T17:00Z',
    );
    expect(await raisedOf([...before, kept(5_000, 10)], off)).toEqual(['threshold_disabled']);
    expect(await raisedOf([...before, kept(5_000, 70)], off)).toEqual([]);
  });
});

test('objects that a lower threshold left behind hide no pool of workers that lacks the backend', async () => {
  const written = [
    ...many(3, (i) => offloaded(300 + i, 200 + i)),
    ...many(16, (i) => kept(2_000 + i, 20 + i, 'legacy')),
    ...many(40, (i) => offloaded(1_000 + i, 20 + i)),
  ];
  expect((await raisedOf(written, TOLD)).filter(isCritical)).toEqual(['worker_bypass']);
  const now = written.map((one) => ({ ...one, ago: one.bytes < 400 ? 10 : one.ago }));
  expect(await raisedOf(now, TOLD)).toEqual(['worker_bypass', 'threshold_mismatch']);
});

test('a smaller size that counts as oversize makes no pool of workers that lacks the backend', async () => {
  const written = [
    ...many(16, (i) => kept(500 + i, i, 'legacy')),
    ...many(40, (i) => offloaded(1_000 + i, i)),
  ];
  const config = { ...TOLD, 'xcom.oversize': '400' };
  expect(await raisedOf(written, config)).toEqual(['oversize_in_db']);
});

describe('several paths', () => {
  const team = 's3://team@other/xcom';
  const ofBoth = [
    ...many(20, (i) => offloaded(1_000 + i, 10 + i)),
    ...many(20, (i) => offloaded(1_000 + i, 10 + i, { queue: 'team', under: team })),
  ];

  test('of which all are told: each is in force, and what lies below it', async () => {
    const below = offloaded(1_000, 5, { under: `${BASE}/v2` });
    expect(await raisedOf([...ofBoth, below], { ...TOLD, 'xcom.path': `${BASE},${team}` })).toEqual([]);
  });

  test('of which one is told: nothing critical, and how to tell the other', async () => {
    const { problems, states, undecided } = await judge(ofBoth, TOLD);
    expect(problems).toEqual([]);
    expect(states.path_mismatch).toBe('unknown');
    expect(undecided.path_mismatch).toBe(
      `references are written to ${team} beside ${BASE} (if that is meant, give all of them as xcom.path, separated by commas)`,
    );
  });

  test('of which one is of the time before: nobody can read back what lies there', async () => {
    const before = ofBoth.map((one) => ({ ...one, ago: one.queue === 'team' ? one.ago + 60 : one.ago }));
    expect(await raisedOf(before, TOLD)).toEqual(['path_mismatch']);
  });

  test('of which none is told: nothing is held against a reference', async () => {
    const { 'xcom.path': _, ...rest } = TOLD;
    expect(await raisedOf(ofBoth, rest)).toEqual([]);
  });
});
