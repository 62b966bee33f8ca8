import type { ClearedProblem } from '../diagnosis/cleared-problems.ts';
import type { Report } from '../diagnosis/report.ts';
import type { Tried } from '../probe/bucket.ts';
import type { SeenListing } from '../probe/server-ways.ts';
import type { SettingOrigin } from '../settings/origins.ts';
import type { History } from './history.ts';
import type { JobStatus } from './jobs.ts';

/** Everything that the status page and the JSON API show. A plain value, made anew for each request. */
export interface Status {
  readonly version: string;
  readonly startedAt: number;
  /** When the settings in force replaced earlier ones, epoch ms; null: they are those of the start. */
  readonly reloadedAt: number | null;
  /** The first look with the new settings has not ended: report and probe are from the settings before. */
  readonly reloading: boolean;
  readonly now: number;
  readonly leader: boolean;
  readonly report: Report | null;
  /** The problems that were cleared lately, the latest first. */
  readonly cleared: readonly ClearedProblem[];
  /** No cycle has read the database in the last three ticks of `sample.schedule`, or none ever has. */
  readonly stale: boolean;
  /** Whether a cycle has read the database, as long as this exporter leads. */
  readonly everRead: boolean;
  readonly probe: Tried | null;
  /** How the bucket is listed; null: that is not known. */
  readonly listing: SeenListing | null;
  /** By how much the storage's clock is ahead of this machine's; 0: by less than a minute. Null: that is not known. */
  readonly clockSkewSeconds: number | null;
  /** Whether a path in S3 is configured: without one object storage is not looked at. */
  readonly hasStorage: boolean;
  readonly jobs: readonly JobStatus[];
  /** How many requests the last cycle sent to S3, and how many it was allowed to send; null: no cycle yet. */
  readonly requests: { readonly sent: number; readonly ceiling: number } | null;
  /** For the plots of the page. */
  readonly history: History;
  readonly settings: readonly SettingOrigin[];
  /** Sentences about odd settings. */
  readonly warnings: readonly string[];
  readonly airflowBaseUrl: string | null;
  /** The act that the demo is playing, or null. */
  readonly act: string | null;
}
