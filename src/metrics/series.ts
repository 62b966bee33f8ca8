/** Defines the series: those that are known in advance, and the ceilings on the others. */
import { REFUSALS } from '../canary/report.ts';
import { STORAGES } from '../diagnosis/report.ts';
import { assertNever } from '../lib/assert-never.ts';
import type { DatabaseReason } from '../postgres/failure.ts';
import type { S3Operation } from '../s3/calls.ts';
import type { S3Reason } from '../s3/reason.ts';
import { STATE_REASONS } from '../state/failure.ts';
import { jobNames } from '../status/jobs.ts';
import { BROKEN_REASONS, UNCHECKED_REASONS } from '../window/flags.ts';
import type { Increment } from '../window/increments.ts';
import type { KeyOf, MetricKey } from './catalogue.ts';
import { fullName } from './catalogue.ts';
import type { Labels, Series } from './definition.ts';

/** The operations on a metric. `set` with null makes the series absent. */
export interface Recorder {
  readonly add: (key: KeyOf<'counter'>, labels: Labels, by: number) => void;
  readonly set: (key: KeyOf<'gauge'>, labels: Labels, value: number | null) => void;
  readonly clear: (key: KeyOf<'gauge' | 'counter'>) => void;
  /** Sets the series of the last report; `isOpen`: removes all other series of the metric. */
  readonly show: (
    key: KeyOf<'gauge' | 'counter'>,
    series: readonly Series[],
    options: { readonly isOpen: boolean },
  ) => void;
  /** Adds a value to a histogram; with null, creates the series without a value. */
  readonly observe: (key: KeyOf<'histogram'>, labels: Labels, value: number | null) => void;
}

const OTHER = '_other';
const MAX_QUEUES = 50;
const MAX_REASONS = 40;

const S3_OPERATIONS: readonly S3Operation[] = ['put', 'head', 'get', 'list', 'delete'];
/** The operations that the probe leaves out when it must not write. */
const WRITE_OPERATIONS: readonly S3Operation[] = ['put', 'get', 'delete'];
const S3_REASONS: readonly S3Reason[] = [
  'denied',
  'throttled',
  'timeout',
  'unreachable',
  'no_such_bucket',
  'wrong_region',
  'server_error',
  'clock_skew',
  'aborted',
];

/** The reasons for which an operation of the probe fails; an aborted operation counts as not tried. */
const PROBE_REASONS = [...S3_REASONS.filter((reason) => reason !== 'aborted'), 'content_mismatch'];

const DATABASE_REASONS = [
  'unreachable',
  'denied',
  'lock_timeout',
  'statement_timeout',
  'conflict',
  'shutdown',
  'query_failed',
] as const satisfies readonly DatabaseReason[];

/** The metrics that have series for each dag, and therefore a ceiling. */
const DAG_METRICS = [
  'rows_total',
  'oversize_in_db_total',
  'oversize_in_db_bytes_total',
  'references_broken_total',
] as const satisfies readonly MetricKey[];

/** Creates the series whose labels are known in advance: without a 0 first, increase() misses the first step. */
export function startAtZero(
  { add, observe }: Recorder,
  { probeWrite, keepsState }: { probeWrite: boolean; keepsState: boolean },
): void {
  for (const storage of STORAGES) {
    add('bytes_total', { storage }, 0);
    observe('value_bytes', { storage }, null);
  }
  add('references_checked_total', {}, 0);
  for (const reason of REFUSALS) add('canary_reports_refused_total', { reason }, 0);
  for (const reason of UNCHECKED_REASONS) add('references_unchecked_total', { reason }, 0);
  for (const reason of ['missing', 'empty']) add('write_failures_total', { source: 'task', reason }, 0);
  for (const metric of DAG_METRICS) add('exporter_series_overflow_total', { metric: fullName(metric) }, 0);
  for (const job of jobNames(keepsState)) {
    add('exporter_job_runs_total', { name: job }, 0);
    // The job `state` runs with a cycle, so it has no tick of its own that could be skipped.
    if (job !== 'state') add('exporter_job_skips_total', { name: job }, 0);
  }
  for (const reason of DATABASE_REASONS) {
    add('exporter_job_failures_total', { name: 'sample', reason }, 0);
    add('probe_failures_total', { operation: 'database', reason }, 0);
  }
  add('exporter_job_failures_total', { name: 'sample', reason: 'behind' }, 0);
  for (const reason of PROBE_REASONS) add('exporter_job_failures_total', { name: 'probe', reason }, 0);
  for (const reason of keepsState ? STATE_REASONS : [])
    add('exporter_job_failures_total', { name: 'state', reason }, 0);
  observe('probe_duration_seconds', { operation: 'database' }, null);
  for (const operation of S3_OPERATIONS) {
    add('exporter_s3_requests_total', { operation }, 0);
    const probed = probeWrite || !WRITE_OPERATIONS.includes(operation);
    if (probed) observe('probe_duration_seconds', { operation }, null);
    for (const reason of S3_REASONS) {
      add('exporter_s3_request_errors_total', { operation, reason }, 0);
    }
    for (const reason of probed ? PROBE_REASONS : []) add('probe_failures_total', { operation, reason }, 0);
  }
  if (probeWrite) {
    for (const reason of PROBE_REASONS) add('write_failures_total', { source: 'probe', reason }, 0);
  }
}

