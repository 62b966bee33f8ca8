import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isIn, lockNumber, parseShard } from '../../../src/settings/shard.ts';
import type { Shard } from '../../../src/settings/shard.ts';

const counts = fc.integer({ min: 1, max: 1_000 });
const all = (count: number) => Array.from({ length: count }, (_, index): Shard => ({ index, count }));

describe('a shard', () => {
  test('every dag is in exactly one of them', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 1, max: 40 }), (dagId, count) => {
        expect(all(count).filter((shard) => isIn(shard, dagId))).toHaveLength(1);
      }),
      { seed: 7 },
    );
  });

  test('dags that differ in their last characters are spread: none has more than twice its part', () => {
    for (const count of [2, 3, 4, 8]) {
      const dags = Array.from({ length: 1_000 }, (_, at) => `team_etl_${at}`);
      for (const shard of all(count))
        expect(dags.filter((dagId) => isIn(shard, dagId)).length).toBeLessThan((2 * dags.length) / count);
    }
  });

  test('no two that may run at once share a lock', () => {
    fc.assert(
      fc.property(counts, (count) => {
        expect(new Set(all(count).map(lockNumber)).size).toBe(count);
      }),
      { seed: 7, numRuns: 20 },
    );
  });

  test.each([
    '1/1',
    '3/3',
    '-1/2',
    '1',
    '1/',
    '/2',
    '0/0',
    '1/2/3',
    '0/1001',
    ' 0/2',
    '0.5/2',
    'a/b',
    'xcom/2',
    'xcom-3/3',
    'xcom-/2',
    'xcom 1/2',
  ])('%j is refused', (text) => {
    expect(() => parseShard(text)).toThrow(/^(?:"[a-z\d ./-]*"|what is given) is no shard/);
  });

  test('the first is 0, the last one less than their number', () => {
    expect(parseShard('0/3')).toEqual({ index: 0, count: 3 });
    expect(parseShard('2/3')).toEqual({ index: 2, count: 3 });
    expect(parseShard('xcom-exporter-2/3')).toEqual({ index: 2, count: 3 });
    expect(parseShard('xcom-7-0/3')).toEqual({ index: 0, count: 3 });
  });
});
