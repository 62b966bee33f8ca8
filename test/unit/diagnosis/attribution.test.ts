import { describe, expect, test } from 'vitest';
import type { Worker } from '../../../src/airflow/worker-queries.ts';
import { clusterOf } from '../../../src/diagnosis/shared-hosts.ts';
import { pools } from '../../../src/diagnosis/worker-pools.ts';
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
  /** Share of the tasks that run in the pool whose workers lack the setting; 0: no such pool exists. */
  readonly share: number;
  /** Share of the large values elsewhere that are in the database for other reasons. */
  readonly noise: number;
  /** Share of the large values in that pool that reach S3 all the same, as on a worker restarted half-way. */
  readonly mended: number;
}

const QUEUES = ['default', 'etl', 'reports', 'ml', 'backfill', 'exports'];
const OPERATORS = ['PythonOperator', '_PythonDecoratedOperator', 'KubernetesPodOperator', 'BashOperator'];

/** A number of rows: whether they went past S3, and the times of the first and the last row. */
function went(bypassed: boolean, rows = 1, [first, last] = [0, 0]): Omit<Placed, 'worker'> {
  return bypassed
    ? { bypassed: rows, offloaded: 0, kept: { first, last }, latestPut: null }
    : { bypassed: 0, offloaded: rows, kept: null, latestPut: last };
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

function both(bypassed: number, offloaded: number): Omit<Placed, 'worker'> {
  return { bypassed, offloaded, kept: null, latestPut: null };
}

/** The rows grouped by worker, as a survey gives them. They were written one after the other. */
function inTurn(rows: readonly Placed[]): Placed[] {
  const placed = new Map<
    string,
    { worker: Worker; bypassed: boolean; rows: number; first: number; last: number }
  >();
  for (const [at, { worker, bypassed, offloaded }] of rows.entries()) {
    const name = `${worker.hostname} ${worker.operator} ${bypassed}`;
    const before = placed.get(name);
    if (before === undefined)
      placed.set(name, { worker, bypassed: offloaded === 0, rows: 1, first: at, last: at });
    else {
      before.rows += 1;
      before.last = at;
    }
  }
  return Array.from(placed.values(), ({ worker, bypassed, rows: count, first, last }) => ({
    worker,
    ...went(bypassed, count, [first, last]),
  }));
}

const DRAWS = 200;

/** The share of draws that named only the planted pool, and the share that named a pool that was not planted. */
function rates(plan: Plan): { right: number; wrong: number } {
  let right = 0;
  let wrong = 0;
  for (let seed = 1; seed <= DRAWS; seed += 1) {
    const { named: found } = clusterOf(inTurn(draw(plan, seeded(seed))));
    const named = found.map(({ label, value }) => `${label} ${value}`);
    if (named.length === 1 && named[0] === 'queue legacy' && plan.share > 0) right += 1;
    if (named.some((pool) => pool !== 'queue legacy')) wrong += 1;
  }
  return { right: right / DRAWS, wrong: wrong / DRAWS };
}

/** One line of test/golden/attribution.txt, which keeps the figures. */
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
    { worker: worker('a'), ...both(20, 0) },
    { worker: worker('b'), ...both(0, 60) },
  ]);
  expect(named).toMatchObject([{ value: 'a', bypassed: 20, offloaded: 0 }]);
});

test('a million rows are no more than their workers', () => {
  const worker = (queue: string) => ({ queue, executor: null, hostname: null, operator: null });
  const named = pools([
    { worker: worker('a'), ...both(300_000, 200_000) },
    { worker: worker('b'), ...both(200_000, 300_000) },
  ]);
  expect(named).toMatchObject([{ value: 'a' }]);
  expect(
    pools([
      { worker: worker('a'), ...both(250_100, 250_000) },
      { worker: worker('b'), ...both(250_000, 250_000) },
    ]),
  ).toEqual([]);
});

