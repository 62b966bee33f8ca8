import fc from 'fast-check';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { NO_CANARY, noteTasks } from '../../../src/canary/memory.ts';
import { judgeCanary } from '../../../src/canary/verdict.ts';
import { PROBLEMS, PROBLEM_CODES } from '../../../src/diagnosis/problem-catalogue.ts';
import type { ProblemCode } from '../../../src/diagnosis/problem-catalogue.ts';
import type { ProblemState } from '../../../src/diagnosis/problem.ts';
import type { Report } from '../../../src/diagnosis/report.ts';
import type { WindowTotals } from '../../../src/diagnosis/window-totals.ts';
import { METRICS } from '../../../src/metrics/catalogue.ts';
import { createMetrics } from '../../../src/metrics/metrics.ts';
import type { Metrics } from '../../../src/metrics/metrics.ts';
import type { Tried } from '../../../src/probe/bucket.ts';
import type { Increment } from '../../../src/window/increments.ts';
import { BACKEND, DENIED, lookOf, taskOf, WITHOUT_BACKEND } from '../../support/canary.ts';
import {
  PROMISED_METRICS,
  expectScrapeMatchesContract,
  parseScrape,
  sampleOf,
} from '../../support/contract.ts';

const OPTIONS = {
  version: '1.2.3',
  maxDags: 100,
  windowSeconds: 86_400,
  probeWrite: true,
  keepsState: false,
  shard: { index: 0, count: 1 },
};

const WINDOW: WindowTotals = {
  seconds: 86_400,
  rows: { db: 10, s3: 5, other: 0 },
  bytes: { db: 1_000, s3: 5_000_000, other: 0 },
  oversizeRows: 2,
  oversizeBytes: 900,
  broken: { missing: 1, empty: 0, unreadable: 0, path_mismatch: 0, leaked: 0 },
  orphanObjects: 3,
  orphanBytes: 333,
  unseenRuns: 0,
  unlistable: { runs: 0, paths: [] },
};

function statesOf(states: Partial<Record<ProblemCode, ProblemState>>): Record<ProblemCode, ProblemState> {
  return Object.fromEntries(PROBLEM_CODES.map((code) => [code, states[code] ?? 'clear'])) as Record<
    ProblemCode,
    ProblemState
  >;
}

function reportOf(changes: Partial<Report> = {}): Report {
  return {
    at: 1_700_000_000_000,
    durationSeconds: 0.5,
    databaseFailure: null,
    s3Failure: null,
    s3Answered: true,
    heard: [],
    told: {
      'xcom.backend': true,
      'xcom.path': true,
      'xcom.threshold': true,
      'xcom.compression': true,
    },
    undecided: {},
    takenBack: [],
    backend: {
      airflow: '3.0',
      schema: 'public',
      bucket: 'xcom',
      prefix: 'a/b',
      connection: 'aws_default',
      compression: '',
    },
    canary: { verdict: null, refusals: new Map() },
    thresholdBytes: 1_024,
    observed: null,
    oversizeBytes: 2_048,
    increments: [],
    writes: { xcom: 12 },
    window: WINDOW,
    states: statesOf({}),
    problems: [],
    standbyDoubt: null,
    unreadColumns: [],
    pushFault: null,
    lagSeconds: 0,
    coverage: 1,
    ...changes,
  };
}

async function scrape(metrics: Metrics) {
  const { text } = await metrics.snapshot();
  return expectScrapeMatchesContract(text.toString('utf8'));
}

function seriesOf(found: Awaited<ReturnType<typeof scrape>>, name: string): number {
  return found.get(`airflow_xcom_${name}`)?.samples.length ?? 0;
}

const DATA = METRICS.filter(
  ({ name, type }) =>
    (type === 'gauge' || name === 'airflow_xcom_database_writes_total') &&
    /^airflow_xcom_(database_writes_|window_(?!seconds)|problem|backend_info|threshold_|oversize_|exporter_sample_(?!stale_after))/.test(
      name,
    ),
).map(({ name }) => name.slice('airflow_xcom_'.length));

