import type { Severity } from '../../src/diagnosis/problem-catalogue.ts';
import type { Duration } from './promql.ts';

/** One alert, before it is written for Prometheus, for the operator of Kubernetes or for Grafana. */
export interface Alert {
  readonly name: string;
  /** Its value is the figure of the description; a series that comes back is an alert, whatever its value. */
  readonly expr: string;
  /** In place of `expr` where the recording rules are not there. */
  readonly standalone?: string;
  readonly for: Duration;
  /** So long it stays after the expression gave nothing: a restart of the exporter neither ends nor repeats it. */
  readonly keepFiringFor?: Duration;
  readonly severity: Severity;
  readonly summary: string;
  /** A template of Prometheus; `$value` and `$labels` mean the same in Grafana. */
  readonly description: string;
  /** No page has evidence while nobody leads or answers. */
  readonly hasNoPage?: true;
  /** A link, without the address of the repository. May be a template. */
  readonly runbookUrl: string;
  /** Why it is as it is, for who reads the rules. */
  readonly comment?: string;
}
