/**
 * Cases for `promtool test rules`, as data. The expected results are written by hand and know nothing of the rules.
 */

/** The kind of a case. Each alert has a case of every kind that can happen to it. */
export type Kind = 'fires' | 'does not fire' | 'no data' | 'restart' | 'counter reset' | 'replicas';

export interface ExpectedAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly description: string;
}

export interface Case {
  readonly alert: string;
  readonly kind: Kind;
  /** The events of the case, in words. */
  readonly story: string;
  /** Series in Prometheus' notation -> values in promtool's. */
  readonly series: Readonly<Record<string, string>>;
  /** Moment -> the alerts that fire then. */
  readonly at: Readonly<Record<string, readonly ExpectedAlert[]>>;
  /** True when the case lasts days: its rules are evaluated every ten minutes, not every minute. */
  readonly days?: true;
  /** An expression and its samples at a moment. */
  readonly samples?: readonly {
    readonly expr: string;
    readonly at: string;
    readonly values: Readonly<Record<string, number>>;
  }[];
}

/** The summary and the link, which are the same in every case. */
export interface Words {
  readonly summary: string;
  readonly runbook: string;
}

const JOB = 'job="airflow-xcom-exporter"';

/** A series of one exporter, `exporter:10048` unless named. */
export function of(metric: string, labels = '', instance = 'exporter:10048'): string {
  return `${metric}{${[JOB, `instance="${instance}"`, ...(labels === '' ? [] : [labels])].join(', ')}}`;
}

/** The exporter leads, and has all dags: the evidence in a description asks for the leader. */
export const LEADER = {
  [of('airflow_xcom_exporter_leader')]: '1x6000',
  [of('airflow_xcom_exporter_shard_ordinal')]: '0x6000',
};
export const EVIDENCE = ' Evidence: http://exporter:10048/ ';

export const TARGET = { job: 'airflow-xcom-exporter' };