describe('the catalogue', () => {
  test('is what was promised, no more and no less', () => {
    const said = METRICS.map(({ name, type, labels }) => `${type} ${name}{${labels.join()}}`);
    const promised = PROMISED_METRICS.map(({ name, type, labels }) => `${type} ${name}{${labels.join()}}`);
    expect(said.sort()).toEqual(promised.sort());
  });

  test('says that data comes from the last cycle', () => {
    const data = METRICS.filter(
      ({ name, group }) =>
        ['rows', 'window', 'verdict'].includes(group) && name !== 'airflow_xcom_window_seconds',
    );
    for (const { name, help } of data) expect(help, name).toContain('as of the last cycle');
  });

  test('has its fourteen families that go away under test', () => {
    expect(DATA).toHaveLength(14);
  });
});

describe('before the first cycle', () => {
  test('known label values are there at 0 and unknown gauges are absent', async () => {
    const found = await scrape(createMetrics(OPTIONS));
    expect(sampleOf(found, 'airflow_xcom_bytes_total', { storage: 's3' })).toBe(0);
    expect(sampleOf(found, 'airflow_xcom_value_bytes_count', { storage: 'db' })).toBe(0);
    expect(sampleOf(found, 'airflow_xcom_references_checked_total')).toBe(0);
    expect(sampleOf(found, 'airflow_xcom_references_unchecked_total', { reason: 'budget' })).toBe(0);
    expect(sampleOf(found, 'airflow_xcom_write_failures_total', { source: 'task', reason: 'missing' })).toBe(
      0,
    );
    expect(sampleOf(found, 'airflow_xcom_write_failures_total', { source: 'probe', reason: 'denied' })).toBe(
      0,
    );
    expect(sampleOf(found, 'airflow_xcom_probe_failures_total', { operation: 'put', reason: 'denied' })).toBe(
      0,
    );
    expect(
      sampleOf(found, 'airflow_xcom_probe_failures_total', { operation: 'database', reason: 'lock_timeout' }),
    ).toBe(0);
    expect(sampleOf(found, 'airflow_xcom_exporter_job_runs_total', { name: 'sample' })).toBe(0);
    expect(
      sampleOf(found, 'airflow_xcom_exporter_job_failures_total', { name: 'sample', reason: 'unreachable' }),
    ).toBe(0);
    expect(sampleOf(found, 'airflow_xcom_exporter_s3_requests_total', { operation: 'list' })).toBe(0);
    expect(sampleOf(found, 'airflow_xcom_window_seconds')).toBe(86_400);
    expect(sampleOf(found, 'airflow_xcom_exporter_build_info', { version: '1.2.3' })).toBe(1);
    expect(sampleOf(found, 'airflow_xcom_exporter_shard_ordinal')).toBe(0);
    expect(sampleOf(found, 'airflow_xcom_exporter_shards')).toBe(1);
    for (const name of [...DATA, 'probe_success', 'probe_last_success_timestamp_seconds']) {
      expect(seriesOf(found, name), name).toBe(0);
    }
    for (const name of [
      'up',
      'leader',
      'config_last_reload_successful',
      'job_last_success_timestamp_seconds',
    ]) {
      expect(seriesOf(found, `exporter_${name}`), name).toBe(0);
    }
  });

  test('a shard says which one it is', async () => {
    const found = await scrape(createMetrics({ ...OPTIONS, shard: { index: 2, count: 3 } }));
    expect(sampleOf(found, 'airflow_xcom_exporter_shard_ordinal')).toBe(2);
    expect(sampleOf(found, 'airflow_xcom_exporter_shards')).toBe(3);
  });

  test('a probe that must not write has no series for what it will not try', async () => {
    const found = await scrape(createMetrics({ ...OPTIONS, probeWrite: false }));
    const operations = new Set(
      found.get('airflow_xcom_probe_failures_total')?.samples.map(({ labels }) => labels['operation']),
    );
    expect([...operations]).toEqual(['database', 'head', 'list']);
  });

  test('process and Node figures are there without the three that promtool rejects', async () => {
    const found = await scrape(createMetrics(OPTIONS));
    expect(sampleOf(found, 'process_resident_memory_bytes')).toBeGreaterThan(0);
    expect([...found.keys()].filter((name) => /^nodejs_active_.*_total$/.test(name))).toEqual([]);
  });
});

