import { chosen } from './dashboards.ts';
import { countByShard, REPLICA } from './promql.ts';
import { SITE } from './site.ts';

/** The exporters that sample, each with the value 1. */
export const LEADERS = `${chosen('airflow_xcom_exporter_leader')} == 1`;

const SHARDS = chosen('airflow_xcom_exporter_shards');

/**
 * The number of shards of each Airflow. One whose exporters do not answer counts as long as Prometheus has a
 * target for one of them, and for some hours after that.
 */
const SHARDS_OF_EACH = `(
    max without (${REPLICA}) (${SHARDS})
    or max without (${REPLICA}) (last_over_time(${SHARDS}[6h]))
    or group without (${REPLICA}) (${chosen('up', `job=~"${SITE.job}"`)})
  )`;

/** For how many shards of each Airflow an exporter samples. Two for one shard count once. */
const LED_OF_EACH = `count without (shard) (${countByShard(`${chosen('airflow_xcom_exporter_shard_ordinal')} and ${LEADERS}`)})`;

/** True if an exporter samples for each shard of each Airflow. Sums would let one Airflow stand in for another. */
const ALL_ANSWER = `(
  count(${LED_OF_EACH} >= ${SHARDS_OF_EACH})
  == count${SHARDS_OF_EACH}
)`;

/** A figure of all chosen exporters together; no value while one of them does not answer. */
export function ofAll(figure: string): string {
  return `(${figure} and on () ${ALL_ANSWER})`;
}

/** Series of which each exporter that samples has so many, which differ in these labels. */
interface Parts {
  readonly labels: readonly string[];
  readonly ofEach: number;
}

/** A figure of these series; no value while one exporter that samples does not know all of its own. */
export function ofKnown(
  figure: string,
  series: string,
  { labels, ofEach }: Parts = { labels: [], ofEach: 1 },
): string {
  const whole = `count without (${labels.join(', ')}) (${series}) == ${ofEach}`;
  return ofAll(`${figure} and on () count(${whole} and ${LEADERS}) == count(${LEADERS})`);
}

export function sumOfKnown(series: string, parts?: Parts): string {
  return ofKnown(`sum(${series})`, series, parts);
}

/** These series put together by this label; no value where an exporter that samples has none. */
export function ofKnownBy(label: string, combine: 'min' | 'sum', series: string): string {
  const led = `(${series} and ignoring (${label}) ${LEADERS})`;
  return ofAll(
    `${combine} by (${label}) ${led} and on (${label}) count by (${label}) ${led} == on () group_left () count(${LEADERS})`,
  );
}

/** A fact that several exporters of one Airflow may tell: once for each Airflow. */
export function ofEachAirflow(series: string): string {
  return `max without (${REPLICA}) (${series})`;
}

/** This fact of each Airflow; NaN for one of which it is not known. */
export function ofEachOfAll(series: string): string {
  return `(${ofEachAirflow(series)}\nor\n${SHARDS_OF_EACH} * NaN)`;
}

/** 0 if every exporter that samples says Healthy; else no value. */
export const ALL_HEALTHY = (() => {
  const healthy = `${chosen('airflow_xcom_healthy')} == 1`;
  return `0 * ${ofKnown(`count(${healthy})`, healthy)}`;
})();
