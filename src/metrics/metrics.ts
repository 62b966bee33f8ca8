/** Tells Prometheus. The only file that imports prom-client, so that its successor is one change. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Report } from '../diagnosis/report.ts';
import { assertNever } from '../lib/assert-never.ts';
import { gzipJoin, renderOnChange } from '../lib/render-on-change.ts';
import type { ProbeResult } from '../probe/bucket.ts';
import type { DatabaseProbe } from '../probe/database.ts';
import type { S3Operation } from '../s3/calls.ts';
import type { S3Reason } from '../s3/failure.ts';
import type { Shard } from '../settings/shard.ts';
import type { AuditResult } from '../state/audit-result.ts';
import type { JobName } from '../status/jobs.ts';
import { auditSeries } from './audit-metrics.ts';
import type { KeyOf, MetricDefinition, MetricKey } from './catalogue.ts';
import { CATALOGUE, fullName, METRICS, READ_FROM_REPORT } from './catalogue.ts';
import type { Recorder } from './series.ts';
import { createIncrements, createReasons, startAtZero } from './series.ts';

export interface Metrics {
  /** Counters grow by the increments; what was read follows the report, and is absent when `stale`. */
  publishReport(report: Report, stale: boolean): void;
  /** `database`: null when it was not asked. `at`: epoch ms. */
  publishProbe(result: ProbeResult, database: DatabaseProbe | null, at: number): void;
  /** Null: there is none that can be read. */
  publishAudit(result: AuditResult | null): void;
  jobFinished(job: JobName, outcome: JobOutcome): void;
  jobSkipped(job: JobName): void;
  s3Request(operation: S3Operation): void;
  s3Failure(operation: S3Operation, reason: S3Reason): void;
  setUp(target: 'database' | 's3', up: boolean): void;
  setLeader(leader: boolean): void;
  /** `at`: epoch ms. */
  configReloaded(ok: boolean, at: number): void;
  /** Figures that were read disappear; counts and figures of the exporter itself stay. */
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

export function createMetrics(options: {
  version: string;
  maxDags: number;
  windowSeconds: number;
  probeWrite: boolean;
  /** Whether there is a state file. */
  keepsState: boolean;
  shard: Shard;
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
  set('exporter_shard_ordinal', {}, options.shard.index);
  set('exporter_shards', {}, options.shard.count);
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
    for (const [key] of READ_FROM_REPORT) clear(key);
    page.touch();
  }

  return {
    publishReport(report, stale) {
      for (const increment of report.increments) addIncrement(increment);
      for (const [reason, count] of report.canary.refusals)
        add('canary_reports_refused_total', { reason }, count);
      if (stale) markStale();
      else publishFigures(recorder, report);
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
      for (const [key, series] of auditSeries(result)) recorder.show(key, series, { isOpen: true });
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

function publishFigures({ show }: Recorder, report: Report): void {
  for (const [key, { series, ofRows, isOpen }] of READ_FROM_REPORT)
    if (!ofRows || report.databaseFailure === null) show(key, series(report), { isOpen });
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

  const isGauge = (key: KeyOf<'gauge' | 'counter'>) => CATALOGUE[key].type === 'gauge';
  const recorder: Recorder = {
    add: (key, labels, by) => {
      family(counters, key).inc(labels, by);
    },
    set: (key, labels, value) => {
      if (value === null) family(gauges, key).remove(labels);
      else family(gauges, key).set(labels, value);
    },
    clear: (key) => {
      const metric = isGauge(key) ? family(gauges, key) : family(counters, key);
      metric.reset();
      // reset() brings an unlabelled one back as 0.
      if (CATALOGUE[key].labels.length === 0) metric.remove();
    },
    show: (key, series, { isOpen }) => {
      if (isOpen) recorder.clear(key);
      for (const [labels, value] of series)
        if (isGauge(key)) recorder.set(key as KeyOf<'gauge'>, labels, value);
        else recorder.add(key as KeyOf<'counter'>, labels, value ?? 0);
    },
    observe: (key, labels, value) => {
      if (value === null) family(histograms, key).zero(labels);
      else family(histograms, key).observe(labels, value);
    },
  };
  return recorder;
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
