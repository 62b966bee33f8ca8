import type { JobName } from '../status/jobs.ts';
import { BROKEN_REASONS } from '../window/flags.ts';
/** What the exporter tells Prometheus. The only file that imports prom-client, so that its successor is one change. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { PROBLEM_CODES, PROBLEMS } from '../diagnosis/problem-catalogue.ts';
import type { Report } from '../diagnosis/report.ts';
import { STORAGES } from '../diagnosis/report.ts';
import { assertNever } from '../lib/assert-never.ts';
import { gzipJoin, renderOnChange } from '../lib/render-on-change.ts';
import type { ProbeResult } from '../probe/bucket.ts';
import type { DatabaseProbe } from '../probe/database.ts';
import type { S3Operation } from '../s3/calls.ts';
import type { S3Reason } from '../s3/failure.ts';
import type { Shard } from '../settings/shard.ts';
import { WHOLE } from '../settings/shard.ts';
import { CANARY_DATA, countRefusals, publishCanary } from './canary.ts';
import type { MetricDefinition, MetricKey } from './catalogue.ts';
import { CATALOGUE, fullName, METRICS } from './catalogue.ts';
import type { KeyOf, Recorder } from './series.ts';
import { createIncrements, createReasons, startAtZero } from './series.ts';

export interface Metrics {
  /** Counters grow by the increments; what was read follows the report, and is absent when `stale`. */
  publishReport(report: Report, stale: boolean): void;
  /** `database`: null when it was not asked. `at`: epoch ms. */
  publishProbe(result: ProbeResult, database: DatabaseProbe | null, at: number): void;
  jobFinished(job: JobName, outcome: JobOutcome): void;
  jobSkipped(job: JobName): void;
  s3Request(operation: S3Operation): void;
  s3Failure(operation: S3Operation, reason: S3Reason): void;
  setUp(target: 'database' | 's3', up: boolean): void;
  setLeader(leader: boolean): void;
  /** `at`: epoch ms. */
  configReloaded(ok: boolean, at: number): void;
  /** What was read disappears; what was counted and what the exporter says of itself stay. */
  markStale(): void;
  /** One scrape in the text format 0.0.4, plain and as one gzip stream. */
  snapshot(): Promise<{ text: Buffer; gzip: Buffer }>;
}

export interface JobOutcome {
  readonly seconds: number;
  /** A reason of few possible values, or null for success. */
  readonly failure: string | null;
  /** Epoch ms. */
  readonly at: number;
}

/** What speaks of the last cycle and goes away when there is none to speak of. */
const DATA = [
  'database_writes_total',
  'window_rows',
  'window_bytes',
  'window_oversize_in_db_rows',
  'window_oversize_in_db_bytes',
  'window_broken_references',
  'window_orphan_objects',
  'window_orphan_bytes',
  'problem',
  ...CANARY_DATA,
  'backend_info',
  'threshold_bytes',
  'oversize_bytes',
  'exporter_sample_lag_seconds',
  'exporter_sample_coverage_ratio',
] as const satisfies readonly KeyOf<'gauge' | 'counter'>[];

export function createMetrics(options: {
  version: string;
  maxDags: number;
  windowSeconds: number;
  probeWrite: boolean;
  /** Whether there is a state file; false unless given. */
  keepsState?: boolean;
  /** All dags unless given. */
  shard?: Shard;
}): Metrics {
  // A cycle may leave thousands of series: they are rendered when they change, not when they are read.
  const cycle = new Registry();
  const live = new Registry();
  const runtime = renderRuntime();
  const recorder = createRecorder({ cycle, live });
  const page = renderOnChange(() => textOf(cycle));
  const { add, set, clear, observe } = recorder;

  startAtZero(recorder, options);
  set('window_seconds', {}, options.windowSeconds);
  set('exporter_build_info', { version: options.version }, 1);
  const { index, count } = options.shard ?? WHOLE;
  set('exporter_shard_ordinal', {}, index);
  set('exporter_shards', {}, count);
  const addIncrement = createIncrements(recorder, options);
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
    for (const key of DATA) clear(key);
    page.touch();
  }

  return {
    publishReport(report, stale) {
      for (const increment of report.increments) addIncrement(increment);
      countRefusals(recorder, report.canary.refusals);
      if (stale) markStale();
      else publishFigures(recorder, report);
      page.touch();
    },
    publishProbe(result, database, at) {
      // What is not in this result was not tried in this probe.
      clear('probe_success');
      for (const step of result.steps) publishOperation(step.operation, { ...step, at });
      if (database !== null) publishOperation('database', { ...database, at });
      page.touch();
    },
    jobFinished(job, outcome) {
      add('exporter_job_runs_total', { job }, 1);
      set('exporter_job_duration_seconds', { job }, outcome.seconds);
      if (outcome.failure === null) {
        set('exporter_job_last_success_timestamp_seconds', { job }, outcome.at / 1000);
      } else {
        add('exporter_job_failures_total', { job, reason: reasonOf(outcome.failure) }, 1);
      }
    },
    jobSkipped(job) {
      add('exporter_job_skips_total', { job }, 1);
    },
    s3Request(operation) {
      add('exporter_s3_requests_total', { operation }, 1);
    },
    s3Failure(operation, reason) {
      add('exporter_s3_request_errors_total', { operation, reason: reasonOf(reason) }, 1);
    },
    setUp(target, up) {
      set('exporter_up', { target }, Number(up));
    },
    setLeader(leader) {
      set('exporter_leader', {}, Number(leader));
    },
    configReloaded(ok, at) {
      set('exporter_config_last_reload_successful', {}, Number(ok));
      if (ok) set('exporter_config_last_reload_success_timestamp_seconds', {}, at / 1000);
    },
    markStale,
    async snapshot() {
      const rendered = await page.rendered();
      const rest = Buffer.concat([await textOf(live), await runtime()]);
      // Made when asked for: a scrape takes one of them, and either is a copy of all series.
      return {
        get text() {
          return Buffer.concat([rendered.text, rest]);
        },
        get gzip() {
          return gzipJoin(rendered.gzip, rest);
        },
      };
    },
  };
}

