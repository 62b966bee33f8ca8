import { describe, expect, test } from 'vitest';
import { besideSharedHosts, pools } from '../../../src/diagnosis/worker-pools.ts';
import type { Placed } from '../../../src/diagnosis/worker-pools.ts';

/** mulberry32: the same draws on every machine. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function chosen<Item>(items: readonly Item[], random: () => number): Item {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new Error('There is nothing to choose from');
  return item;
}

interface Plan {
  readonly rows: number;
  /** Share of the tasks that run in the pool whose workers lack the setting; 0: there is none. */
  readonly share: number;
  /** Share of the large values elsewhere that are in the database for other reasons. */
  readonly noise: number;
  /** Share of the large values in that pool that reach S3 all the same, as on a worker restarted half-way. */
  readonly mended: number;
}

const QUEUES = ['default', 'etl', 'reports', 'ml', 'backfill', 'exports'];
const OPERATORS = ['PythonOperator', '_PythonDecoratedOperator', 'KubernetesPodOperator', 'BashOperator'];

/** One row, by where it went. */
function went(bypassed: boolean): Omit<Placed, 'worker'> {
  return bypassed ? { bypassed: 1, offloaded: 0 } : { bypassed: 0, offloaded: 1 };
}

/** One day's large values as the exporter sees them: queue and host go together, the operator does not. */
function draw(plan: Plan, random: () => number): Placed[] {
  return Array.from({ length: plan.rows }, () => {
    const planted = random() < plan.share;
    const queue = planted ? 'legacy' : chosen(QUEUES, random);
    return {
      worker: {
        queue,
        executor: null,
        hostname: `${queue}-${Math.floor(random() * 4)}`,
        operator: chosen(OPERATORS, random),
      },
      ...went(planted ? random() >= plan.mended : random() < plan.noise),
    };
  });
}

const DRAWS = 200;

/** Shares of the draws that named the planted pool alone, and that named one that was not planted. */
function rates(plan: Plan): { right: number; wrong: number } {
  let right = 0;
  let wrong = 0;
  for (let seed = 1; seed <= DRAWS; seed += 1) {
    const named = pools(draw(plan, seeded(seed))).map(({ label, value }) => `${label} ${value}`);
    if (named.length === 1 && named[0] === 'queue legacy' && plan.share > 0) right += 1;
    if (named.some((pool) => pool !== 'queue legacy')) wrong += 1;
  }
  return { right: right / DRAWS, wrong: wrong / DRAWS };
}

/** One line of test/golden/attribution.txt, where the figures are kept. */
function figures({ rows, share, noise, mended }: Plan, { right, wrong }: ReturnType<typeof rates>): string {
  const percent = (rate: number) => `${(rate * 100).toFixed(1)} %`.padStart(8);
  const columns = [String(rows).padStart(6), ...[share, noise, mended, right, wrong].map(percent)];
  return `${columns.join('')}\n`;
}

test('a pool without the setting is named, and where there is none, none is', async () => {
  const plans: readonly (readonly [rows: number, share: number, noise: number, mended: number])[] = [
    [800, 0.01, 0, 0],
    [1_000, 0.01, 0.02, 0],
    [1_000, 0.01, 0.05, 0],
    [200, 0.05, 0, 0],
    [400, 0.05, 0.02, 0],
    [400, 0.05, 0.05, 0.2],
    [100, 0.2, 0, 0],
    [200, 0.2, 0.05, 0],
    [400, 0.2, 0.1, 0.3],
    [2_000, 0.2, 0.1, 0.5],
    [50, 0, 0.1, 0],
    [400, 0, 0.05, 0],
    [400, 0, 0.5, 0],
    [2_000, 0, 0.2, 0],
  ];
  let kept = `${DRAWS} draws each\n  rows planted   noise  mended   right   wrong\n`;
  for (const [rows, share, noise, mended] of plans) {
    const plan = { rows, share, noise, mended };
    const found = rates(plan);
    kept += figures(plan, found);
    if (share > 0) expect.soft(found.right, figures(plan, found)).toBeGreaterThanOrEqual(0.95);
    expect.soft(found.wrong, figures(plan, found)).toBeLessThanOrEqual(0.01);
  }
  await expect(kept).toMatchFileSnapshot('../../golden/attribution.txt');
});

describe('where nothing can be told, none is named', () => {
  test('nothing to compare', () => {
    const worker = { queue: 'default', executor: null, hostname: 'a', operator: 'PythonOperator' };
    const rows = (bypassed: boolean) => Array.from({ length: 50 }, () => ({ worker, ...went(bypassed) }));
    expect(pools([])).toEqual([]);
    expect(pools(rows(true))).toEqual([]);
    expect(pools(rows(false))).toEqual([]);
    expect(pools([...rows(true), ...rows(false)])).toEqual([]);
  });
});

