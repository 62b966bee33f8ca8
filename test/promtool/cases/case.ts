/** Cases for `promtool test rules`, as data. What is expected is written by hand and knows nothing of the rules. */

/** What a case is there to show. Each alert has every kind that can happen to it. */
export type Kind = 'fires' | 'does not fire' | 'no data' | 'restart' | 'counter reset' | 'replicas';

export interface ExpectedAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly description: string;
}

export interface Case {
  readonly alert: string;
  readonly kind: Kind;
  /** What happens, in words. */
  readonly story: string;
  /** Series in Prometheus' notation -> values in promtool's. */
  readonly series: Readonly<Record<string, string>>;
  /** When -> the alerts that fire then. */
  readonly at: Readonly<Record<string, readonly ExpectedAlert[]>>;
  /** It lasts days: rules are evaluated every ten minutes rather than every minute. */
  readonly days?: true;
  /** Expression -> its samples, at a moment. */
  readonly samples?: readonly {
    readonly expr: string;
    readonly at: string;
    readonly values: Readonly<Record<string, number>>;
  }[];
}

/** Summary and link do not depend on what happens. */
export interface Words {
  readonly summary: string;
  readonly runbook: string;
}

const JOB = 'job="airflow-xcom-exporter"';

/** A series of one exporter, `exporter:10048` unless named. */
export function of(metric: string, labels = '', instance = 'exporter:10048'): string {
  return `${metric}{${[JOB, `instance="${instance}"`, ...(labels === '' ? [] : [labels])].join(', ')}}`;
}

/** That it leads, which the evidence in a description asks for. */
export const LEADER = { [of('airflow_xcom_exporter_leader')]: '1x6000' };
export const EVIDENCE = ' Evidence: http://exporter:10048/ ';

export const TARGET = { job: 'airflow-xcom-exporter' };
