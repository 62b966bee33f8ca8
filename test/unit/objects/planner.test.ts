import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HEAD_COST, PAGE_COST, PAGE_KEYS, plan } from '../../../src/objects/planner.ts';
import type { KeyRange, Plan, Wanted } from '../../../src/objects/planner.ts';

type TestRange = KeyRange<string, string>;

const MINUTE = 60_000;

/** A range whose references have these ranks; a higher rank was written later. */
function range(place: string, ranks: readonly number[], changes: Partial<Wanted<string>> = {}): TestRange {
  return {
    location: place,
    listable: true,
    waiting: ranks.map((rank) => {
      const key = `${place}/${String(rank).padStart(8, '0')}`;
      return { item: key, key, rank, at: rank * MINUTE, asked: false, ...changes };
    }),
  };
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

function outline({ steps }: Plan<string, string>): { heads: number; pages: number[] } {
  return {
    heads: steps.filter(({ kind }) => kind === 'head').length,
    pages: steps.flatMap((step) => (step.kind === 'list' ? [step.items.length] : [])),
  };
}

describe('HEAD or LIST', () => {
  test('thirteen HEADs are dearer than one page, twelve are not', () => {
    expect(outline(plan([range('run', upTo(12))], 500))).toEqual({ heads: 12, pages: [] });
    expect(outline(plan([range('run', upTo(13))], 500))).toEqual({ heads: 0, pages: [13] });
  });

  test('also when the page is full of other keys', () => {
    const ranks = (count: number) => upTo(count).map((index) => index * 75);
    expect(outline(plan([range('run', ranks(12))], 500))).toEqual({ heads: 12, pages: [] });
    expect(outline(plan([range('run', ranks(13))], 500))).toEqual({ heads: 0, pages: [13] });
  });

  test('many small runs side by side are one page, and a page apart they are not', () => {
    const runs = upTo(20).flatMap((run) => [run * 3, run * 3 + 1, run * 3 + 2]);
    expect(outline(plan([range('dag', runs)], 500))).toEqual({ heads: 0, pages: [60] });
    const apart = upTo(20).flatMap((run) => [run * 1_000, run * 1_000 + 1, run * 1_000 + 2]);
    expect(outline(plan([range('dag', apart)], 500))).toEqual({ heads: 60, pages: [] });
  });

  test('one by one where S3 does not list', () => {
    expect(outline(plan([{ ...range('run', upTo(50)), listable: false }], 500))).toEqual({
      heads: 50,
      pages: [],
    });
  });

  test('2,500 keys of a run are three pages, and what they ask for', () => {
    const { steps, left } = plan([range('run', upTo(2_500))], 500);
    expect(left).toEqual([]);
    expect(steps.flatMap((step) => (step.kind === 'list' ? step.items : []))).toHaveLength(2_500);
    expect(steps).toHaveLength(3);
    expect(steps.at(-1)).toMatchObject({ prefix: 'run/00000', startAfter: 'run/0000000' });
  });

  test('a prefix never ends with half a character', () => {
    const waiting = ['a/\u{1F600}/x', 'a/\u{1F601}/x'].flatMap((key, run) =>
      upTo(10).map((index) => ({
        item: `${key}${index}`,
        key: `${key}${index}`,
        rank: run * 10 + index,
        at: 0,
        asked: false,
      })),
    );
    const { steps } = plan([{ location: '', listable: true, waiting }], 500);
    expect(steps).toMatchObject([{ kind: 'list', prefix: 'a/' }]);
  });
});

describe('the ceiling', () => {
  test('pages take the place of HEADs when these do not fit', () => {
    const ranges = [range('a', upTo(10)), range('b', upTo(8)), range('c', upTo(2))];
    expect(outline(plan(ranges, 20))).toEqual({ heads: 20, pages: [] });
    expect(outline(plan(ranges, 19))).toEqual({ heads: 10, pages: [10] });
    expect(outline(plan(ranges, 11))).toEqual({ heads: 10, pages: [10] });
    expect(outline(plan(ranges, 4))).toEqual({ heads: 2, pages: [10, 8] });
  });

  test('newest first, a quarter for the oldest, and the rest is left', () => {
    const apart = upTo(40).map((index) => index * PAGE_KEYS);
    const { steps, left } = plan([range('run', apart)], 8);
    const asked = steps.map((step) =>
      step.kind === 'head' ? apart.indexOf(Number(step.item.slice(4))) : -1,
    );
    expect(asked).toEqual([39, 38, 37, 0, 36, 35, 34, 1]);
    expect(left).toHaveLength(32);
  });

  test('what S3 did not answer comes after what was not asked, among the oldest', () => {
    const apart = (from: number) => upTo(20).map((index) => (from + index) * PAGE_KEYS);
    const { steps } = plan([range('old', apart(0), { asked: true }), range('new', apart(20))], 4);
    expect(steps.map(({ location: place }) => place)).toEqual(['new', 'new', 'new', 'new']);
  });

  test('nor does it stand before what was not asked when all fits', () => {
    const { steps } = plan(
      [
        range(
          'new',
          [9, 8].map((at) => at * PAGE_KEYS),
          { asked: true },
        ),
        range('old', [1]),
      ],
      4,
    );
    expect(steps.map(({ location: place }) => place)).toEqual(['old', 'new', 'new']);
  });

  test('nothing may be sent: all is left', () => {
    expect(plan([range('run', upTo(5))], 0)).toMatchObject({ steps: [], cost: 0 });
    expect(plan([range('run', upTo(5))], 0).left).toHaveLength(5);
  });

  test('20,000 references are planned in time', { timeout: 5_000 }, () => {
    const ranges = upTo(100).map((index) =>
      range(
        `dag${index}`,
        upTo(200).map((rank) => rank * 7),
      ),
    );
    const { steps, left } = plan(ranges, 150);
    expect(steps.length).toBeGreaterThan(0);
    expect(steps.length).toBeLessThanOrEqual(150);
    expect(left.length).toBeLessThan(20_000);
  });
});

describe('for all ranges and ceilings', () => {
  const anyLane = (name: string, size: number) =>
    fc
      .record({
        gaps: fc.oneof(
          fc.array(fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 1_500 })), {
            maxLength: size,
          }),
          fc.array(fc.integer({ min: 20, max: 160 }), { maxLength: size }),
        ),
        ages: fc.array(fc.integer({ min: 0, max: 1_000 }), { minLength: size, maxLength: size }),
        listable: fc.integer({ min: 0, max: 9 }).map((roll) => roll > 0),
      })
      .map(({ gaps, ages, listable }): TestRange => {
        let rank = 0;
        const ranks = gaps.map((gap) => (rank += gap));
        const { waiting } = range(name, ranks);
        return {
          location: name,
          listable,
          waiting: waiting.map((one, index) => ({ ...one, at: ages[index] ?? 0 })),
        };
      });
  const anyLanes = (size: number) =>
    fc.tuple(anyLane('a', size), anyLane('b', size), anyLane('c', size)).map((ranges) => [...ranges]);

  test('the ceiling holds, nothing waits beside unused requests, and each is asked for once', () => {
    fc.assert(
      fc.property(anyLanes(60), fc.integer({ min: 0, max: 80 }), (ranges, ceiling) => {
        const { steps, left } = plan(ranges, ceiling);
        expect(steps.length).toBeLessThanOrEqual(ceiling);
        if (left.length > 0) expect(steps).toHaveLength(ceiling);
        const asked = steps.flatMap((step) => (step.kind === 'head' ? [step.item] : step.items));
        const all = ranges.flatMap(({ waiting }) => waiting.map(({ item }) => item));
        expect([...asked, ...left].sort()).toEqual(all.sort());
      }),
      { seed: 4, numRuns: 300 },
    );
  });

  test('a page holds no more than a page, begins before its first key and has the prefix of all', () => {
    fc.assert(
      fc.property(anyLanes(60), fc.integer({ min: 1, max: 80 }), (ranges, ceiling) => {
        for (const step of plan(ranges, ceiling).steps) {
          if (step.kind === 'head') continue;
          const keys = step.items;
          const ranks = keys.map((key) => Number(key.slice(2)));
          expect(Math.max(...ranks) - Math.min(...ranks)).toBeLessThan(PAGE_KEYS);
          expect(keys.every((key) => key.startsWith(step.prefix) && key > step.startAfter)).toBe(true);
        }
      }),
      { seed: 4, numRuns: 300 },
    );
  });

  test('it costs at most a tenth more than the best of all ways', () => {
    fc.assert(
      fc.property(anyLanes(24), fc.integer({ min: 1, max: 48 }), (ranges, ceiling) => {
        const best = bruteForce(ranges, ceiling);
        const { cost, left } = plan(ranges, ceiling);
        // The ceiling may be too low to look at everything.
        if (best === null) {
          expect(left.length).toBeGreaterThan(0);
          return;
        }
        expect(left).toEqual([]);
        expect(cost).toBeLessThanOrEqual(best * 1.1);
      }),
      { seed: 4, numRuns: 1_000 },
    );
  });

  test('whatever keeps arriving, what waits is asked for in its time', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 0, max: 10 }), (ceiling, more) => {
        // The old references and all that arrive lie too far apart to share a page.
        let waiting = upTo(10).map((rank) => rank * PAGE_KEYS);
        const old = new Set(waiting);
        let rank = waiting.length;
        const share = Math.max(1, Math.floor(ceiling / 4));
        for (let cycle = 0; cycle < Math.ceil(10 / share); cycle += 1) {
          const arrived = upTo(ceiling + more).map(() => rank++ * PAGE_KEYS);
          const { left } = plan([range('run', [...waiting, ...arrived])], ceiling);
          waiting = left.map((item) => Number(item.slice(4))).sort((a, b) => a - b);
        }
        expect(waiting.filter((one) => old.has(one))).toEqual([]);
      }),
      { seed: 4, numRuns: 50 },
    );
  });
});

