import type { SettingOrigin } from './config.ts';
import type { History } from './http/history.ts';
import type { ProbeResult } from './probe.ts';
import type { Report } from './report.ts';

/** `state`: the state file is written; there is none where `state.file` names none. */
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

/** All that the status page and the JSON API show. A plain value, taken anew for each request. */
export interface Status {
  readonly version: string;
  readonly startedAt: number;
  /** When the settings in force were read in place of others, epoch ms; null: they are those of the start. */
  readonly reloadedAt?: number | null;
  readonly now: number;
  readonly leader: boolean;
  readonly report: Report | null;
  /** The last cycle that could read the database is older than three intervals. */
  readonly stale: boolean;
  readonly probe: ProbeResult | null;
  /** Whether a path in S3 is configured: without one object storage is not looked at. */
  readonly hasStorage?: boolean;
  readonly jobs: readonly JobStatus[];
  /** What the last cycle sent to S3, of how many requests it might; null: no cycle yet. */
  readonly requests?: { readonly sent: number; readonly ceiling: number } | null;
  /** For the plots of the page. */
  readonly history?: History;
  readonly settings: readonly SettingOrigin[];
  /** What is odd about the settings, one sentence each. */
  readonly warnings?: readonly string[];
  readonly airflowBaseUrl: string | null;
  /** What the demo is playing, or null. */
  readonly act: string | null;
}
