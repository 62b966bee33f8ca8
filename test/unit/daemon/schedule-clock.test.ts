import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { expect, test, vi } from 'vitest';
import { startSchedule } from '../../../src/daemon/schedule.ts';

test('a clock that is set back does not stop the ticks', async () => {
  let runs = 0;
  vi.useFakeTimers({ toFake: ['Date'], shouldAdvanceTime: false });
  const start = Date.now();
  const real = performance.now();
  let offset = 0;
  // The clock goes on by itself, apart from what it is set to.
  const clock = setInterval(() => vi.setSystemTime(start + offset + (performance.now() - real)), 10);
  const schedule = startSchedule(
    {
      name: 'sample',
      expression: '* * * * * *',
      run: () => {
        runs += 1;
        return Promise.resolve();
      },
    },
    { log: pino({ level: 'silent' }), skipped: () => undefined },
  );
  try {
    await delay(2_500);
    expect(runs).toBeGreaterThan(1);
    offset = -3_600_000;
    await delay(2_500);
    const before = runs;
    await delay(3_500);
    expect(runs).toBeGreaterThan(before);
  } finally {
    await schedule.stop();
    clearInterval(clock);
    vi.useRealTimers();
  }
});
