import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Limiter } from '../../../src/lib/limiter.ts';
import { createLimiter, SentAway } from '../../../src/lib/limiter.ts';

const never = new AbortController().signal;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});

afterEach(() => {
  vi.useRealTimers();
});

function limiterOf(max = 16): Limiter {
  return createLimiter({ max, firstPauseMs: 100, longestPauseMs: 400 });
}

/** Starts that many tasks, each of which ends at once. Gives the milliseconds at which they began. */
function begin(limiter: Limiter, count: number, atStart: () => void = () => undefined): number[] {
  const starts: number[] = [];
  for (let index = 0; index < count; index += 1) {
    void limiter.run(() => {
      starts.push(performance.now());
      atStart();
      return Promise.resolve();
    }, never);
  }
  return starts;
}

test('nothing is held back before the first refusal, but no more than the places at once', async () => {
  const limiter = limiterOf(3);
  const ends: (() => void)[] = [];
  let running = 0;
  for (let index = 0; index < 5; index += 1) {
    void limiter.run(() => {
      running += 1;
      return new Promise<void>((resolve) => ends.push(resolve)).then(() => {
        running -= 1;
      });
    }, never);
  }
  await vi.advanceTimersByTimeAsync(0);
  expect([running, ends.length, limiter.rate()]).toEqual([3, 3, Infinity]);
  ends.shift()?.();
  await vi.advanceTimersByTimeAsync(0);
  expect([running, ends.length]).toEqual([3, 3]);
});

test('a refusal halves the rate after a pause that doubles; refusals in the pause are the same one', async () => {
  const limiter = limiterOf();
  limiter.refused();
  limiter.refused();
  expect(limiter.rate()).toBe(128);
  const starts = begin(limiter, 64);
  await vi.advanceTimersByTimeAsync(99);
  expect(starts).toEqual([]);
  // The rest of the pause, and half a second more.
  await vi.advanceTimersByTimeAsync(1 + 500);
  expect(starts.length).toBeGreaterThanOrEqual(60);
  expect(starts.length).toBeLessThanOrEqual(65);
  limiter.refused();
  expect(limiter.rate()).toBe(64);
  const later = begin(limiter, 10);
  await vi.advanceTimersByTimeAsync(199);
  expect(later).toEqual([]);
});

test('the rate falls no lower than one a second and grows by eight a second while all is accepted', async () => {
  const limiter = limiterOf();
  for (let index = 0; index < 20; index += 1) {
    limiter.refused();
    await vi.advanceTimersByTimeAsync(500);
  }
  expect(limiter.rate()).toBe(1);
  begin(limiter, 10_000, () => {
    limiter.accepted();
  });
  await vi.advanceTimersByTimeAsync(10_000);
  expect(limiter.rate()).toBeGreaterThan(50);
  expect(limiter.rate()).toBeLessThan(90);
  await vi.advanceTimersByTimeAsync(25_000);
  expect(limiter.rate()).toBe(Infinity);
});

test('all who wait are sent away when even the longest pause did not help', async () => {
  const limiter = limiterOf(1);
  for (const pause of [100, 200]) {
    limiter.refused();
    await vi.advanceTimersByTimeAsync(pause);
  }
  const running = limiter.run(() => new Promise<void>((resolve) => setTimeout(resolve, 10)), never);
  const waiting = limiter.run(() => Promise.resolve(), never);
  limiter.refused();
  await expect(waiting).rejects.toThrow(SentAway);
  await vi.advanceTimersByTimeAsync(1_000);
  await running;
});

test('a second attempt waits for its turn, not for a place, and comes before who is not in yet', async () => {
  const limiter = limiterOf(1);
  const order: string[] = [];
  const first = limiter.run(async () => {
    limiter.refused();
    await limiter.turn(never);
    order.push('again');
  }, never);
  const second = limiter.run(() => {
    order.push('next');
    return Promise.resolve();
  }, never);
  await vi.advanceTimersByTimeAsync(1_000);
  await Promise.all([first, second]);
  expect(order).toEqual(['again', 'next']);
});

test('an abort ends the waiting, and a limiter nobody waits at holds no timer', async () => {
  const limiter = limiterOf();
  limiter.refused();
  const controller = new AbortController();
  const waiting = limiter.run(() => Promise.resolve(), controller.signal);
  expect(vi.getTimerCount()).toBe(1);
  controller.abort(new Error('enough'));
  await expect(waiting).rejects.toThrow('enough');
  await expect(limiter.run(() => Promise.resolve(), controller.signal)).rejects.toThrow('enough');
  await expect(limiter.turn(controller.signal)).rejects.toThrow('enough');
  expect(vi.getTimerCount()).toBe(0);
});