describe('a report', () => {
  test('becomes gauges', async () => {
    const metrics = createMetrics(OPTIONS);
    metrics.publishReport(
      reportOf({ states: statesOf({ objects_missing: 'raised', path_leaked: 'unknown' }) }),
      false,
    );
    const found = await scrape(metrics);
    expect(sampleOf(found, 'airflow_xcom_window_rows', { storage: 's3' })).toBe(5);
    expect(sampleOf(found, 'airflow_xcom_window_bytes', { storage: 's3' })).toBe(5_000_000);
    expect(sampleOf(found, 'airflow_xcom_window_broken_references', { reason: 'missing' })).toBe(1);
    expect(sampleOf(found, 'airflow_xcom_window_orphan_bytes')).toBe(333);
    expect(sampleOf(found, 'airflow_xcom_threshold_bytes')).toBe(1_024);
    for (const setting of ['backend', 'path', 'threshold', 'compression'])
      expect(sampleOf(found, 'airflow_xcom_setting_known', { setting }), setting).toBe(1);
    expect(sampleOf(found, 'airflow_xcom_exporter_sample_coverage_ratio')).toBe(1);
    expect(sampleOf(found, 'airflow_xcom_exporter_sample_lag_seconds')).toBe(0);
    const problem = (code: ProblemCode) =>
      sampleOf(found, 'airflow_xcom_problem', { problem: code, severity: PROBLEMS[code].severity });
    expect(problem('objects_missing')).toBe(1);
    expect(problem('orphans_growing')).toBe(0);
    expect(problem('path_leaked')).toBeUndefined();
    expect(seriesOf(found, 'problem')).toBe(PROBLEM_CODES.length - 1);
  });

  test('takes back what it no longer knows', async () => {
    const metrics = createMetrics(OPTIONS);
    metrics.publishReport(reportOf(), false);
    metrics.publishReport(
      reportOf({
        thresholdBytes: null,
        told: { ...reportOf().told, 'xcom.threshold': false },
        backend: {
          airflow: '3.0',
          schema: 's',
          bucket: null,
          prefix: null,
          connection: null,
          compression: null,
        },
        lagSeconds: null,
        coverage: null,
        window: { ...WINDOW, bytes: { db: 1, s3: null, other: 0 }, orphanObjects: null, orphanBytes: null },
      }),
      false,
    );
    const found = await scrape(metrics);
    expect(sampleOf(found, 'airflow_xcom_window_bytes', { storage: 's3' })).toBeUndefined();
    expect(sampleOf(found, 'airflow_xcom_window_bytes', { storage: 'db' })).toBe(1);
    for (const name of ['window_orphan_objects', 'window_orphan_bytes', 'threshold_bytes']) {
      expect(seriesOf(found, name), name).toBe(0);
    }
    expect(seriesOf(found, 'exporter_sample_lag_seconds')).toBe(0);
    expect(sampleOf(found, 'airflow_xcom_setting_known', { setting: 'threshold' })).toBe(0);
    expect(sampleOf(found, 'airflow_xcom_setting_known', { setting: 'path' })).toBe(1);
    expect(found.get('airflow_xcom_backend_info')?.samples[0]?.labels).toMatchObject({
      airflow: '3.0',
      bucket: '',
      compression: '',
    });

    metrics.publishReport(reportOf({ window: null }), false);
    const without = await scrape(metrics);
    expect(seriesOf(without, 'window_rows')).toBe(0);
    expect(seriesOf(without, 'window_oversize_in_db_rows')).toBe(0);
  });

  test('that could not read the database leaves the last figures until they are stale', async () => {
    const metrics = createMetrics(OPTIONS);
    metrics.publishReport(reportOf(), false);
    const failed = reportOf({
      window: null,
      backend: null,
      lagSeconds: null,
      coverage: null,
      databaseFailure: { reason: 'timeout', detail: '' },
    });
    metrics.publishReport(failed, false);
    expect(sampleOf(await scrape(metrics), 'airflow_xcom_window_rows', { storage: 'db' })).toBe(10);
    metrics.publishReport(failed, true);
    const found = await scrape(metrics);
    for (const name of DATA) expect(seriesOf(found, name), name).toBe(0);
    metrics.publishReport(reportOf(), false);
    expect(sampleOf(await scrape(metrics), 'airflow_xcom_window_rows', { storage: 'db' })).toBe(10);
  });

  test('that is stale still counts, and what the exporter says of itself stays', async () => {
    const metrics = createMetrics(OPTIONS);
    metrics.setUp('database', true);
    metrics.setLeader(true);
    metrics.setStaleAfter(102);
    metrics.jobFinished('sample', { seconds: 1, failure: null, at: 5_000 });
    metrics.publishReport(reportOf(), false);
    metrics.publishReport(reportOf({ increments: [{ metric: 'references_checked_total', by: 4 }] }), true);
    metrics.markStale();
    const found = await scrape(metrics);
    for (const name of DATA) expect(seriesOf(found, name), name).toBe(0);
    expect(sampleOf(found, 'airflow_xcom_references_checked_total')).toBe(4);
    expect(sampleOf(found, 'airflow_xcom_exporter_up', { target: 'database' })).toBe(1);
    expect(sampleOf(found, 'airflow_xcom_exporter_leader')).toBe(1);
    expect(sampleOf(found, 'airflow_xcom_exporter_sample_stale_after_seconds')).toBe(102);
    expect(
      sampleOf(found, 'airflow_xcom_exporter_job_last_success_timestamp_seconds', { name: 'sample' }),
    ).toBe(5);
  });

  test('says what Postgres counts, as it counts it', async () => {
    const metrics = createMetrics(OPTIONS);
    metrics.publishReport(reportOf(), false);
    metrics.publishReport(reportOf({ writes: { xcom_v1: 3, xcom_v2: 20 } }), false);
    const samples = (await scrape(metrics)).get('airflow_xcom_database_writes_total')?.samples;
    expect(samples?.map(({ labels, value }) => [labels['table'], value])).toEqual([
      ['xcom_v1', 3],
      ['xcom_v2', 20],
    ]);
  });

  test('replaces the backend: there is one at a time', async () => {
    const metrics = createMetrics(OPTIONS);
    const backend = reportOf().backend;
    metrics.publishReport(reportOf(), false);
    metrics.publishReport(reportOf({ backend: backend && { ...backend, airflow: '3.1' } }), false);
    const samples = (await scrape(metrics)).get('airflow_xcom_backend_info')?.samples;
    expect(samples?.map(({ labels }) => labels['airflow'])).toEqual(['3.1']);
  });

  test('adds every kind of increment', async () => {
    const metrics = createMetrics(OPTIONS);
    const increments: Increment[] = [
      { metric: 'rows_total', dagId: 'etl', storage: 's3', by: 2 },
      { metric: 'bytes_total', storage: 's3', by: 700 },
      { metric: 'value_bytes', storage: 's3', bytes: 5_000 },
      { metric: 'oversize_in_db_total', dagId: 'etl', queue: 'legacy', by: 3 },
      { metric: 'oversize_in_db_bytes_total', dagId: 'etl', by: 300 },
      { metric: 'references_checked_total', by: 2 },
      { metric: 'references_broken_total', dagId: 'etl', reason: 'leaked', by: 1 },
      { metric: 'references_unchecked_total', reason: 'denied', by: 6 },
      { metric: 'write_failures_total', reason: 'empty', by: 7 },
    ];
    metrics.publishReport(reportOf({ increments }), false);
    metrics.publishReport(reportOf({ increments }), false);
    const found = await scrape(metrics);
    expect(sampleOf(found, 'airflow_xcom_rows_total', { dag_id: 'etl', storage: 's3' })).toBe(4);
    expect(sampleOf(found, 'airflow_xcom_rows_total', { dag_id: 'etl', storage: 'db' })).toBe(0);
    expect(sampleOf(found, 'airflow_xcom_bytes_total', { storage: 's3' })).toBe(1_400);
    expect(sampleOf(found, 'airflow_xcom_value_bytes_bucket', { storage: 's3', le: '1000' })).toBe(0);
    expect(sampleOf(found, 'airflow_xcom_value_bytes_bucket', { storage: 's3', le: '10000' })).toBe(2);
    expect(sampleOf(found, 'airflow_xcom_oversize_in_db_total', { dag_id: 'etl', queue: 'legacy' })).toBe(6);
    expect(sampleOf(found, 'airflow_xcom_oversize_in_db_bytes_total', { dag_id: 'etl' })).toBe(600);
    expect(sampleOf(found, 'airflow_xcom_references_checked_total')).toBe(4);
    expect(sampleOf(found, 'airflow_xcom_references_broken_total', { dag_id: 'etl', reason: 'leaked' })).toBe(
      2,
    );
    expect(
      sampleOf(found, 'airflow_xcom_references_broken_total', { dag_id: 'etl', reason: 'missing' }),
    ).toBe(0);
    expect(sampleOf(found, 'airflow_xcom_references_unchecked_total', { reason: 'denied' })).toBe(12);
    expect(sampleOf(found, 'airflow_xcom_write_failures_total', { source: 'task', reason: 'empty' })).toBe(
      14,
    );
  });
});