describe('what one operator kept, beside what others put', () => {
  const on = (operator: string, hostname: string | null): Worker => ({
    ...{ queue: 'q', executor: null },
    ...{ hostname, operator },
  });
  const kept = (rows: number, [operator, hostname]: Parameters<typeof on>, within = [1, 12]): Placed => ({
    worker: on(operator, hostname),
    ...went(true, rows, [within[0] ?? 0, within[1] ?? 0]),
  });
  const put = (rows: number, [operator, hostname]: Parameters<typeof on>, until: number): Placed => ({
    worker: on(operator, hostname),
    ...went(false, rows, [0, until]),
  });
  const ELSEWHERE = [put(30, ['Python', 'b'], 20), put(30, ['Own', 'b'], 20)];

  test.each([
    ['on the host alone, before', [kept(12, ['Own', 'a']), put(3, ['Python', 'a'], 13)], 'last'],
    [
      'before, on one host of several',
      [kept(12, ['Own', 'a']), put(3, ['Python', 'a'], 13), ...ELSEWHERE],
      'last',
    ],
    ['meanwhile', [kept(12, ['Own', 'a']), put(3, ['Python', 'a'], 2), ...ELSEWHERE], 'first'],
    ['since', [kept(12, ['Own', 'a']), put(3, ['Python', 'a'], 0), ...ELSEWHERE], null],
    [
      'before on one host, and since on another',
      [
        ...[kept(12, ['Own', 'a']), put(3, ['Python', 'a'], 13)],
        ...[kept(12, ['Own', 'c']), put(3, ['Python', 'c'], 0)],
        ...ELSEWHERE,
      ],
      null,
    ],
    [
      'and before that put as well',
      [kept(12, ['Own', 'a']), put(9, ['Own', 'a'], 0), put(3, ['Python', 'a'], 13), ...ELSEWHERE],
      'last',
    ],
    [
      'as another did until the host put',
      [kept(12, ['Own', 'a']), kept(9, ['Bash', 'a']), put(3, ['Python', 'a'], 13), ...ELSEWHERE],
      'last',
    ],
  ] as const)('is no fault of workers: %s', (_, placed, putSince) => {
    expect(clusterOf(placed)).toMatchObject({ named: [], operators: { putSince } });
    expect(clusterOf(placed.toReversed())).toMatchObject({ named: [], operators: { putSince } });
  });

  test.each([
    ['no value was put on the host', [kept(12, ['Own', 'a']), ...ELSEWHERE], ['a']],
    [
      'it put none but its own there',
      [kept(12, ['Own', 'a']), put(3, ['Own', 'a'], 13), ...ELSEWHERE],
      ['a'],
    ],
    [
      'others keep theirs on the host as well since the latest was put',
      [kept(12, ['Own', 'a']), kept(9, ['Bash', 'a']), put(3, ['Python', 'a'], 0), ...ELSEWHERE],
      ['a'],
    ],
    [
      'it lost the setting, and others have kept theirs since as well',
      [
        ...[kept(12, ['Own', 'a']), put(9, ['Own', 'a'], 0)],
        ...[kept(12, ['Python', 'a']), put(9, ['Python', 'a'], 0)],
        ...ELSEWHERE,
      ],
      ['a'],
    ],
    [
      'it kept some and put some on the host',
      [kept(12, ['Own', 'a']), put(9, ['Own', 'a'], 5), put(3, ['Python', 'a'], 13), ...ELSEWHERE],
      ['a'],
    ],
    [
      'it kept some on a host of its own as well',
      [...[kept(12, ['Own', 'a']), put(3, ['Python', 'a'], 13)], ...[kept(12, ['Own', 'c']), ...ELSEWHERE]],
      ['c'],
    ],
    ['nobody knows the hosts', [kept(12, ['Own', null]), put(30, ['Python', null], 13)], ['Own']],
    ['each task has a host of its own', [kept(12, ['Own', 'x']), put(30, ['Python', 'y'], 13)], ['x']],
  ] as const)('is one: %s', (_, placed, values) => {
    expect(clusterOf(placed)).toMatchObject({ named: values.map((value) => ({ value })), operators: null });
  });
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
    // The chance is 1/20 = C(3,3) C(3,0) / C(6,3), times two for two pools: no proof.
    expect(pools([...rows(3, { queue: 'a' }, true), ...rows(3, { queue: 'b' }, false)])).toEqual([]);
    // 1 / C(12,6) = 1/924, times two.
    const [pool] = pools([...rows(6, { queue: 'a' }, true), ...rows(6, { queue: 'b' }, false)]);
    expect(pool?.p).toBeCloseTo(2 / 924, 10);
  });
});
