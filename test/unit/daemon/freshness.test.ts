import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, test, vi } from 'vitest';
import { createFreshness, freshMs } from '../../../src/daemon/freshness.ts';

afterEach(() => {
  vi.useRealTimers();
});

function start() {
  const seen = { ended: 0, told: [] as number[] };
  const freshness = createFreshness({
    onRenew: (ms) => {
      seen.told.push(ms);
    },
    onStale: () => {
      seen.ended += 1;
    },
  });
  return { seen, freshness };
}

test('figures that nobody has read are not fresh', () => {
  const { freshness, seen } = start();
  expect(freshness.isStale()).toBe(true);
  freshness.renew(60_000);
  expect([freshness.isStale(), seen.told]).toEqual([false, [60_000]]);
  freshness.stop();
});

test('figures that are good for years are not stale at once', async () => {
  const { freshness, seen } = start();
  // Ten ticks of a schedule that runs on leap days.
  freshness.renew(94_867_200_000);
  await delay(20);
  expect([seen.ended, freshness.isStale()]).toEqual([0, false]);
  freshness.stop();
});

test('figures are good no longer than another schedule lets them be, and no longer than before', async () => {
  const { freshness, seen } = start();
  freshness.limit(60_000);
  expect([freshness.isStale(), seen.told]).toEqual([true, [60_000]]);
  freshness.renew(60_000);
  freshness.limit(5);
  await expect.poll(() => seen.ended).toBe(1);
  expect(freshness.isStale()).toBe(true);
  freshness.renew(5);
  freshness.limit(60_000);
  await expect.poll(() => freshness.isStale()).toBe(true);
  expect(freshness.wasRead()).toBe(true);
  freshness.stop();
});

test('figures that are forgotten were never read', () => {
  const { freshness } = start();
  expect(freshness.wasRead()).toBe(false);
  freshness.renew(60_000);
  expect(freshness.wasRead()).toBe(true);
  freshness.forget();
  expect([freshness.wasRead(), freshness.isStale()]).toEqual([false, true]);
});

test('figures are called stale once', async () => {
  const { freshness, seen } = start();
  freshness.renew(5);
  await expect.poll(() => seen.ended).toBe(1);
  expect(freshness.isStale()).toBe(true);
  await delay(20);
  expect(seen.ended).toBe(1);
  freshness.stop();
});

test.each([
  ['*/30 * * * * *', '2026-11-30T08:00:01Z', '2026-11-30T08:01:30Z'],
  // On a Monday morning, and before the weekend.
  ['0 */15 8-17 * * 1-5', '2026-11-30T08:01:00Z', '2026-11-30T08:45:00Z'],
  ['0 */15 8-17 * * 1-5', '2026-12-04T17:46:00Z', '2026-12-07T08:30:00Z'],
  ['*/30 * 6-22 * * *', '2026-11-30T22:59:31Z', '2026-12-01T06:01:00Z'],
])('figures of %s that were read at %s stay fresh until the third tick, %s', (schedule, at, until) => {
  vi.useFakeTimers({ toFake: ['Date'], now: new Date(at) });
  expect(new Date(Date.now() + freshMs(schedule)).toISOString()).toBe(new Date(until).toISOString());
});
