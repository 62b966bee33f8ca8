import type { Writes } from '../airflow/catalogue-queries.ts';
import type { HeardSetting } from '../canary/known-settings.ts';
import type { Refusal } from '../canary/report.ts';
import type { CanaryVerdict } from '../canary/verdict.ts';
import type { S3Reason } from '../s3/failure.ts';
import type { ToldSettings } from '../settings/config.ts';
import type { Storage } from '../window/flags.ts';
import type { Increment } from '../window/increments.ts';
import type { Observed } from './observed.ts';
import type { ProblemCode } from './problem-catalogue.ts';
import type { Problem, ProblemState, Reasons } from './problem.ts';
import type { WindowTotals } from './window-totals.ts';

export const STORAGES: readonly Storage[] = ['db', 's3', 'other'];

/** Null is what nobody told. */
export interface BackendInfo {
  readonly airflow: string;
  readonly schema: string;
  readonly bucket: string | null;
  readonly prefix: string | null;
  readonly connection: string | null;
  readonly compression: string | null;
}

/** The outcome of one cycle: all that metrics, pages and `check` say is said from it. */
export interface Report {
  /** When the cycle ended, epoch ms. */
  readonly at: number;
  readonly durationSeconds: number;
  /** Why the database could not be sampled, or null. */
  readonly databaseFailure: { readonly reason: string; readonly detail: string } | null;
  /** null: S3 was not asked in this cycle. */
  readonly s3Failure: { readonly reason: S3Reason; readonly detail: string } | null;
  readonly s3Answered: boolean;
  /** Which of Airflow's settings are known: told, or heard from the canary. */
  readonly told: ToldSettings;
  /** Those of them that the canary alone tells. */
  readonly heard: readonly HeardSetting[];
  readonly backend: BackendInfo | null;
  /** Null: nobody told it. */
  readonly thresholdBytes: number | null;
  /** Threshold and paths as the data tell them; null: it could not be read. */
  readonly observed: Observed | null;
  readonly oversizeBytes: number;
  readonly increments: readonly Increment[];
  /** Counts of the last reading of the database that succeeded. */
  readonly writes: Writes;
  readonly window: WindowTotals | null;
  /** As of the last reading of the database that succeeded; null: no canary has been seen. */
  readonly canary: {
    readonly verdict: CanaryVerdict | null;
    /** Reports that were refused in this cycle, each version of a row once. */
    readonly refusals: ReadonlyMap<Refusal, number>;
  };
  readonly states: Readonly<Record<ProblemCode, ProblemState>>;
  /** Why nothing can be said of what is not known. */
  readonly undecided: Reasons;
  /** Those of them that were said before and are no longer shown. */
  readonly takenBack: readonly ProblemCode[];
  readonly problems: readonly Problem[];
  /** Why the rows may not be those of now; null: they are, or none were read. */
  readonly standbyDoubt: string | null;
  /** Why no push of a worker works that has the settings which were told, a sentence; null: nothing says so. */
  readonly pushFault: string | null;
  /**
   * Age of the oldest row that has been seen but not decided, seconds; 0 when nothing waits. It is no less than a
   * standby is behind, and null where that is not known.
   */
  readonly lagSeconds: number | null;
  /** Decided share of what the window holds: rows measured and references looked up, 0..1. */
  readonly coverage: number | null;
}
