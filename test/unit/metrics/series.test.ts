import { expect, test } from 'vitest';
import { createReasons } from '../../../src/metrics/series.ts';

test('a reason that the exporter knows keeps its name after any number of others', () => {
  const reasonOf = createReasons();
  const strangers = Array.from({ length: 100 }, (_, index) => reasonOf(`Stranger ${index}`));
  expect(strangers).toContain('stranger_0');
  expect(strangers.at(-1)).toBe('other');
  const known = ['denied', 'throttled', 'timeout', 'unreachable', 'no_such_bucket', 'wrong_region'];
  expect([...known, 'server_error', 'clock_skew', 'content_mismatch'].map(reasonOf)).toEqual([
    ...known,
    'server_error',
    'clock_skew',
    'content_mismatch',
  ]);
});
