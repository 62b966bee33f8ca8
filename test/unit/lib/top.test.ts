import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bestOf, createTop } from '../../../src/lib/top.ts';

test('the best of several lists are the best of all that stands in them', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uniqueArray(fc.nat({ max: 1_000 }), { maxLength: 8 }), { maxLength: 6 }),
      fc.nat({ max: 12 }),
      (lists, size) => {
        const all = createTop(size);
        for (const item of lists.flat()) all.offer(item, item);
        const sorted = lists.map((list) => list.toSorted((a, b) => b - a));
        expect(bestOf(size, sorted, (item) => item)).toEqual(all.items());
      },
    ),
    { seed: 20_260_103 },
  );
});