describe('ceilings', () => {
  test('the first dags keep their series, the rest shares one and is counted', async () => {
    const metrics = createMetrics({ ...OPTIONS, maxDags: 2 });
    const seen = ['a', 'b', 'c', 'd', 'a'].map(
      (dagId) => ({ metric: 'rows_total', dagId, storage: 'db', by: 5 }) as const,
    );
    metrics.publishReport(reportOf({ increments: seen }), false);
    metrics.publishReport(
      reportOf({ increments: [{ metric: 'oversize_in_db_bytes_total', dagId: 'c', by: 9 }] }),
      false,
    );
    const found = await scrape(metrics);
    const rowsOf = (dag_id: string) => sampleOf(found, 'airflow_xcom_rows_total', { dag_id, storage: 'db' });
    expect([rowsOf('a'), rowsOf('b'), rowsOf('c'), rowsOf('_other')]).toEqual([10, 5, undefined, 10]);
    const overflow = (metric: string) =>
      sampleOf(found, 'airflow_xcom_exporter_series_overflow_total', { metric: `airflow_xcom_${metric}` });
    expect(overflow('rows_total')).toBe(2);
    expect(overflow('oversize_in_db_bytes_total')).toBe(1);
    expect(overflow('references_broken_total')).toBe(0);
  });

  test('no dag has a series of its own at 0', async () => {
    const metrics = createMetrics({ ...OPTIONS, maxDags: 0 });
    const increments: Increment[] = [{ metric: 'rows_total', dagId: 'a', storage: 'db', by: 1 }];
    metrics.publishReport(reportOf({ increments }), false);
    expect(seriesOf(await scrape(metrics), 'rows_total')).toBe(3);
  });

  test('queues are limited too', async () => {
    const metrics = createMetrics(OPTIONS);
    const increments = Array.from(
      { length: 60 },
      (_, i) => ({ metric: 'oversize_in_db_total', dagId: 'a', queue: `q${i}`, by: 1 }) as const,
    );
    metrics.publishReport(reportOf({ increments }), false);
    const found = await scrape(metrics);
    expect(sampleOf(found, 'airflow_xcom_oversize_in_db_total', { dag_id: 'a', queue: '_other' })).toBe(10);
    expect(sampleOf(found, 'airflow_xcom_oversize_in_db_total', { dag_id: 'a', queue: 'q49' })).toBe(1);
    expect(
      sampleOf(found, 'airflow_xcom_exporter_series_overflow_total', {
        metric: 'airflow_xcom_oversize_in_db_total',
      }),
    ).toBe(10);
  });

  test('reasons become words, and few of them', async () => {
    const metrics = createMetrics(OPTIONS);
    metrics.jobFinished('sample', { seconds: 1, failure: 'Connection-Refused "x"\n', at: 0 });
    for (let i = 0; i < 100; i += 1) metrics.jobFinished('probe', { seconds: 1, failure: `r${i}`, at: 0 });
    const found = await scrape(metrics);
    const failures = (job: string, reason: string) =>
      sampleOf(found, 'airflow_xcom_exporter_job_failures_total', { name: job, reason });
    expect(failures('sample', 'connection_refused_x')).toBe(1);
    expect(failures('probe', 'r0')).toBe(1);
    expect(failures('probe', 'other')).toBeGreaterThan(50);
    expect(seriesOf(found, 'exporter_job_failures_total')).toBeLessThan(60);
  });
});

