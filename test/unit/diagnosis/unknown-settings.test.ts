import { describe, expect, test } from 'vitest';
import { PROBLEM_CODES, PROBLEMS } from '../../../src/diagnosis/problem-catalogue.ts';
import type { ToldSetting } from '../../../src/settings/catalogue.ts';
import { undecidedNote } from '../../../src/status/verdict.ts';
import type { Written } from '../../support/judged-rows.ts';
import {
  BASE,
  isCritical,
  judge,
  kept,
  many,
  MIB,
  offloaded,
  raisedOf,
  TOLD,
} from '../../support/judged-rows.ts';

/** Rows of the window and settings as a user tells them: tests what the exporter may say of both together. */

const NAMES = Object.keys(TOLD) as ToldSetting[];
/** Every subset of the settings; the settings in a subset are told. */
const SUBSETS = Array.from({ length: 2 ** NAMES.length }, (_, bits) =>
  NAMES.filter((_name, index) => (bits & (1 << index)) !== 0),
);

/** Healthy deployments, with the threshold of their workers. */
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
      // Until two hours ago the threshold was 1 MiB, and most values came from the queue science.
      ...many(30, (i) => kept(5_000 + i, 130 + i, 'science')),
      ...many(5, (i) => offloaded(MIB + i, 130 + i)),
      ...many(40, (i) => offloaded(1_000 + i, 60 + i)),
      ...many(10, (i) => offloaded(1_000 + i, 60 + i, { queue: 'science' })),
    ];
    expect(await raisedOf(written, TOLD)).toEqual([]);
    // The same values, but both kinds go on at the same time.
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
    // A worker that put values as small into S3 before is different: the old threshold does not explain what it kept
    // since then.
    const again = [
      ...silent,
      offloaded(1_000, 200, { queue: 'science' }),
      offloaded(1_000, 60, { queue: 'science' }),
    ];
    expect(await raisedOf(again, TOLD)).toEqual(expect.arrayContaining(['worker_bypass']));
    // The change takes less than a minute, as with a restart.
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

test('no value is large enough to show whether the backend is there: that is not known', async () => {
  const { states, undecided } = await judge(
    many(30, (index) => kept(509, index)),
    TOLD,
  );
  expect(states.backend_inactive).toBe('unknown');
  expect(undecided.backend_inactive).toMatch(/no worker wrote a value that is large enough/);
  const one = await judge([...many(30, (index) => kept(509, index)), offloaded(2_009, 1)], TOLD);
  expect(one.states.backend_inactive).toBe('clear');
});
