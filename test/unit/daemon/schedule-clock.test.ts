import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { expect, test, vi } from 'vitest';
import { startSchedule } from '../../../src/daemon/schedule.ts';

interface Play {
  readonly runs: () => number;
  readonly missed: () => number;
  readonly setAhead: (ms: number) => void;
}

/** Runs a schedule on a clock that goes on running from the time to which it is set. */
async function play(expression: string, act: (play: Play) => Promise<void>): Promise<void> {
  let runs = 0;
  let missed = 0;
  vi.useFakeTimers({ toFake: ['Date'], shouldAdvanceTime: false });
  const start = Date.now();
  const real = performance.now();
  let offset = 0;
  const clock = setInterval(() => vi.setSystemTime(start + offset + (performance.now() - real)), 10);
  const lines = {
    write: (line: string) => {
      if (line.includes('missed execution')) missed += 1;
    },
  };
  const schedule = startSchedule(
    {
      name: 'sample',
      expression,
      run: () => {
        runs += 1;
        return Promise.resolve();
      },
    },
    { log: pino({ level: 'debug' }, lines), skipped: () => undefined },
  );
  try {
    await act({
      runs: () => runs,
      missed: () => missed,
      setAhead: (ms) => {
        offset = ms;
      },
    });
  } finally {
    await schedule.stop();
    clearInterval(clock);
    vi.useRealTimers();
  }
}

test('a clock that is set back does not stop the ticks', async () => {
  await play('* * * * * *', async ({ runs, setAhead }) => {
    await delay(2_500);
    expect(runs()).toBeGreaterThan(1);
    setAhead(-3_600_000);
    await delay(2_500);
    const before = runs();
    await delay(3_500);
    expect(runs()).toBeGreaterThan(before);
  });
});

test('a clock that leaps ahead goes on from there, and not through all that was missed', async () => {
  await play('*/4 * * * * *', async ({ runs, missed, setAhead }) => {
    const first = runs();
    await vi.waitUntil(() => runs() > first, { timeout: 10_000, interval: 10 });
    // The next tick is four seconds away.
    setAhead(7_200_000);
    await delay(3_000);
    const before = runs();
    await vi.waitUntil(() => runs() > before, { timeout: 10_000, interval: 10 });
    expect(missed()).toBe(0);
  });
});
