import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createFreshness } from '../../../src/daemon/freshness.ts';

test('figures that are good for years are not stale at once', async () => {
  let ended = 0;
  const freshness = createFreshness({
    // Ten ticks of a schedule that runs on leap days.
    staleMs: 94_867_200_000,
    onRenew: () => undefined,
    onStale: () => {
      ended += 1;
    },
  });
  await delay(20);
  expect({ ended, stale: freshness.isStale() }).toEqual({ ended: 0, stale: false });
  freshness.stop();
});

test('figures are called stale once', async () => {
  let ended = 0;
  const freshness = createFreshness({
    staleMs: 5,
    onRenew: () => undefined,
    onStale: () => {
      ended += 1;
    },
  });
  await expect.poll(() => ended).toBe(1);
  expect(freshness.isStale()).toBe(true);
  await delay(20);
  expect(ended).toBe(1);
  freshness.stop();
});

test('the time for which figures stay fresh is told: three intervals, and as long as the last cycle took', () => {
  const told: number[] = [];
  const freshness = createFreshness({
    staleMs: 90_000,
    onRenew: (ms) => {
      told.push(ms);
    },
    onStale: () => undefined,
  });
  freshness.renew(12_000);
  freshness.stop();
  expect(told).toEqual([90_000, 102_000]);
});
