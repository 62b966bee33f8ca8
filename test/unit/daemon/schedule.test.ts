import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Schedule } from '../../../src/daemon/schedule.ts';
import { startSchedule } from '../../../src/daemon/schedule.ts';
import { longestWait } from '../../../src/lib/cron.ts';

const everySecond = '* * * * * *';
/** The next tick is far away: only the run at the start happens. */
const yearly = '0 0 0 1 1 *';

const started: Schedule[] = [];
beforeEach(() => {
  vi.useFakeTimers({ now: Date.UTC(2026, 0, 1, 0, 0, 0, 300) });
});
afterEach(async () => {
  const stopped = Promise.all(started.splice(0).map((schedule) => schedule.stop()));
  await vi.advanceTimersByTimeAsync(2_000);
  await stopped;
  vi.useRealTimers();
});

function start(expression: string, run: (signal: AbortSignal) => Promise<void>) {
  const lines: string[] = [];
  const seen = { skipped: 0, lines };
  const schedule = startSchedule(
    { name: 'sample', expression, run },
    {
      log: pino({}, { write: (line: string) => lines.push(line) }),
      skipped: () => {
        seen.skipped += 1;
      },
    },
  );
  started.push(schedule);
  return { schedule, seen };
}

/** A run that lasts until it is aborted, and `ms` longer. */
function untilAborted(signal: AbortSignal, ms = 0): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => setTimeout(resolve, ms), { once: true });
  });
}

describe('runs', () => {
  test('begin at once, and then on ticks', async () => {
    const times: number[] = [];
    start(everySecond, () => {
      times.push(Date.now());
      return Promise.resolve();
    });
    expect(times).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(2_600);
    expect(times.map((time) => time % 60_000)).toEqual([300, 1_000, 2_000]);
  });

  test('are never two at once: a tick in between is skipped, counted and said', async () => {
    let running = 0;
    let most = 0;
    let runs = 0;
    const { seen } = start(everySecond, async () => {
      runs += 1;
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setTimeout(resolve, 1_300));
      running -= 1;
    });
    await vi.advanceTimersByTimeAsync(4_200);
    // Runs last from 0.3 to 1.6 s, from 2 to 3.3 s, and from 4 s on: the ticks at 1 s and 3 s were skipped.
    expect([most, runs, seen.skipped]).toEqual([1, 3, 2]);
    expect(seen.lines.filter((line) => line.includes('this tick is skipped'))).toHaveLength(seen.skipped);
  });

  test('that fail do not end the schedule, and are logged', async () => {
    let runs = 0;
    const { seen } = start(everySecond, () => {
      runs += 1;
      return Promise.reject(new Error('broken'));
    });
    await vi.advanceTimersByTimeAsync(1_500);
    expect(runs).toBe(2);
    expect(seen.skipped).toBe(0);
    expect(seen.lines.filter((line) => line.includes('broken'))).toHaveLength(runs);
  });
});

test('a run may be asked for between two ticks', async () => {
  let runs = 0;
  const { schedule, seen } = start(yearly, () => {
    runs += 1;
    return Promise.resolve();
  });
  await vi.advanceTimersByTimeAsync(1);
  schedule.runNow();
  expect([runs, seen.skipped]).toEqual([2, 0]);
});

describe('stop', () => {
  test('aborts the run in flight and waits for it', async () => {
    let ended = false;
    const { schedule } = start(yearly, async (signal) => {
      await untilAborted(signal, 200);
      ended = true;
    });
    const stopped = schedule.stop();
    await vi.advanceTimersByTimeAsync(199);
    expect(ended).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    await stopped;
    expect(ended).toBe(true);
  });

  test('is followed by no run and no tick, and may be called again', async () => {
    let runs = 0;
    const { schedule, seen } = start(everySecond, async (signal) => {
      runs += 1;
      await untilAborted(signal);
    });
    const stopped = Promise.all([schedule.stop(), schedule.stop()]);
    await vi.advanceTimersByTimeAsync(1);
    await stopped;
    const skipped = seen.skipped;
    await vi.advanceTimersByTimeAsync(1_300);
    await schedule.stop();
    expect([runs, seen.skipped]).toEqual([1, skipped]);
  });

  test('leaves no timer behind', async () => {
    const before = vi.getTimerCount();
    const schedules = Array.from({ length: 20 }, () => start(everySecond, () => Promise.resolve()).schedule);
    await Promise.all(schedules.map((schedule) => schedule.stop()));
    expect(vi.getTimerCount()).toBe(before);
  });
});

describe('the longest wait', () => {
  test.each([
    ['* * * * * *', 1],
    ['*/30 * * * * *', 30],
    ['0 * * * * *', 60],
    ['0 */5 * * * *', 300],
    // The ticks are not evenly spaced: the longest wait counts.
    ['0,10 * * * * *', 50],
    ['*/40 * * * * *', 40],
    ['0 0 * * * *', 3_600],
    ['0 0 9 * * *', 86_400],
    ['0 0 9 * * 1-5', 3 * 86_400],
  ])('of %s is %i s', (expression, seconds) => {
    expect(longestWait(expression)).toBe(seconds * 1_000);
  });

  test.each(['2026-11-30T08:01:00Z', '2026-11-30T16:01:00Z', '2026-12-04T16:01:00Z'])(
    'is the same whenever it is asked: at %s',
    (at) => {
      vi.setSystemTime(new Date(at));
      expect(longestWait('*/30 * 6-22 * * *') / 1_000).toBe(7 * 3_600 + 30);
      // From Friday, 17:45, to Monday, 8:00.
      expect(longestWait('0 */15 8-17 * * 1-5') / 1_000).toBe(62.25 * 3_600);
    },
  );

  test('of one that comes once a year is a year, or with its leap day one more', () => {
    const days = longestWait(yearly) / 86_400_000;
    expect([365, 366]).toContain(days);
  });
});
