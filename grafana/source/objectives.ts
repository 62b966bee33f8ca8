import { REPLICA } from './promql.ts';
import type { Duration } from './promql.ts';

/** The bound of the bucket of airflow_xcom_probe_duration_seconds up to which an operation is fast. Prometheus 3 calls it 1.0. */
export const FAST_ENOUGH = '1(\\\\.0)?';

/** In place of test writes, of which there is one a minute unless told otherwise: the rate per second. */
const ONE_A_MINUTE = '1 / 60';
const FAILED_PUSHES = byWorkers('airflow_xcom_canary_success{operation="push"} == bool 0');
const SLOW_PUSHES = byWorkers('airflow_xcom_canary_duration_seconds{operation="push"} > bool 1');

/**
 * The share of the queues, with the labels of the target alone. A push that leaves its value in the database by the
 * settings of its workers says nothing about object storage.
 */
function byWorkers(pushes: string): string {
  return `avg without (queue, operation) ((${pushes}) unless ignoring (operation) airflow_xcom_canary_push_stored == 0)`;
}

/** The shard that has the DAG of the canary hears it for all shards: then the probe of none of them counts. */
function orByProbe(ofPushes: string, { pushes, probes }: { pushes: string; probes: string }): string {
  return `${ofPushes}
or
(
  ${probes}
  unless ignoring (${REPLICA}) ${pushes}
)`;
}

const events = (pushes: string, window: Duration) =>
  orByProbe(`(0 * ${pushes} + ${ONE_A_MINUTE})`, {
    pushes,
    probes: `sum without (operation) (rate(airflow_xcom_probe_duration_seconds_count{operation="put"}[${window}]))`,
  });

/** One service level: of the events, which share may be errors, over 30 days. */
export interface ServiceLevel {
  readonly slo: 'storage' | 'durability' | 'write_availability' | 'write_latency';
  readonly title: string;
  /** The default. Prometheus reads it from objectives.yml, where an installation sets its own. */
  readonly objective: number;
  /** What the share is made of, and where it is not exact. */
  readonly meaning: string;
  /** Rates per second, each with the labels of the target alone. */
  readonly events: (window: Duration) => string;
  readonly errors: (window: Duration) => string;
}

export const SERVICE_LEVELS: readonly ServiceLevel[] = [
  {
    slo: 'storage',
    title: 'Storage',
    objective: 0.99,
    meaning:
      'Of the values that are large enough for S3, the share that is there. Good are rows with a reference, without those that hold the path of another row; errors are values of at least xcom.oversize in the database, those included that the REST API wrote past the backend. Exact as long as xcom.oversize is the threshold of Airflow, which is the default: then every reference stands for an oversize value, compressed or not. With a higher xcom.oversize the references in between count as good as well, and the share is too high. The values with which the series of a dag and a queue begins are in neither figure, for a rate needs two samples. The sizes of value_bytes are not used: they are those after compression, and in buckets.',
    events: (
      window,
    ) => `sum without (dag_id, storage) (rate(airflow_xcom_rows_total{storage="s3"}[${window}]))
- sum without (dag_id, reason) (rate(airflow_xcom_references_broken_total{reason="leaked"}[${window}]))
+ sum without (dag_id, queue) (rate(airflow_xcom_oversize_in_db_total[${window}]))`,
    errors: (window) => `sum without (dag_id, queue) (rate(airflow_xcom_oversize_in_db_total[${window}]))`,
  },
  {
    slo: 'durability',
    title: 'Durability',
    objective: 0.999,
    meaning:
      'Of the references that were looked up in S3, the share whose object is there, not empty, not in an archive, and where Airflow as configured looks for it. A reference counts once when it is looked up first, and once more as an error if it breaks later; where more break than are new, all count as errors, so that a deletion in a quiet week shows. What S3 gave no answer about counts neither way.',
    events: (window) => `(
  sum without () (rate(airflow_xcom_references_checked_total[${window}]))
  > sum without (dag_id, reason) (rate(airflow_xcom_references_broken_total{reason=~"missing|empty|unreadable|path_mismatch"}[${window}]))
)
or
sum without (dag_id, reason) (rate(airflow_xcom_references_broken_total{reason=~"missing|empty|unreadable|path_mismatch"}[${window}]))`,
    errors: (window) =>
      `sum without (dag_id, reason) (rate(airflow_xcom_references_broken_total{reason=~"missing|empty|unreadable|path_mismatch"}[${window}]))`,
  },
  {
    slo: 'write_availability',
    title: 'Write availability',
    objective: 0.99,
    meaning:
      'Among the queues whose latest push by the canary went into object storage or failed, the share on which it worked: those are the workers’ own writes. Where there is no such queue, of the test writes of the probe, the share that S3 took; it speaks of the exporter’s way to the bucket with its credentials. A minute with the canary weighs as one test write, whatever the number of queues and of shards; a queue that is silent, or whose settings keep the value of the push in the database, counts neither way.',
    events: (window) => events(FAILED_PUSHES, window),
    errors: (window) =>
      orByProbe(`${FAILED_PUSHES} * ${ONE_A_MINUTE}`, {
        pushes: FAILED_PUSHES,
        probes: `sum without (operation, reason) (rate(airflow_xcom_probe_failures_total{operation="put"}[${window}]))`,
      }),
  },
  {
    slo: 'write_latency',
    title: 'Write latency',
    objective: 0.95,
    meaning:
      'Among the queues whose latest push by the canary went into object storage or failed, the share on which it took at most 1 second; where there is no such queue, of the test writes of the probe, the share that did. One that is refused at once is not slow: that it failed is the matter of write availability.',
    events: (window) => events(SLOW_PUSHES, window),
    errors: (window) =>
      orByProbe(`${SLOW_PUSHES} * ${ONE_A_MINUTE}`, {
        pushes: SLOW_PUSHES,
        probes: `clamp_min(
    sum without (operation) (rate(airflow_xcom_probe_duration_seconds_count{operation="put"}[${window}]))
    - sum without (operation, le) (rate(airflow_xcom_probe_duration_seconds_bucket{operation="put", le=~"${FAST_ENOUGH}"}[${window}])),
    0
  )`,
      }),
  },
];

/** A budget that is used up in 30 days burns at rate 1. Both windows have to burn: the long one that it matters, the short one that it goes on. */
export const BURN_RATES: readonly {
  readonly rate: number;
  readonly long: Duration;
  readonly short: Duration;
  /** Of a critical one somebody is woken. */
  readonly severity: 'critical' | 'warning';
}[] = [
  { rate: 14.4, long: '1h', short: '5m', severity: 'critical' },
  { rate: 6, long: '6h', short: '30m', severity: 'critical' },
  { rate: 3, long: '1d', short: '2h', severity: 'warning' },
  { rate: 1, long: '3d', short: '6h', severity: 'warning' },
];

/** At an objective below that no burn rate can reach 14.4: the fastest alert would never come. */
export const LEAST_OBJECTIVE = 1 - 1 / Math.max(...BURN_RATES.map(({ rate }) => rate));
