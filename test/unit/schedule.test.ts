import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import type { Schedule } from '../../src/daemon/schedule.ts';
import { startSchedule } from '../../src/daemon/schedule.ts';
import { intervalOf } from '../../src/lib/cron.ts';

const everySecond = '* * * * * *';
/** Far away: only the run at the start. */
const yearly = '0 0 0 1 1 *';

const started: Schedule[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((schedule) => schedule.stop()));
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

/** A run that lasts until it is aborted, and then as long as it likes. */
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
    await delay(2_600);
    expect(times.length).toBeGreaterThanOrEqual(3);
    expect(times.length).toBeLessThanOrEqual(4);
    for (const time of times.slice(1)) expect(time % 1_000).toBeLessThan(500);
  });

  test('are never two at once: a tick in between is skipped, counted and said', async () => {
    let running = 0;
    let most = 0;
    let runs = 0;
    const { seen } = start(everySecond, async () => {
      runs += 1;
      running += 1;
      most = Math.max(most, running);
      await delay(1_300);
      running -= 1;
    });
    await delay(4_200);
    expect(most).toBe(1);
    expect(runs).toBeGreaterThanOrEqual(2);
    expect(runs).toBeLessThanOrEqual(3);
    expect(seen.skipped).toBeGreaterThanOrEqual(1);
    expect(seen.lines.filter((line) => line.includes('this tick is skipped'))).toHaveLength(seen.skipped);
  });

  test('that fail do not end the schedule, and are logged', async () => {
    let runs = 0;
    const { seen } = start(everySecond, () => {
      runs += 1;
      return Promise.reject(new Error('broken'));
    });
    await delay(1_500);
    expect(runs).toBeGreaterThanOrEqual(2);
    expect(seen.skipped).toBe(0);
    expect(seen.lines.filter((line) => line.includes('broken'))).toHaveLength(runs);
  });
});

describe('stop', () => {
  test('aborts the run in flight and waits for it', async () => {
    let ended = false;
    const { schedule } = start(yearly, async (signal) => {
      await untilAborted(signal, 200);
      ended = true;
    });
    const before = performance.now();
    await schedule.stop();
    expect(ended).toBe(true);
    expect(performance.now() - before).toBeGreaterThan(150);
  });

  test('is followed by no run and no tick, and may be called again', async () => {
    let runs = 0;
    const { schedule, seen } = start(everySecond, async (signal) => {
      runs += 1;
      await untilAborted(signal);
    });
    await Promise.all([schedule.stop(), schedule.stop()]);
    const skipped = seen.skipped;
    await delay(1_300);
    await schedule.stop();
    expect([runs, seen.skipped]).toEqual([1, skipped]);
  });

  test('leaves no timer behind', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    const schedules = Array.from({ length: 20 }, () => start(everySecond, () => Promise.resolve()).schedule);
    await Promise.all(schedules.map((schedule) => schedule.stop()));
    expect(timers()).toBeLessThanOrEqual(before);
  });
});

describe('the interval', () => {
  test.each([
    ['* * * * * *', 1],
    ['*/30 * * * * *', 30],
    ['0 * * * * *', 60],
    ['0 */5 * * * *', 300],
    // Not evenly: the longest wait is the one that counts.
    ['0,10 * * * * *', 50],
    ['*/40 * * * * *', 40],
    ['0 0 * * * *', 3_600],
    ['0 0 9 * * *', 86_400],
    ['0 0 9 * * 1-5', 3 * 86_400],
  ])('of %s is %i s', (expression, seconds) => {
    expect(intervalOf(expression)).toBe(seconds * 1_000);
  });

  test('of one that comes once a year is a year, or with its leap day one more', () => {
    const days = intervalOf(yearly) / 86_400_000;
    expect([365, 366]).toContain(days);
  });
});
