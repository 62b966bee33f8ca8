import { expect, test } from 'vitest';
import { isBefore } from '../../../src/lib/log-position.ts';

test.each<[string, string, boolean]>([
  ['0/3000060', '0/3000090', true],
  ['0/3000060', '0/3000060', false],
  ['0/FFFFFFF8', '1/8', true],
  ['A/0', '9/FFFFFFFF', false],
  ['16/B374D848', '100/0', true],
])('%s before %s: %s', (one, other, expected) => {
  expect(isBefore(one, other)).toBe(expected);
});
