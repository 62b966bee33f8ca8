import type { Definition } from './definition.ts';
import { eachReading } from './definition.ts';

const PROBE_SECONDS_BUCKETS = [0.01, 0.05, 0.1, 0.5, 1, 5, 10];

/** Metrics of the verdict, the probe and the exporter itself: few series, which change at any time. */
export const LIVE_METRICS = {
  healthy: {
    type: 'gauge',
    help: '1 if the verdict of the exporter is Healthy, 0 if there are problems, absent if it is unknown or the exporter stands by. Each shard has its own.',
    labels: [],
    group: 'exporter',
  },

  probe_success: {
    type: 'gauge',
    help: '1 if the operation succeeded in the last probe, 0 if it failed, absent if it was not tried or could not be sent, e.g. for lack of credentials.',
    labels: ['operation'],
    group: 'probe',
  },
  probe_duration_seconds: {
    type: 'histogram',
    help: 'How long the operations of the probe took, failed ones included, in seconds, from when they were sent.',
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
    help: '1 if the target served the exporter when it was last asked, 0 if it refused, failed or did not answer. Absent if it was not asked, e.g. for lack of credentials.',
    labels: ['target'],
    group: 'exporter',
  },
  exporter_job_runs_total: {
    type: 'counter',
    help: 'Runs of the job that ended, failed ones included.',
    labels: ['name'],
    group: 'exporter',
  },
  exporter_job_failures_total: {
    type: 'counter',
    help: 'Runs of the job that failed.',
    labels: ['name', 'reason'],
    group: 'exporter',
  },
  exporter_job_skips_total: {
    type: 'counter',
    help: 'Ticks at which the job was still running and was not started again.',
    labels: ['name'],
    group: 'exporter',
  },
  exporter_job_duration_seconds: {
    type: 'gauge',
    help: 'How long the last run of the job took, in seconds.',
    labels: ['name'],
    group: 'exporter',
  },
  exporter_job_last_success_timestamp_seconds: {
    type: 'gauge',
    help: 'When the job last succeeded, in seconds since the epoch.',
    labels: ['name'],
    group: 'exporter',
  },
  exporter_sample_lag_seconds: {
    type: 'gauge',
    help: 'Age of the oldest row that was seen and not yet decided, in seconds, as of the last cycle. No less than a standby is behind, and absent where that is not known.',
    labels: [],
    group: 'exporter',
    read: eachReading(({ lagSeconds }) => lagSeconds),
  },
  exporter_sample_stale_after_seconds: {
    type: 'gauge',
    help: 'How long after a good cycle the gauges about XComs go away, in seconds: until the third tick of sample.schedule, and as long as that cycle took.',
    labels: [],
    group: 'exporter',
  },
  exporter_sample_coverage_ratio: {
    type: 'gauge',
    help: 'Share of what the window holds that was measured and looked up, 0 to 1, as of the last cycle.',
    labels: [],
    group: 'exporter',
    read: eachReading(({ coverage }) => coverage),
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
    help: '1 if the last reading of the configuration succeeded, 0 if not.',
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
    help: '1 if this exporter is the one that samples, 0 if it stands by.',
    labels: [],
    group: 'exporter',
  },
  exporter_shard_ordinal: {
    type: 'gauge',
    help: 'The number of this exporter among those that share the dags, from 0: a setting.',
    labels: [],
    group: 'exporter',
  },
  exporter_shards: {
    type: 'gauge',
    help: 'How many exporters share the dags: a setting. 1: this one has them all.',
    labels: [],
    group: 'exporter',
  },
} as const satisfies Record<string, Definition>;