describe('the probe', () => {
  const good: Tried = {
    steps: (['put', 'head', 'get', 'list', 'delete'] as const).map((operation) => ({
      operation,
      ok: true,
      seconds: 0.02,
    })),
    leftoversDeleted: 0,
  };

  test('that succeeds, then is denied, then does not write', async () => {
    const metrics = createMetrics(OPTIONS);
    metrics.publishProbe(good, { ok: true, seconds: 0.001 }, 60_000);
    const denied: Tried = {
      steps: [
        {
          operation: 'put',
          ok: false,
          seconds: 0.02,
          reason: 'denied',
          detail: 'AccessDenied (403)',
          said: {
            by: 's3',
            code: 'AccessDenied',
            status: 403,
            cause: 'permission',
            action: null,
            policy: null,
          },
        },
        { operation: 'get', ok: null },
        { operation: 'list', ok: true, seconds: 0.3 },
      ],
      leftoversDeleted: 0,
    };
    metrics.publishProbe(denied, { ok: false, seconds: 5, reason: 'connection refused' }, 120_000);
    const found = await scrape(metrics);
    const success = (operation: string) => sampleOf(found, 'airflow_xcom_probe_success', { operation });
    expect([success('put'), success('get'), success('list'), success('database')]).toEqual([
      0,
      undefined,
      1,
      0,
    ]);
    const last = (operation: string) =>
      sampleOf(found, 'airflow_xcom_probe_last_success_timestamp_seconds', { operation });
    expect([last('put'), last('list'), last('database')]).toEqual([60, 120, 60]);
    expect(sampleOf(found, 'airflow_xcom_probe_failures_total', { operation: 'put', reason: 'denied' })).toBe(
      1,
    );
    expect(
      sampleOf(found, 'airflow_xcom_probe_failures_total', {
        operation: 'database',
        reason: 'connection_refused',
      }),
    ).toBe(1);
    expect(sampleOf(found, 'airflow_xcom_write_failures_total', { source: 'probe', reason: 'denied' })).toBe(
      1,
    );
    expect(sampleOf(found, 'airflow_xcom_probe_duration_seconds_count', { operation: 'put' })).toBe(2);
    expect(
      sampleOf(found, 'airflow_xcom_probe_duration_seconds_bucket', { operation: 'list', le: '0.1' }),
    ).toBe(1);
  });

  test('without the database has no opinion of it', async () => {
    const metrics = createMetrics(OPTIONS);
    metrics.publishProbe(good, { ok: true, seconds: 0.001 }, 60_000);
    metrics.publishProbe(good, null, 120_000);
    const found = await scrape(metrics);
    expect(sampleOf(found, 'airflow_xcom_probe_success', { operation: 'database' })).toBeUndefined();
  });
});

