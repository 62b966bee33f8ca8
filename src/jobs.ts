import type { Metrics } from './metrics.ts';
import { jobNames } from './status.ts';
import type { JobName, JobStatus } from './status.ts';

export interface JobEnd {
  readonly seconds: number;
  readonly failure: { readonly reason: string; readonly detail: string } | null;
  /** Epoch ms. */
  readonly at: number;
}

/** Keeps for pages what the metrics say in numbers: when each job ran last and how it ended. */
export function createJobs(
  metrics: Pick<Metrics, 'jobFinished' | 'jobSkipped'>,
  { keepsState }: { keepsState: boolean },
): {
  finished(job: JobName, end: JobEnd): void;
  skipped(job: JobName): void;
  attempted(job: JobName): boolean;
  status(): JobStatus[];
} {
  const jobs = new Map<JobName, JobStatus>(
    jobNames(keepsState).map((job) => [
      job,
      {
        job,
        runs: 0,
        failures: 0,
        skips: 0,
        lastRunAt: null,
        lastSuccessAt: null,
        lastDurationSeconds: null,
        lastFailure: null,
      },
    ]),
  );
  const change = (job: JobName, next: (before: JobStatus) => Partial<JobStatus>): void => {
    const before = jobs.get(job);
    if (before !== undefined) jobs.set(job, { ...before, ...next(before) });
  };
  return {
    finished(job, { seconds, failure, at }) {
      metrics.jobFinished(job, { seconds, failure: failure?.reason ?? null, at });
      change(job, (before) => ({
        runs: before.runs + 1,
        failures: before.failures + (failure === null ? 0 : 1),
        lastRunAt: at,
        lastSuccessAt: failure === null ? at : before.lastSuccessAt,
        lastDurationSeconds: seconds,
        lastFailure: failure === null ? null : `${failure.reason}: ${failure.detail}`,
      }));
    },
    skipped(job) {
      metrics.jobSkipped(job);
      change(job, (before) => ({ skips: before.skips + 1 }));
    },
    attempted: (job) => (jobs.get(job)?.runs ?? 0) > 0,
    status: () => [...jobs.values()],
  };
}
