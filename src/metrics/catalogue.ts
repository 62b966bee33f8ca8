import { CANARY_CATALOGUE } from './canary-catalogue.ts';

/**
 * Every metric the exporter has, as data: the registry, the README's table and the contract test read it.
 * Names, types and labels are a contract with dashboards and alerts; `experimental` ones may still change.
 */
export interface MetricDefinition {
  /** In full, with the prefix. */
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  /** Upper bounds, of histograms only. */
  readonly buckets?: readonly number[];
  readonly group: 'rows' | 'window' | 'verdict' | 'canary' | 'probe' | 'exporter';
  readonly stability: 'stable' | 'experimental';
}

type Entry = Omit<MetricDefinition, 'name' | 'stability'> & { readonly stability?: 'experimental' };

const PREFIX = 'airflow_xcom_';

const VALUE_BYTES_BUCKETS = [100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8];
const PROBE_SECONDS_BUCKETS = [0.01, 0.05, 0.1, 0.5, 1, 5, 10];

/** By name without the prefix. The order is the order of a scrape. */
export const CATALOGUE = {
  rows_total: {
    type: 'counter',
    help: 'XCom rows seen, each version of a row once, as of the last cycle. storage: db the value is in the row; s3 a reference to an object; other a reference to something else.',
    labels: ['dag_id', 'storage'],
    group: 'rows',
  },
  database_writes_total: {
    type: 'counter',
    help: 'Rows that Postgres says were inserted or updated in the tables of XComs, as of the last cycle. What goes beyond rows_total was overwritten or deleted before it was seen, or rolled back.',
    labels: ['table'],
    group: 'rows',
    stability: 'experimental',
  },
  bytes_total: {
    type: 'counter',
    help: 'Bytes of the XCom values seen, as of the last cycle: serialised size in db, object size in s3.',
    labels: ['storage'],
    group: 'rows',
  },
  value_bytes: {
    type: 'histogram',
    help: 'Size of one XCom value in bytes, as of the last cycle.',
    labels: ['storage'],
    buckets: VALUE_BYTES_BUCKETS,
    group: 'rows',
    stability: 'experimental',
  },
  oversize_in_db_total: {
    type: 'counter',
    help: 'XCom rows whose value is in the database although it has at least oversize_bytes bytes, as of the last cycle.',
    labels: ['dag_id', 'queue'],
    group: 'rows',
  },
  oversize_in_db_bytes_total: {
    type: 'counter',
    help: 'Bytes of the oversize XCom values that are in the database, as of the last cycle.',
    labels: ['dag_id'],
    group: 'rows',
  },
  references_checked_total: {
    type: 'counter',
    help: 'XCom references looked up in S3, as of the last cycle.',
    labels: [],
    group: 'rows',
  },
  references_broken_total: {
    type: 'counter',
    help: 'XCom references that cannot be read back, as of the last cycle. reason: missing, empty, path_mismatch (the object is there, the configuration cannot reach it), leaked (the path of another row).',
    labels: ['dag_id', 'reason'],
    group: 'rows',
  },
  references_unchecked_total: {
    type: 'counter',
    help: 'XCom references about which S3 gave no answer, as of the last cycle: neither sound nor broken.',
    labels: ['reason'],
    group: 'rows',
  },
  write_failures_total: {
    type: 'counter',
    help: 'Failed writes to object storage. source: probe a test write failed; task a row was written and its object is missing or empty, as of the last cycle.',
    labels: ['source', 'reason'],
    group: 'rows',
  },

  window_seconds: {
    type: 'gauge',
    help: 'Length of the window that the window_* gauges cover, in seconds: a setting.',
    labels: [],
    group: 'window',
  },
  window_rows: {
    type: 'gauge',
    help: 'XCom rows in the window, as of the last cycle.',
    labels: ['storage'],
    group: 'window',
  },
  window_bytes: {
    type: 'gauge',
    help: 'Bytes of the XCom values in the window, as of the last cycle.',
    labels: ['storage'],
    group: 'window',
  },
  window_oversize_in_db_rows: {
    type: 'gauge',
    help: 'Oversize XCom values in the database in the window, as of the last cycle.',
    labels: [],
    group: 'window',
  },
  window_oversize_in_db_bytes: {
    type: 'gauge',
    help: 'Bytes of the oversize XCom values in the database in the window, as of the last cycle.',
    labels: [],
    group: 'window',
  },
  window_broken_references: {
    type: 'gauge',
    help: 'XCom references in the window that cannot be read back, as of the last cycle.',
    labels: ['reason'],
    group: 'window',
  },
  window_orphan_objects: {
    type: 'gauge',
    help: 'Objects under the runs of the window that no XCom row refers to, after a grace period, as of the last cycle.',
    labels: [],
    group: 'window',
    stability: 'experimental',
  },
  window_orphan_bytes: {
    type: 'gauge',
    help: 'Bytes of the objects that no XCom row refers to, as of the last cycle.',
    labels: [],
    group: 'window',
    stability: 'experimental',
  },

  problem: {
    type: 'gauge',
    help: 'Whether the problem is there as of the last cycle: 1 yes, 0 no, absent not known.',
    labels: ['problem', 'severity'],
    group: 'verdict',
  },
  backend_info: {
    type: 'gauge',
    help: 'Which Airflow, schema and object storage are watched, as of the last cycle. Always 1.',
    labels: ['airflow', 'schema', 'bucket', 'prefix', 'connection', 'compression'],
    group: 'verdict',
  },
  threshold_bytes: {
    type: 'gauge',
    help: 'The object storage threshold as Airflow means it, in bytes, as of the last cycle; negative: nothing is offloaded.',
    labels: [],
    group: 'verdict',
  },
  oversize_bytes: {
    type: 'gauge',
    help: 'From how many bytes a value in the database counts as oversize, as of the last cycle.',
    labels: [],
    group: 'verdict',
  },

  ...CANARY_CATALOGUE,

  probe_success: {
    type: 'gauge',
    help: 'Whether the operation succeeded in the last probe: 1 yes, 0 no, absent not tried.',
    labels: ['operation'],
    group: 'probe',
  },
  probe_duration_seconds: {
    type: 'histogram',
    help: 'How long the operations of the probe took, failed ones included, in seconds.',
    labels: ['operation'],
    buckets: PROBE_SECONDS_BUCKETS,
    group: 'probe',
  },
  probe_failures_total: {
    type: 'counter',
    help: 'Operations of the probe that failed.',
    labels: ['operation', 'reason'],
    group: 'probe',
  },
  probe_last_success_timestamp_seconds: {
    type: 'gauge',
    help: 'When the operation last succeeded in a probe, in seconds since the epoch.',
    labels: ['operation'],
    group: 'probe',
  },

  exporter_build_info: {
    type: 'gauge',
    help: 'The version of the exporter. Always 1.',
    labels: ['version'],
    group: 'exporter',
  },
  exporter_up: {
    type: 'gauge',
    help: 'Whether the target answered when it was last asked: 1 yes, 0 no, absent not asked yet.',
    labels: ['target'],
    group: 'exporter',
  },
  exporter_job_runs_total: {
    type: 'counter',
    help: 'Runs of the job that ended, failed ones included.',
    labels: ['job'],
    group: 'exporter',
  },
  exporter_job_failures_total: {
    type: 'counter',
    help: 'Runs of the job that failed.',
    labels: ['job', 'reason'],
    group: 'exporter',
  },
  exporter_job_skips_total: {
    type: 'counter',
    help: 'Ticks at which the job was still running and was not started again.',
    labels: ['job'],
    group: 'exporter',
  },
  exporter_job_duration_seconds: {
    type: 'gauge',
    help: 'How long the last run of the job took, in seconds.',
    labels: ['job'],
    group: 'exporter',
  },
  exporter_job_last_success_timestamp_seconds: {
    type: 'gauge',
    help: 'When the job last succeeded, in seconds since the epoch.',
    labels: ['job'],
    group: 'exporter',
  },
  exporter_sample_lag_seconds: {
    type: 'gauge',
    help: 'Age of the oldest row that was seen and not yet decided, in seconds, as of the last cycle.',
    labels: [],
    group: 'exporter',
  },
  exporter_sample_coverage_ratio: {
    type: 'gauge',
    help: 'Share of what the window holds that was measured and looked up, 0 to 1, as of the last cycle.',
    labels: [],
    group: 'exporter',
  },
  exporter_s3_requests_total: {
    type: 'counter',
    help: 'Requests sent to S3.',
    labels: ['operation'],
    group: 'exporter',
  },
  exporter_s3_request_errors_total: {
    type: 'counter',
    help: 'Requests to S3 that failed.',
    labels: ['operation', 'reason'],
    group: 'exporter',
  },
  exporter_series_overflow_total: {
    type: 'counter',
    help: 'Increments that went to a series labelled _other because labels.max-dags, or the ceiling of queues, is reached.',
    labels: ['metric'],
    group: 'exporter',
  },
  exporter_config_last_reload_successful: {
    type: 'gauge',
    help: 'Whether the last reading of the configuration succeeded: 1 yes, 0 no.',
    labels: [],
    group: 'exporter',
  },
  exporter_config_last_reload_success_timestamp_seconds: {
    type: 'gauge',
    help: 'When the configuration was last read with success, in seconds since the epoch.',
    labels: [],
    group: 'exporter',
  },
  exporter_leader: {
    type: 'gauge',
    help: 'Whether this exporter is the one that samples: 1 yes, 0 it stands by.',
    labels: [],
    group: 'exporter',
  },
  exporter_shard_ordinal: {
    type: 'gauge',
    help: 'Which of the exporters that share the dags this one is, from 0: a setting.',
    labels: [],
    group: 'exporter',
  },
  exporter_shards: {
    type: 'gauge',
    help: 'How many exporters share the dags: a setting. 1: this one has them all.',
    labels: [],
    group: 'exporter',
  },
} as const satisfies Record<string, Entry>;

export type MetricKey = keyof typeof CATALOGUE;

export function fullName(key: MetricKey): string {
  return PREFIX + key;
}

export const METRICS: readonly MetricDefinition[] = Object.entries<Entry>(CATALOGUE).map(([key, entry]) => ({
  stability: 'stable',
  ...entry,
  name: PREFIX + key,
}));
