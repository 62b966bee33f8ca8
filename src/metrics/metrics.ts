/** Publishes the figures to Prometheus. */
import type { Report } from '../diagnosis/report.ts';
import { gzipJoin, renderOnChange } from '../lib/render-on-change.ts';
import type { Rendered } from '../lib/render-on-change.ts';
import type { Tried } from '../probe/bucket.ts';
import type { DatabaseProbe } from '../probe/database.ts';
import type { S3Operation } from '../s3/calls.ts';
import type { S3Reason } from '../s3/reason.ts';
import type { Shard } from '../settings/shard.ts';
import type { AuditResult } from '../state/audit-result.ts';
import type { JobName } from '../status/jobs.ts';
import type { VerdictState } from '../status/verdict.ts';
import { auditSeries } from './audit-metrics.ts';
import { READ_FROM_REPORT } from './catalogue.ts';
import { createFamilies, createRuntime } from './families.ts';
import type { Recorder } from './series.ts';
import { createIncrements, createReasons, startAtZero } from './series.ts';

export interface Metrics {
  /** Counters grow by the increments. Figures that are read from the report follow it, and are absent when `stale`. */
  publishReport(report: Report, stale: boolean): void;
  /** `database`: null when the database was not asked. `at`: epoch ms. */
  publishProbe(result: Tried, database: DatabaseProbe | null, at: number): void;
  /** `result` null: there is no readable result. */
  publishAudit(result: AuditResult | null): void;
  jobFinished(job: JobName, outcome: JobOutcome): void;
  jobSkipped(job: JobName): void;
  s3Request(operation: S3Operation): void;
  s3Failure(operation: S3Operation, reason: S3Reason): void;
  /** Null: nothing was sent to the target. */
  setUp(target: 'database' | 's3', up: boolean | null): void;
  setLeader(leader: boolean): void;
  setVerdict(verdict: VerdictState): void;
  setStaleAfter(seconds: number): void;
  /** `at`: epoch ms. */
  configReloaded(ok: boolean, at: number): void;
  /** Removes the figures read from the report; counts and figures of the exporter itself stay. */
  markStale(): void;
  /** One scrape in the text format 0.0.4. */
  snapshot(): Promise<Answer>;
}

const HEALTHY: Readonly<Record<VerdictState, number | null>> = {
  healthy: 1,
  problems: 0,
  unknown: null,
  standby: null,
};

/** The same text, plain and as one gzip stream. */
export interface Answer {
  readonly text: Buffer;
  readonly gzip: Buffer;
}

export interface JobOutcome {
  readonly seconds: number;
  /** The reason for a failure, one of few possible values; null for success. */
  readonly failure: string | null;
  /** Epoch ms. */
  readonly at: number;
}