test('jobs, requests, reloads', async () => {
  const metrics = createMetrics(OPTIONS);
  metrics.jobFinished('probe', { seconds: 0.25, failure: null, at: 9_000 });
  metrics.jobFinished('probe', { seconds: 0.5, failure: 'timeout', at: 10_000 });
  metrics.jobSkipped('sample');
  metrics.s3Request('head');
  metrics.s3Request('head');
  metrics.s3Failure('head', 'throttled');
  metrics.setUp('s3', false);
  metrics.setLeader(false);
  metrics.configReloaded(true, 7_000);
  metrics.configReloaded(false, 8_000);
  const found = await scrape(metrics);
  const own = (name: string, labels = {}) => sampleOf(found, `airflow_xcom_exporter_${name}`, labels);
  expect(own('job_runs_total', { name: 'probe' })).toBe(2);
  expect(own('job_failures_total', { name: 'probe', reason: 'timeout' })).toBe(1);
  expect(own('job_duration_seconds', { name: 'probe' })).toBe(0.5);
  expect(own('job_last_success_timestamp_seconds', { name: 'probe' })).toBe(9);
  expect(own('job_skips_total', { name: 'sample' })).toBe(1);
  expect(own('s3_requests_total', { operation: 'head' })).toBe(2);
  expect(own('s3_request_errors_total', { operation: 'head', reason: 'throttled' })).toBe(1);
  expect(own('up', { target: 's3' })).toBe(0);
  expect(own('leader')).toBe(0);
  expect(own('config_last_reload_successful')).toBe(0);
  expect(own('config_last_reload_success_timestamp_seconds')).toBe(7);
});

