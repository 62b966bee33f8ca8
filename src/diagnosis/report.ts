import type { Writes } from '../airflow/catalogue-queries.ts';
import type { HeardSetting } from '../canary/known-settings.ts';
import type { Refusal } from '../canary/report.ts';
import type { CanaryVerdict } from '../canary/verdict.ts';
import type { S3Reason } from '../s3/reason.ts';
import type { ToldSettings } from '../settings/config.ts';
import type { FailingPushes } from '../settings/push-fault.ts';
import type { Storage } from '../window/flags.ts';
import type { Increment } from '../window/increments.ts';
import type { Observed } from './observed.ts';
import type { ProblemCode } from './problem-catalogue.ts';
import type { Problem, ProblemState, Reasons } from './problem.ts';
import type { WindowTotals } from './window-totals.ts';

export const STORAGES: readonly Storage[] = ['db', 's3', 'other'];

/** A field is null when nobody told it. */
export interface BackendInfo {
  readonly airflow: string;
  readonly schema: string;
  readonly bucket: string | null;
  readonly prefix: string | null;
  readonly connection: string | null;
  readonly compression: string | null;
}

/** The outcome of one cycle. Everything that metrics, pages and `check` say comes from it. */
export interface Report {
  /** When the cycle ended, epoch ms. */
  readonly at: number;
  readonly durationSeconds: number;
  /** Why the database could not be sampled, or null. */
  readonly databaseFailure: { readonly reason: string; readonly detail: string } | null;
  /** null: S3 was not asked in this cycle. */
  readonly s3Failure: { readonly reason: S3Reason; readonly detail: string } | null;
  readonly s3Answered: boolean;
  /** Whether each of Airflow's settings is known: told, or heard from the canary. */
  readonly told: ToldSettings;
  /** The settings among them that only the canary tells. */
  readonly heard: readonly HeardSetting[];
  readonly backend: BackendInfo | null;
  /** Null: nobody told it. */
  readonly thresholdBytes: number | null;
  /** Threshold and paths as the data show them; null: the database could not be read. */
  readonly observed: Observed | null;
  readonly oversizeBytes: number;
  readonly increments: readonly Increment[];
  /** Counts of the last reading of the database that succeeded. */
  readonly writes: Writes;
  readonly window: WindowTotals | null;
  /** As of the last reading of the database that succeeded; null: no canary has been seen. */
  readonly canary: {
    readonly verdict: CanaryVerdict | null;
    /** How many reports were refused in this cycle; each version of a row counts once. */
    readonly refusals: ReadonlyMap<Refusal, number>;
  };
  readonly states: Readonly<Record<ProblemCode, ProblemState>>;
  /** Why nothing can be said of the problems that are not known. */
  readonly undecided: Reasons;
  /** The undecided problems that were said before and are no longer shown. */
  readonly takenBack: readonly ProblemCode[];
  readonly problems: readonly Problem[];
  /** Why the rows may be out of date; null: they are current, or none were read. */
  readonly standbyDoubt: string | null;
  /** Columns without which the reading gets along, although the role should be able to read them. */
  readonly unreadColumns: readonly string[];
  /** Why pushes of workers with the settings that were told fail; null: nothing says that. */
  readonly pushFault: FailingPushes | null;
  /**
   * Age of the oldest row that has been seen but not decided, in seconds; 0 when nothing waits. It is at least the lag
   * of a standby, and null when that lag is not known.
   */
  readonly lagSeconds: number | null;
  /** The share of the window that is decided, 0..1: rows measured and references looked up. */
  readonly coverage: number | null;
}