export function createMetrics(options: {
  version: string;
  maxDags: number;
  windowSeconds: number;
  probeWrite: boolean;
  /** Whether there is a state file. */
  keepsState: boolean;
  shard: Shard;
}): Metrics {
  const families = createFamilies();
  const runtime = createRuntime();
  // A cycle may have thousands of series: they are rendered when they change, not when they are scraped.
  const page = renderOnChange(() => families.write('cycle'));
  const answer = keepAnswer();
  const { add, set, clear, observe } = families;

  startAtZero(families, options);
  set('window_seconds', {}, options.windowSeconds);
  set('exporter_build_info', { version: options.version }, 1);
  set('exporter_shard_ordinal', {}, options.shard.index);
  set('exporter_shards', {}, options.shard.count);
  const addIncrement = createIncrements(families, options);
  const reasonOf = createReasons();

  function publishOperation(operation: string, outcome: OperationOutcome): void {
    if (outcome.ok === null) return;
    set('probe_success', { operation }, Number(outcome.ok));
    if (outcome.seconds !== undefined) observe('probe_duration_seconds', { operation }, outcome.seconds);
    if (outcome.ok) {
      set('probe_last_success_timestamp_seconds', { operation }, outcome.at / 1000);
      return;
    }
    const reason = reasonOf(outcome.reason);
    add('probe_failures_total', { operation, reason }, 1);
    if (operation === 'put') add('write_failures_total', { source: 'probe', reason }, 1);
  }

  function markStale(): void {
    for (const [key] of READ_FROM_REPORT) clear(key);
    page.touch();
  }

  return {
    publishReport(report, stale) {
      for (const increment of report.increments) addIncrement(increment);
      for (const [reason, count] of report.canary.refusals)
        add('canary_reports_refused_total', { reason }, count);
      if (stale) markStale();
      else publishFigures(families, report);
      page.touch();
    },
    publishProbe(result, database, at) {
      // An operation that is not in this result was not tried in this probe.
      clear('probe_success');
      for (const step of result.steps) publishOperation(step.operation, { ...step, at });
      if (database !== null) publishOperation('database', { ...database, at });
      page.touch();
    },
    publishAudit(result) {
      for (const [key, series] of auditSeries(result)) families.show(key, series, { isOpen: true });
      page.touch();
    },
    jobFinished(job, outcome) {
      add('exporter_job_runs_total', { name: job }, 1);
      set('exporter_job_duration_seconds', { name: job }, outcome.seconds);
      if (outcome.failure === null) {
        set('exporter_job_last_success_timestamp_seconds', { name: job }, outcome.at / 1000);
      } else {
        add('exporter_job_failures_total', { name: job, reason: reasonOf(outcome.failure) }, 1);
      }
    },
    jobSkipped(job) {
      add('exporter_job_skips_total', { name: job }, 1);
    },
    s3Request(operation) {
      add('exporter_s3_requests_total', { operation }, 1);
    },
    s3Failure(operation, reason) {
      add('exporter_s3_request_errors_total', { operation, reason: reasonOf(reason) }, 1);
    },
    setUp(target, up) {
      set('exporter_up', { target }, up === null ? null : Number(up));
    },
    setLeader(leader) {
      set('exporter_leader', {}, Number(leader));
    },
    setVerdict(verdict) {
      set('healthy', {}, HEALTHY[verdict]);
    },
    setStaleAfter(seconds) {
      set('exporter_sample_stale_after_seconds', {}, seconds);
    },
    configReloaded(ok, at) {
      set('exporter_config_last_reload_successful', {}, Number(ok));
      if (ok) set('exporter_config_last_reload_success_timestamp_seconds', {}, at / 1000);
    },
    markStale,
    async snapshot() {
      const parts = await Promise.all([page.rendered(), families.write('live'), runtime()]);
      return answer(...parts);
    },
  };
}

/** Builds the answer from its parts, and gives the same answer again as long as the parts are the same. */
function keepAnswer(): (head: Rendered, live: Buffer, now: Buffer) => Answer {
  let made: { readonly of: readonly [Rendered, Buffer, Buffer]; readonly answer: Answer } | null = null;
  return (head, live, now) => {
    const isSame = made !== null && made.of[0] === head && made.of[1].equals(live) && made.of[2] === now;
    if (made !== null && isSame) return made.answer;
    const rest = Buffer.concat([live, now]);
    let text: Buffer | null = null;
    let gzip: Buffer | null = null;
    const answer = {
      // A scrape takes only one of the two, so each copy of all series is made when it is first needed.
      get text() {
        return (text ??= Buffer.concat([head.text, rest]));
      },
      get gzip() {
        return (gzip ??= gzipJoin(head.gzip, rest));
      },
    };
    made = { of: [head, live, now], answer };
    return answer;
  };
}

interface OperationOutcome {
  readonly ok: boolean | null;
  readonly seconds?: number | undefined;
  readonly reason?: string | undefined;
  readonly at: number;
}

function publishFigures({ show }: Recorder, report: Report): void {
  for (const [key, { series, ofRows, isOpen }] of READ_FROM_REPORT)
    if (!ofRows || report.databaseFailure === null) show(key, series(report), { isOpen });
}