test('the verdict is 1 or 0, and absent where it is not known', async () => {
  const metrics = createMetrics(OPTIONS);
  const shown = async () => sampleOf(await scrape(metrics), 'airflow_xcom_healthy');
  expect(await shown()).toBeUndefined();
  for (const [verdict, value] of [
    ['healthy', 1],
    ['unknown', undefined],
    ['problems', 0],
    ['standby', undefined],
  ] as const) {
    metrics.setVerdict(verdict);
    expect([verdict, await shown()]).toEqual([verdict, value]);
  }
});

describe('a scrape', () => {
  test('renders any name so that it reads back as it was', async () => {
    const names = fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 250 }),
      fc.constantFrom(
        'a"b',
        'a\nb',
        'a\\b',
        'a\\nb',
        'a\r\u2028b',
        '<img src=x onerror=alert(1)>',
        '} 1',
        'ü'.repeat(250),
      ),
    );
    await fc.assert(
      fc.asyncProperty(names, names, async (dagId, text) => {
        const metrics = createMetrics(OPTIONS);
        const backend = {
          airflow: text,
          schema: text,
          bucket: text,
          prefix: text,
          connection: text,
          compression: text,
        };
        const increments: Increment[] = [{ metric: 'oversize_in_db_total', dagId, queue: text, by: 3 }];
        metrics.publishReport(reportOf({ backend, increments }), false);
        const found = await scrape(metrics);
        expect(sampleOf(found, 'airflow_xcom_oversize_in_db_total', { dag_id: dagId, queue: text })).toBe(3);
        expect(sampleOf(found, 'airflow_xcom_backend_info', backend)).toBe(1);
      }),
      { numRuns: 50 },
    );
  });

  test('is the same in gzip, and one gzip member', async () => {
    const metrics = createMetrics(OPTIONS);
    metrics.publishReport(reportOf(), false);
    const { text, gzip } = await metrics.snapshot();
    expect(gunzipSync(gzip).equals(text)).toBe(true);
    expect(gzip.length).toBeLessThan(text.length / 4);
    expect(gzip.indexOf(Buffer.from([0x1f, 0x8b, 8]), 1)).toBe(-1);
  });

  test('shows the last cycle published, and of one alone', async () => {
    const metrics = createMetrics(OPTIONS);
    for (let i = 1; i <= 200; i += 1) {
      const rows = { db: i, s3: i, other: i };
      metrics.publishReport(reportOf({ window: { ...WINDOW, rows, orphanBytes: i } }), false);
      if (i % 3 === 0) await Promise.resolve();
      if (i % 7 === 0) {
        const found = parseScrape((await metrics.snapshot()).text.toString());
        const values = found.get('airflow_xcom_window_rows')?.samples.map(({ value }) => value);
        expect([...(values ?? []), sampleOf(found, 'airflow_xcom_window_orphan_bytes')]).toEqual([
          i,
          i,
          i,
          i,
        ]);
      }
    }
  });
});

describe('the reader of scrapes', () => {
  const head = '# HELP a_total x\n# TYPE a_total counter\n';
  test.each([
    ['no line feed at the end', `${head}a_total 1`],
    ['a sample without TYPE', 'a_total 1\n'],
    ['TYPE without HELP', '# TYPE a_total counter\na_total 1\n'],
    ['a series twice', `${head}a_total{b="1"} 1\na_total{b="1"} 2\n`],
    ['a family twice', `${head}a_total 1\n${head}`],
    ['an unknown escape', `${head}a_total{b="\\t"} 1\n`],
    ['a label twice', `${head}a_total{b="1",b="2"} 1\n`],
    ['a comma at the end', `${head}a_total{b="1",} 1\n`],
    ['a quote in a value', `${head}a_total{b="1"2"} 1\n`],
    ['a foreign sample', `${head}b_total 1\n`],
    ['no number', `${head}a_total Nan\n`],
  ])('refuses %s', (_, text) => {
    expect(() => parseScrape(text)).toThrow(/scrape/);
  });

  test('reads escapes', () => {
    const found = parseScrape(`${head}a_total{b="\\\\n\\n\\"}"} 1e3\n`);
    expect(sampleOf(found, 'a_total', { b: '\\n\n"}' })).toBe(1_000);
  });
});