/** The least cost of looking at everything with at most `ceiling` requests; null when they do not suffice. */
function bruteForce(ranges: readonly TestRange[], ceiling: number): number | null {
  /** The least cost, by the number of requests. */
  let best: number[] = [0];
  for (const { waiting, listable } of ranges) {
    const ways = waysOf(waiting, listable);
    const next: number[] = [];
    best.forEach((cost, requests) => {
      ways.forEach((more, extra) => {
        next[requests + extra] = Math.min(next[requests + extra] ?? Infinity, cost + more);
      });
    });
    best = next;
  }
  const within = best.slice(0, ceiling + 1).filter((cost) => cost < Infinity);
  return within.length === 0 ? null : Math.min(...within);
}

function waysOf(waiting: TestRange['waiting'], listable: boolean): number[] {
  const ways: number[][] = [[0]];
  waiting.forEach((last, index) => {
    const here: number[] = [];
    const take = (from: number, cost: number) => {
      ways[from]?.forEach((before, requests) => {
        here[requests + 1] = Math.min(here[requests + 1] ?? Infinity, before + cost);
      });
    };
    take(index, HEAD_COST);
    for (let from = index; from >= 0 && listable; from -= 1) {
      const span = last.rank - (waiting[from]?.rank ?? 0) + 1;
      if (span > PAGE_KEYS) break;
      take(from, PAGE_COST);
    }
    ways.push(here);
  });
  return ways.at(-1) ?? [];
}
