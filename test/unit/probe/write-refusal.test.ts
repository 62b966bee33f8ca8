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
  expect(said).toBe(from === null ? null : from * SECOND);
});