describe('the canary', () => {
  const tasks = [
    taskOf(lookOf('default'), { at: 1_700_000_000_000 }),
    taskOf(lookOf('denied', DENIED), { at: 1_700_000_000_000 }),
  ];
  const { memory } = noteTasks(NO_CANARY, tasks, { now: 1_700_000_000_000 });
  const told = { backend: null, paths: null, threshold: null };
  const verdictAt = (now: number) => judgeCanary(memory, { now, told });
  const heard = {
    canary: { verdict: verdictAt(1_700_000_000_000), refusals: new Map([['malformed', 2]] as const) },
  };

  test('tells of each queue what it said, and nothing of what it did not', async () => {
    const metrics = createMetrics(OPTIONS);
    metrics.publishReport(reportOf(heard), false);
    const found = await scrape(metrics);
    const of = (name: string, queue: string, operation: string) =>
      sampleOf(found, `airflow_xcom_canary_${name}`, { queue, operation });
    expect(of('success', 'default', 'push')).toBe(1);
    expect(of('success', 'denied', 'push')).toBe(0);
    expect(of('success', 'denied', 'pull')).toBeUndefined();
    expect(of('success', 'legacy', 'push')).toBeUndefined();
    expect(of('duration_seconds', 'default', 'pull')).toBe(0.0324);
    expect(of('last_success_timestamp_seconds', 'default', 'push')).toBe(1_700_000_000);
    expect(of('last_success_timestamp_seconds', 'denied', 'push')).toBeUndefined();
    expect(
      sampleOf(found, 'airflow_xcom_canary_info', {
        queue: 'default',
        backend: BACKEND,
        path: 's3://aws_xcom@airflow-xcom/xcom',
        threshold: '1000',
        compression: '',
        airflow: '3.3.2',
        common_io: '1.9.0',
        s3fs: '2026.9.0',
        python: '3.12.1',
      }),
    ).toBe(1);
    expect(sampleOf(found, 'airflow_xcom_canary_reports_refused_total', { reason: 'malformed' })).toBe(2);
    expect(sampleOf(found, 'airflow_xcom_canary_reports_refused_total', { reason: 'foreign' })).toBe(0);
  });

  test.each([
    ['into object storage', {}, 1],
    ['into the database, as its settings say', WITHOUT_BACKEND, 0],
    ['nowhere', DENIED, undefined],
    ['into the database above the threshold', { payload: { form: 'value', bytes: 1066 } }, undefined],
    ['somewhere that the workers did not see', { payload: { form: null, bytes: 1066 } }, undefined],
  ])('says whether a push went into object storage: %s', async (_, changes, stored) => {
    const at = 1_700_000_000_000;
    const found = noteTasks(NO_CANARY, [taskOf(lookOf('default', changes), { at })], { now: at });
    const verdict = judgeCanary(found.memory, { now: at, told });
    const metrics = createMetrics(OPTIONS);
    metrics.publishReport(reportOf({ canary: { verdict, refusals: new Map() } }), false);
    const labels = { queue: 'default' };
    expect(sampleOf(await scrape(metrics), 'airflow_xcom_canary_push_stored', labels)).toBe(stored);
  });

  test('of a queue that is silent leaves when it last succeeded, and no more', async () => {
    const metrics = createMetrics(OPTIONS);
    metrics.publishReport(reportOf(heard), false);
    const silent = { verdict: verdictAt(1_700_001_000_000), refusals: new Map() };
    metrics.publishReport(reportOf({ canary: silent }), false);
    const found = await scrape(metrics);
    for (const name of ['canary_success', 'canary_duration_seconds', 'canary_push_stored', 'canary_info'])
      expect([name, seriesOf(found, name)]).toEqual([name, 0]);
    expect(seriesOf(found, 'canary_last_success_timestamp_seconds')).toBe(2);
  });
});
