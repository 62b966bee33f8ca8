export interface JobEnd {
  readonly seconds: number;
  readonly failure: { readonly reason: string; readonly detail: string } | null;
  /** Epoch ms. */
  readonly at: number;
}

/** Is told of every run of a job that ends, and of every tick that is left out. */
export interface JobObserver {
  finished(job: JobName, end: JobEnd): void;
  skipped(job: JobName): void;
}

/** Keeps for pages what the metrics show as numbers: when each job ran last and how it ended. */
export function createJobs(
  observer: JobObserver,
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
      observer.finished(job, { seconds, failure, at });
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
      observer.skipped(job);
      change(job, (before) => ({ skips: before.skips + 1 }));
    },
    attempted: (job) => (jobs.get(job)?.runs ?? 0) > 0,
    status: () => [...jobs.values()],
  };
}

/** `state` writes the state file. The job does not exist if `state.file` names no file. */
export type JobName = 'sample' | 'probe' | 'state';

export const JOB_NAMES: readonly JobName[] = ['sample', 'probe', 'state'];

export function jobNames(keepsState: boolean): readonly JobName[] {
  return JOB_NAMES.filter((job) => job !== 'state' || keepsState);
}

export interface JobStatus {
  readonly job: JobName;
  readonly runs: number;
  readonly failures: number;
  readonly skips: number;
  /** Epoch ms, or null when it never ran (or never succeeded). */
  readonly lastRunAt: number | null;
  readonly lastSuccessAt: number | null;
  readonly lastDurationSeconds: number | null;
  readonly lastFailure: string | null;
}
