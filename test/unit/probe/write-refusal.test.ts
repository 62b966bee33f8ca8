import { expect, test } from 'vitest';
import { createWriteRefusals } from '../../../src/probe/write-refusal.ts';

const WORKED = { ok: true };
const FAILED = { ok: false };
const UNTRIED = { ok: null };

const SECOND = 1_000;

test.each<
  [string, readonly (readonly [{ readonly ok: boolean | null } | undefined, number])[], number | null]
>([
  ['it works', [[WORKED, 1_000]], null],
  ['it is not tried', [[UNTRIED, 1_000]], null],
  ['there is none', [[undefined, 1_000]], null],
  [
    'its beginning was seen',
    [
      [WORKED, 400],
      [FAILED, 460],
    ],
    460,
  ],
  [
    'it goes on',
    [
      [WORKED, 400],
      [FAILED, 460],
      [UNTRIED, 500],
      [FAILED, 520],
    ],
    460,
  ],
  [
    'it begins again',
    [
      [WORKED, 400],
      [FAILED, 460],
      [WORKED, 520],
      [FAILED, 580],
    ],
    580,
  ],
  ['it failed at first: two minutes before', [[FAILED, 1_000]], 880],
  [
    'a minute later',
    [
      [FAILED, 1_000],
      [FAILED, 1_060],
    ],
    940,
  ],
  [
    'ten minutes later: from the first on',
    [
      [FAILED, 1_000],
      [FAILED, 1_600],
    ],
    1_000,
  ],
  [
    'later still: what was written in its first two minutes may be older',
    [
      [FAILED, 1_000],
      [FAILED, 1_601],
    ],
    1_120,
  ],
  [
    'the same where its beginning was seen',
    [
      [WORKED, 940],
      [FAILED, 1_000],
      [FAILED, 1_601],
    ],
    1_120,
  ],
])('from when on others are heard: %s', (_, looks, from) => {
  const refusals = createWriteRefusals();
  const said = looks.map(([put, at]) => refusals.note({ put, isOutOfReach: false }, at * SECOND)).at(-1);
  expect(said?.othersWriteFrom).toBe(from === null ? null : from * SECOND);
});

test.each<[string, readonly (readonly [{ readonly ok: boolean | null }, number])[], number | null]>([
  ['it works', [[WORKED, 1_000]], null],
  ['once', [[FAILED, 1_000]], null],
  [
    'for less than five minutes',
    [
      [FAILED, 1_000],
      [FAILED, 1_060],
      [FAILED, 1_299],
    ],
    null,
  ],
  [
    'for five minutes',
    [
      [FAILED, 1_000],
      [FAILED, 1_060],
      [FAILED, 1_300],
    ],
    1_000,
  ],
  [
    'two were tried in as long: the machine may have slept',
    [
      [FAILED, 1_000],
      [FAILED, 1_300],
    ],
    null,
  ],
  [
    'one that was not tried says nothing',
    [
      [FAILED, 1_000],
      [FAILED, 1_060],
      [UNTRIED, 1_120],
      [FAILED, 1_300],
    ],
    1_000,
  ],
  [
    'one worked in between',
    [
      [FAILED, 1_000],
      [FAILED, 1_060],
      [WORKED, 1_120],
      [FAILED, 1_180],
      [FAILED, 1_300],
      [FAILED, 1_360],
    ],
    null,
  ],
  [
    'it works again',
    [
      [FAILED, 1_000],
      [FAILED, 1_060],
      [FAILED, 1_300],
      [WORKED, 1_360],
    ],
    null,
  ],
])('since when each write fails: %s', (_, looks, since) => {
  const refusals = createWriteRefusals();
  const said = looks.map(([put, at]) => refusals.note({ put, isOutOfReach: false }, at * SECOND)).at(-1);
  expect(said?.writesFailSince).toBe(since === null ? null : since * SECOND);
});

test('a bucket that goes out of reach has a history of its own', () => {
  const refusals = createWriteRefusals();
  const seen = (isOutOfReach: boolean, at: number) =>
    refusals.note({ put: FAILED, isOutOfReach }, at * SECOND).othersReachFrom;
  expect(seen(false, 1_000)).toBeNull();
  // Test writes have failed for an hour. References of that hour show nothing about the reach of the bucket.
  expect(seen(true, 4_600)).toBe(4_600 * SECOND);
  expect(seen(true, 4_660)).toBe(4_600 * SECOND);
  expect(seen(true, 5_201)).toBe(4_720 * SECOND);
  expect(seen(false, 5_260)).toBeNull();
  expect(seen(true, 5_320)).toBe(5_320 * SECOND);
});

test('a bucket that was never in reach: references of the last two minutes count', () => {
  const seen = createWriteRefusals().note({ put: UNTRIED, isOutOfReach: true }, 1_000 * SECOND);
  expect(seen.othersReachFrom).toBe(880 * SECOND);
});