interface OperationOutcome {
  readonly ok: boolean | null;
  readonly seconds?: number | undefined;
  readonly reason?: string | undefined;
  readonly at: number;
}

function publishFigures({ add, set, clear }: Recorder, report: Report): void {
  for (const code of PROBLEM_CODES) {
    const state = report.states[code];
    const value = state === 'unknown' ? null : Number(state === 'raised');
    set('problem', { problem: code, severity: PROBLEMS[code].severity }, value);
  }
  set('threshold_bytes', {}, report.thresholdBytes);
  set('oversize_bytes', {}, report.oversizeBytes);
  // A cycle that could not read the database says nothing of the window: the last good figures stand until stale.
  if (report.databaseFailure !== null) return;

  clear('backend_info');
  if (report.backend !== null) set('backend_info', { ...report.backend }, 1);
  set('exporter_sample_lag_seconds', {}, report.lagSeconds);
  set('exporter_sample_coverage_ratio', {}, report.coverage);

  publishCanary({ set, clear }, report.canary.verdict);
  clear('database_writes_total');
  for (const [table, writes] of Object.entries(report.writes))
    add('database_writes_total', { table }, writes);

  const window = report.window;
  for (const storage of STORAGES) {
    set('window_rows', { storage }, window?.rows[storage] ?? null);
    set('window_bytes', { storage }, window?.bytes[storage] ?? null);
  }
  for (const reason of BROKEN_REASONS) {
    set('window_broken_references', { reason }, window?.broken[reason] ?? null);
  }
  set('window_oversize_in_db_rows', {}, window?.oversizeRows ?? null);
  set('window_oversize_in_db_bytes', {}, window?.oversizeBytes ?? null);
  set('window_orphan_objects', {}, window?.orphanObjects ?? null);
  set('window_orphan_bytes', {}, window?.orphanBytes ?? null);
}

function createRecorder(registries: { cycle: Registry; live: Registry }): Recorder {
  const counters = new Map<string, Counter>();
  const gauges = new Map<string, Gauge>();
  const histograms = new Map<string, Histogram>();

  for (const definition of METRICS) {
    const { name, help, group } = definition;
    const registry = group === 'probe' || group === 'exporter' ? registries.live : registries.cycle;
    const config = { name, help, labelNames: [...definition.labels], registers: [registry] };
    switch (definition.type) {
      case 'counter':
        counters.set(name, new Counter(config));
        break;
      case 'gauge': {
        const gauge = new Gauge(config);
        // prom-client gives an unlabelled gauge the value 0 at birth; until it is known it must be absent.
        if (definition.labels.length === 0) gauge.remove();
        gauges.set(name, gauge);
        break;
      }
      case 'histogram':
        histograms.set(name, new Histogram({ ...config, buckets: [...bucketsOf(definition)] }));
        break;
      default:
        assertNever(definition.type);
    }
  }

  return {
    add: (key, labels, by) => {
      family(counters, key).inc(labels, by);
    },
    set: (key, labels, value) => {
      if (value === null) family(gauges, key).remove(labels);
      else family(gauges, key).set(labels, value);
    },
    clear: (key) => {
      const metric = CATALOGUE[key].type === 'gauge' ? family(gauges, key) : family(counters, key);
      metric.reset();
      // reset() brings an unlabelled one back as 0.
      if (CATALOGUE[key].labels.length === 0) metric.remove();
    },
    observe: (key, labels, value) => {
      if (value === null) family(histograms, key).zero(labels);
      else family(histograms, key).observe(labels, value);
    },
  };
}

function bucketsOf(definition: MetricDefinition): readonly number[] {
  if (definition.buckets === undefined) throw new Error(`The histogram ${definition.name} has no buckets`);
  return definition.buckets;
}

function family<Family>(families: ReadonlyMap<string, Family>, key: MetricKey): Family {
  const found = families.get(fullName(key));
  if (found === undefined) throw new Error(`The metric ${fullName(key)} is not registered`);
  return found;
}

/** How long the figures of the process stand: they are read from the system, which many scrapes need not do. */
const RUNTIME_MS = 1_000;

function renderRuntime(): () => Promise<Buffer> {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  // Gauges named *_total: `promtool check metrics` rejects them, and the same figures are there by type.
  for (const kind of ['handles', 'requests', 'resources']) {
    registry.removeSingleMetric(`nodejs_active_${kind}_total`);
  }
  let readAt = -Infinity;
  let current = Promise.resolve(Buffer.alloc(0));
  return () => {
    const now = performance.now();
    if (now - readAt >= RUNTIME_MS) {
      readAt = now;
      // The lag of the event loop has no mean when nothing ran since it was read: prom-client prints `Nan` for it.
      current = registry.metrics().then((text) => Buffer.from(text.replaceAll(/^\S+ Nan\n/gm, '')));
    }
    return current;
  };
}

async function textOf(registry: Registry): Promise<Buffer> {
  return Buffer.from(await registry.metrics());
}
