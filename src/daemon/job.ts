import type { Logger } from 'pino';
import type { JobEnd, JobName, JobObserver } from '../status/jobs.ts';
import type { Schedule } from './schedule.ts';
import { startSchedule } from './schedule.ts';

/** Why a run of a job failed, or null. `idle`: there was nothing to do, so it does not count as a run. */
export type Ending = JobEnd['failure'] | 'idle';

/** Runs a job at once and then at the times of its cron expression, and tells the observer how each run ended. */
export function startJob(
  job: { name: JobName; expression: string; run: (signal: AbortSignal) => Promise<Ending> },
  { jobs, log }: { jobs: JobObserver; log: Logger },
): Schedule {
  const { name, expression } = job;
  return startSchedule(
    {
      name,
      expression,
      run: async (signal) => {
        const before = performance.now();
        let ending: Ending = { reason: 'internal', detail: 'see the log of the exporter' };
        try {
          ending = await job.run(signal);
        } finally {
          const seconds = (performance.now() - before) / 1000;
          if (!signal.aborted && ending !== 'idle')
            jobs.finished(name, { seconds, failure: ending, at: Date.now() });
        }
      },
    },
    {
      log,
      skipped: () => {
        jobs.skipped(name);
      },
    },
  );
}
