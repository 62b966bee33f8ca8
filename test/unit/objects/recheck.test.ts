import { expect, test } from 'vitest';
import { createDraw } from '../../../src/objects/recheck.ts';
import { verify } from '../../../src/objects/verify.ts';
import type { ObjectStore } from '../../../src/s3/client.ts';
import { emptyState } from '../../../src/window/ledger-state.ts';
import { createLedger } from '../../../src/window/ledger.ts';
import { openLiveRun } from '../../support/live-run.ts';

/** Lehmer's generator: it gives the same numbers every time. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

test('a hundredth of 2,000 references is come across within the cycles said, in 99 of 100 times', () => {
  const random = seeded(4);
  // In each cycle, 50 looks miss all the missing ones with a chance of 0.99 to the power of 50: after 10 cycles that
  // is 0.66 %.
  const cycles = 10;
  let found = 0;
  const trials = 1_000;
  for (let trial = 0; trial < trials; trial += 1) {
    const missing = new Set(Array.from({ length: 20 }, (_, index) => (index * 101 + trial) % 2_000));
    const isFound = Array.from({ length: cycles }).some(() => {
      const draw = createDraw(50, random);
      for (let item = 0; item < 2_000; item += 1) draw.offer(item);
      return draw.drawn.some((item) => missing.has(item));
    });
    if (isFound) found += 1;
  }
  expect(found / trials).toBeGreaterThanOrEqual(0.985);
});

test('each is as likely to be drawn as any other', () => {
  const random = seeded(7);
  const times = new Array<number>(100).fill(0);
  for (let trial = 0; trial < 5_000; trial += 1) {
    const draw = createDraw(10, random);
    for (let item = 0; item < 100; item += 1) draw.offer(item);
    expect(new Set(draw.drawn).size).toBe(10);
    for (const item of draw.drawn) times[item] = (times[item] ?? 0) + 1;
  }
  // 500 draws are expected of each; five standard deviations are 106.
  expect(Math.min(...times)).toBeGreaterThan(394);
  expect(Math.max(...times)).toBeLessThan(606);
});

test('fewer than asked for: all of them', () => {
  const draw = createDraw(50, seeded(1));
  for (let item = 0; item < 3; item += 1) draw.offer(item);
  expect(draw.drawn).toEqual([0, 1, 2]);
});

test.each([
  { requests: 2, wasSeen: true },
  { requests: 2, wasSeen: false },
  { requests: 3, wasSeen: true },
  { requests: 3, wasSeen: false },
  { requests: 9, wasSeen: true },
])(
  'with $requests requests a cycle, an object is looked at, seen before: $wasSeen',
  async ({ requests, wasSeen }) => {
    const now = Date.UTC(2026, 5, 30);
    const state = emptyState();
    const run = openLiveRun(state, { id: 1, dagId: 'etl', runId: 'manual__1' });
    const ids = { dagRunId: run.id, dagId: run.dagId, runId: run.runId, taskId: 'task', mapIndex: -1 };
    const row = { table: 'xcom' as const, ...ids, key: 'return_value', taskInstanceId: null, version: '3' };
    const value = { at: now, isNull: false, stored: 9, bytes: 9, leastBytes: 9, text: null };
    const key = 'base/etl/manual__1/task/8c5b8f4e-6a0f-4c6e-9d7e-0d5f1f1b9a11';
    const reference = { scheme: 's3', connection: '', bucket: 'xcom', key, prefix: 'base', suffix: '' };
    const placement = { storage: 's3' as const, reference, leaked: false, bytes: 9 };
    const slot = state.rows.write(run, { ...row, ...value }, { placement, baseline: false });
    state.rows.link(run, slot);
    if (wasSeen) state.rows.setObject(run, slot, { object: 'present', bytes: 5 });
    let sent = 0;
    const store = {
      head: () => {
        sent += 1;
        return Promise.resolve({ kind: 'missing' });
      },
    } as unknown as ObjectStore;
    const base = { connection: '', bucket: 'xcom', prefix: 'base' };
    const { answers } = await verify(
      createLedger(state),
      {
        stores: { of: () => store, knows: () => true, sent: () => sent },
        bases: [base],
        control: base,
        unfinished: new WeakMap(),
        isCurrent: true,
        requests,
        now,
        from: now - 3_600_000,
        random: () => 0.5,
      },
      new AbortController().signal,
    );
    expect(answers.map(({ object }) => object)).toEqual(['missing']);
  },
);
