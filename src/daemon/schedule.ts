import cron from 'node-cron';
import type { Logger } from 'pino';

/** A smaller difference is the ordinary slewing of a clock. */
const CLOCK_TOLERANCE_MS = 2_000;
/** A shorter leap misses only a few ticks. */
const LEAP_MS = 60_000;

export interface Schedule {
  /** Runs the job now, as on a tick. */
  runNow(): void;
  /** Ends the ticks, aborts the run in flight and waits for it. */
  stop(): Promise<void>;
}

/**
 * Runs a job at once and then on every tick, never twice at the same time. A tick that finds the last run still going
 * is skipped and reported.
 */
export function startSchedule(
  job: { readonly name: string; readonly expression: string; run(signal: AbortSignal): Promise<void> },
  options: { readonly log: Logger; readonly skipped: () => void },
): Schedule {
  const controller = new AbortController();
  let running: Promise<void> | null = null;

  function tick(): void {
    if (controller.signal.aborted) return;
    if (running !== null) {
      options.skipped();
      options.log.warn({ job: job.name }, 'the last run is still going: this tick is skipped');
      return;
    }
    running = job
      .run(controller.signal)
      .catch((error: unknown) => {
        options.log.error({ job: job.name, err: error }, 'a job failed in a way it does not know');
      })
      .finally(() => {
        running = null;
      });
  }

  const quiet = (message: string | Error) => {
    options.log.debug({ job: job.name }, message instanceof Error ? message.message : message);
  };
  const task = cron.createTask(job.expression, tick, {
    name: job.name,
    timezone: 'UTC',
    logger: { info: quiet, warn: quiet, error: quiet, debug: quiet },
  });
  void task.start();
  tick();

  // node-cron waits for a moment by the wall clock. After the clock is set back, it would wait for that much longer.
  // After a leap ahead, or a sleep of days, it goes through each missed tick, and nothing else runs.
  let seen = Date.now();
  const clock = setInterval(() => {
    const now = Date.now();
    const isSetBack = now < seen - CLOCK_TOLERANCE_MS;
    if (isSetBack || now > seen + LEAP_MS) {
      options.log.warn(
        { job: job.name, seconds: Math.abs(seen - now) / 1000 },
        `the clock ${isSetBack ? 'was set back' : 'leapt ahead'}: ticks go on from now`,
      );
      void task.stop();
      void task.start();
    }
    seen = now;
  }, 1_000);
  clock.unref();

  return {
    runNow: tick,
    async stop() {
      controller.abort(new Error('stopping'));
      clearInterval(clock);
      await task.destroy();
      await running;
    },
  };
}