/** Gives a function that adds the increments of a cycle, within the ceilings on dags and queues. */
export function createIncrements({ add, observe }: Recorder, { maxDags }: { maxDags: number }) {
  const nameOfDag = limited({ limit: maxDags, shared: OTHER });
  const nameOfQueue = limited({ limit: MAX_QUEUES, shared: OTHER });

  const started = new Set<string>();

  function startDag(dag_id: string): void {
    if (started.has(dag_id)) return;
    started.add(dag_id);
    for (const storage of STORAGES) add('rows_total', { dag_id, storage }, 0);
    for (const reason of BROKEN_REASONS) add('references_broken_total', { dag_id, reason }, 0);
    add('oversize_in_db_bytes_total', { dag_id }, 0);
  }

  function addForDag(
    metric: (typeof DAG_METRICS)[number],
    dagId: string,
    step: { labels: Labels; by: number },
  ) {
    const dag_id = nameOfDag(dagId);
    // A new dag gets all its series at once, so that its first broken reference is a step from 0 to 1.
    startDag(dag_id);
    add(metric, { dag_id, ...step.labels }, step.by);
    if (dag_id === OTHER || step.labels['queue'] === OTHER) {
      add('exporter_series_overflow_total', { metric: fullName(metric) }, 1);
    }
  }

  startDag(OTHER);
  add('oversize_in_db_total', { dag_id: OTHER, queue: OTHER }, 0);

  return (step: Increment): void => {
    switch (step.metric) {
      case 'rows_total':
        addForDag(step.metric, step.dagId, { labels: { storage: step.storage }, by: step.by });
        return;
      case 'oversize_in_db_total':
        addForDag(step.metric, step.dagId, { labels: { queue: nameOfQueue(step.queue) }, by: step.by });
        return;
      case 'oversize_in_db_bytes_total':
        addForDag(step.metric, step.dagId, { labels: {}, by: step.by });
        return;
      case 'references_broken_total':
        addForDag(step.metric, step.dagId, { labels: { reason: step.reason }, by: step.by });
        return;
      case 'bytes_total':
        add(step.metric, { storage: step.storage }, step.by);
        return;
      case 'value_bytes':
        observe(step.metric, { storage: step.storage }, step.bytes);
        return;
      case 'references_checked_total':
        add(step.metric, {}, step.by);
        return;
      case 'references_unchecked_total':
        add(step.metric, { reason: step.reason }, step.by);
        return;
      case 'write_failures_total':
        add(step.metric, { source: 'task', reason: step.reason }, step.by);
        return;
      default:
        assertNever(step);
    }
  };
}

/**
 * Gives a function that turns a reason into a label value: one short lower-case word, of few possible ones
 * (`connection refused` and `Connection-Refused` are the same; a reason beyond the ceiling becomes `other`).
 */
export function createReasons(): (reason: string | undefined) => string {
  const nameOfReason = limited({
    limit: MAX_REASONS,
    shared: 'other',
    known: [...S3_REASONS, ...PROBE_REASONS],
  });
  return (reason) => {
    const words = (reason ?? '').toLowerCase().match(/[a-z0-9]+/g) ?? ['other'];
    return nameOfReason(words.join('_').slice(0, 40));
  };
}

/** The first `limit` distinct values keep their name for ever; the others share one. */
function limited(options: {
  limit: number;
  shared: string;
  known?: readonly string[];
}): (value: string) => string {
  const admitted = new Set(options.known);
  return (value) => {
    if (admitted.size < options.limit) admitted.add(value);
    return admitted.has(value) ? value : options.shared;
  };
}
