import { expect, test } from 'vitest';
import { continueSweep, SWEEP_START } from '../../../src/window/sweep-state.ts';

const rounds = (...steps: readonly Parameters<typeof continueSweep>[1][]) =>
  steps.reduce(continueSweep, SWEEP_START).fastRounds;
const whole = { to: null, changes: 7 };

test.each([
  ['a window that was read whole', [whole], 0],
  ['a deletion since', [whole, { to: 1, changes: 8 }], 2],
  ['the rest of the round', [whole, { to: 1, changes: 8 }, { to: 2, changes: 8 }], 2],
  ['the next round', [whole, { to: 1, changes: 8 }, { to: -1, changes: 8 }], 1],
  [
    'all of it was compared',
    [whole, { to: 1, changes: 8 }, { to: -1, changes: 8 }, { to: -1, changes: 8 }],
    0,
  ],
  ['another deletion meanwhile', [whole, { to: 1, changes: 8 }, { to: -1, changes: 9 }], 2],
  ['counts that were reset', [whole, { to: 1, changes: 0 }], 2],
  ['a restart, before which nobody looked', [{ to: 1, changes: 7 }], 2],
  [
    'a server that does not count',
    [
      { to: null, changes: null },
      { to: 1, changes: null },
    ],
    0,
  ],
  ['a server that counts no more', [whole, { to: 1, changes: 8 }, { to: 2, changes: null }], 2],
])('%s', (_name, steps, expected) => {
  expect(rounds(...steps)).toBe(expected);
});
