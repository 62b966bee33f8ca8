import type { Effective } from './effective.ts';
import type { ProblemCode } from './problems.ts';
import type { S3Reason } from './clients/s3.ts';
import type { Writes } from './writes.ts';

/** Where the value of an XCom row is. */
export type Storage = 'db' | 's3' | 'other';
export const STORAGES: readonly Storage[] = ['db', 's3', 'other'];

export type BrokenReason = 'missing' | 'empty' | 'path_mismatch' | 'leaked';
export const BROKEN_REASONS: readonly BrokenReason[] = ['missing', 'empty', 'path_mismatch', 'leaked'];

export type UncheckedReason = 'denied' | 'throttled' | 'timeout' | 'unreachable' | 'budget';
export const UNCHECKED_REASONS: readonly UncheckedReason[] = [
  'denied',
  'throttled',
  'timeout',
  'unreachable',
  'budget',
];

/** What one cycle adds to a counter or histogram; names without the prefix `airflow_xcom_`. */
export type Increment =
  | { readonly metric: 'rows_total'; readonly dagId: string; readonly storage: Storage; readonly by: number }
  | { readonly metric: 'bytes_total'; readonly storage: Storage; readonly by: number }
  | { readonly metric: 'value_bytes'; readonly storage: Storage; readonly bytes: number }
  | {
      readonly metric: 'oversize_in_db_total';
      readonly dagId: string;
      readonly queue: string;
      readonly by: number;
    }
  | { readonly metric: 'oversize_in_db_bytes_total'; readonly dagId: string; readonly by: number }
  | { readonly metric: 'references_checked_total'; readonly by: number }
  | {
      readonly metric: 'references_broken_total';
      readonly dagId: string;
      readonly reason: BrokenReason;
      readonly by: number;
    }
  | { readonly metric: 'references_unchecked_total'; readonly reason: UncheckedReason; readonly by: number }
  | { readonly metric: 'write_failures_total'; readonly reason: 'missing' | 'empty'; readonly by: number };

/** What the window holds now. A figure that is not known is null: it becomes an absent series, never 0. */
export interface WindowTotals {
  readonly seconds: number;
  readonly rows: Readonly<Record<Storage, number>>;
  readonly bytes: Readonly<Record<Storage, number | null>>;
  readonly oversizeRows: number;
  readonly oversizeBytes: number;
  readonly broken: Readonly<Record<BrokenReason, number | null>>;
  readonly orphanObjects: number | null;
  readonly orphanBytes: number | null;
}

/** One row behind a problem. Never holds the value. */
export interface Finding {
  readonly dagId: string;
  readonly runId: string;
  readonly taskId: string;
  readonly mapIndex: number;
  readonly key: string;
  readonly bytes: number | null;
  readonly queue: string | null;
  readonly executor: string | null;
  readonly hostname: string | null;
  readonly operator: string | null;
  /** The row's own timestamp, epoch ms. */
  readonly at: number;
}

export interface Problem {
  readonly code: ProblemCode;
  /** One sentence with figures. */
  readonly evidence: string;
  /** The places that stand out, largest first, e.g. `{label: 'queue', value: 'legacy', rows: 12}`. */
  readonly where: readonly { readonly label: string; readonly value: string; readonly rows: number }[];
  /** When this run of the exporter first said it, epoch ms. */
  readonly since: number;
  /** When what was observed last spoke for it, epoch ms; absent: in the cycle of the report. */
  readonly lastSeen?: number;
  /** The latest rows behind it, newest first, at most MAX_FINDINGS. */
  readonly findings: readonly Finding[];
}

/** What is known about one problem now. `unknown` becomes an absent series. */
export type ProblemState = 'raised' | 'clear' | 'unknown';

export interface BackendInfo {
  readonly airflow: string;
  readonly schema: string;
  readonly bucket: string;
  readonly prefix: string;
  readonly connection: string;
  readonly compression: string;
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
  readonly backend: BackendInfo | null;
  readonly thresholdBytes: number | null;
  /** Threshold and paths as the data tell them; null: it could not be read. */
  readonly effective: Effective | null;
  readonly oversizeBytes: number;
  readonly increments: readonly Increment[];
  /** As of the last reading of the database that succeeded. */
  readonly writes: Writes;
  readonly window: WindowTotals | null;
  readonly states: Readonly<Record<ProblemCode, ProblemState>>;
  readonly problems: readonly Problem[];
  /** Age of the oldest row that has been seen but not decided, seconds; 0 when nothing waits. */
  readonly lagSeconds: number | null;
  /** Decided share of what the window holds: rows measured and references looked up, 0..1. */
  readonly coverage: number | null;
}
