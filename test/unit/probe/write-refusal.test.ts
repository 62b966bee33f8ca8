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
  const said = looks.map(([put, at]) => refusals.note(put, at * SECOND)).at(-1);
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
  const said = looks.map(([put, at]) => refusals.note(put, at * SECOND)).at(-1);
  expect(said?.writesFailSince).toBe(since === null ? null : since * SECOND);
});