test('many rows on one worker are as good as one row each', () => {
  const worker = (queue: string) => ({ queue, executor: null, hostname: null, operator: null });
  const named = pools([
    { worker: worker('a'), bypassed: 20, offloaded: 0 },
    { worker: worker('b'), bypassed: 0, offloaded: 60 },
  ]);
  expect(named).toMatchObject([{ value: 'a', bypassed: 20, offloaded: 0 }]);
});

test('a million rows are no more than their workers', () => {
  const worker = (queue: string) => ({ queue, executor: null, hostname: null, operator: null });
  const named = pools([
    { worker: worker('a'), bypassed: 300_000, offloaded: 200_000 },
    { worker: worker('b'), bypassed: 200_000, offloaded: 300_000 },
  ]);
  expect(named).toMatchObject([{ value: 'a' }]);
  expect(
    pools([
      { worker: worker('a'), bypassed: 250_100, offloaded: 250_000 },
      { worker: worker('b'), bypassed: 250_000, offloaded: 250_000 },
    ]),
  ).toEqual([]);
});

test.each([
  ['the one host puts those of others', [['a', 0, 12]], []],
  ['a host of its own', [['b', 0, 12]], ['Own']],
  [
    'one of two hosts is its own',
    [
      ['a', 0, 12],
      ['b', 6, 0],
    ],
    ['Own'],
  ],
  [
    'a host of its own kept too few to tell',
    [
      ['a', 0, 12],
      ['b', 1, 0],
    ],
    [],
  ],
] as const)('an operator that keeps its values: %s', (_, others, rest) => {
  const at = (hostname: string, operator: string) => ({ queue: 'q', executor: null, hostname, operator });
  const placed = [
    { worker: at('a', 'Own'), bypassed: 20, offloaded: 0 },
    ...others.map(([hostname, bypassed, offloaded]) => ({
      worker: at(hostname, bypassed > 0 ? 'Own' : 'Python'),
      bypassed,
      offloaded: offloaded * 5,
    })),
  ];
  const withoutHosts = (all: readonly Placed[]) =>
    pools(all.map((one) => ({ ...one, worker: { ...one.worker, hostname: null } })));
  const named = withoutHosts(placed);
  expect(named.map(({ value }) => value)).toEqual(['Own']);
  expect(withoutHosts(besideSharedHosts(placed, named)).map(({ value }) => value)).toEqual(rest);
});

describe('what a pool is called', () => {
  const rows = (count: number, worker: Partial<Placed['worker']>, bypassed: boolean): Placed[] =>
    Array.from({ length: count }, () => ({
      worker: { queue: null, executor: null, hostname: null, operator: null, ...worker },
      ...went(bypassed),
    }));

  test.each([
    ['queue', { queue: 'a', hostname: 'h1' }, { queue: 'b', hostname: 'h2' }, 'a'],
    ['executor', { executor: 'K8s', hostname: 'h1' }, { executor: 'Celery', hostname: 'h2' }, 'K8s'],
    ['hostname', { queue: 'a', hostname: 'h1' }, { queue: 'a', hostname: 'h2' }, 'h1'],
    ['operator', { queue: 'a', operator: 'Bash' }, { queue: 'a', operator: 'Python' }, 'Bash'],
  ] as const)('by the first dimension that tells: %s', (label, wrong, right, value) => {
    const named = pools([...rows(20, wrong, true), ...rows(60, right, false)]);
    expect(named).toEqual([{ label, value, bypassed: 20, offloaded: 0, p: expect.any(Number) as number }]);
  });

  test('two of them, the larger first', () => {
    const named = pools([
      ...rows(20, { queue: 'a' }, true),
      ...rows(30, { queue: 'b' }, true),
      ...rows(100, { queue: 'c' }, false),
    ]);
    expect(named.map(({ value, bypassed }) => [value, bypassed])).toEqual([
      ['b', 30],
      ['a', 20],
    ]);
  });

  test('an unknown worker is no pool', () => {
    expect(pools([...rows(20, { queue: '' }, true), ...rows(20, { queue: 'a' }, false)])).toEqual([]);
  });

  test('p is that of Fisher’s exact test: 3 of 3 against 0 of 3 in one of 2 pools', () => {
    // Chance 1/20 = C(3,3) C(3,0) / C(6,3), twice for two pools: no proof.
    expect(pools([...rows(3, { queue: 'a' }, true), ...rows(3, { queue: 'b' }, false)])).toEqual([]);
    // 1 / C(12,6) = 1/924, twice.
    const [pool] = pools([...rows(6, { queue: 'a' }, true), ...rows(6, { queue: 'b' }, false)]);
    expect(pool?.p).toBeCloseTo(2 / 924, 10);
  });
});
