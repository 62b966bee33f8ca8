/** Target labels in which the replicas or shards of one exporter differ. What is left names one Airflow. */
export const REPLICA = 'instance, pod, node';

/** As Prometheus writes it. */
export type Duration = `${number}${'s' | 'm' | 'h' | 'd'}`;

/** The figure of all replicas together, without these labels of the metric. */
export function total(expr: string, ...labels: readonly string[]): string {
  return `sum without (${[REPLICA, ...labels].join(', ')}) (${expr})`;
}

/** The problems that some replica says are there, each a series of value 1. */
export function raised(matchers: string): string {
  return `max without (${REPLICA}) (airflow_xcom_problem{${matchers}}) == 1`;
}

/** A figure that an alert gives. */
export interface Figure {
  readonly metric: string;
  /** Labels of the metric over which the figure is added up in each replica. */
  readonly over?: readonly string[];
  /** How the replicas are put together; `sum` unless given. */
  readonly combine?: 'sum' | 'min';
}

/** The problems that are there, each with this figure as its value, whatever the figure is. */
export function raisedWith(matchers: string, figure: Figure): string {
  const reporters = `max without (problem, severity) (airflow_xcom_problem{${matchers}} == 1)`;
  return `(${raised(matchers)})\n* ignoring (problem, severity) group_left ()\n${figureOr(reporters, figure)}`;
}

/**
 * The figure of all replicas, and NaN where one of these reporters has no figure. Without the NaN there would be no
 * series, and an alert that is true would end when its figure stops being known.
 */
export function figureOr(reporters: string, { metric, over = [], combine = 'sum' }: Figure): string {
  const ofEach = over.length === 0 ? metric : `sum without (${over.join(', ')}) (${metric})`;
  return `${combine} without (${REPLICA}) (\n  ${ofEach}\n  or\n  ${reporters} * NaN\n)`;
}

/** In a description: the figure, or these words where it is not known. `shown`: how the figure is written. */
export function valueOr(words: string, shown = '$value'): string {
  return `{{ if eq (print $value) "NaN" }}${words}{{ else }}{{ ${shown} }}{{ end }}`;
}

/**
 * How many replicas of each shard have such a series. Its value is the number of the shard, which becomes the label
 * `shard`: a shard must not hide behind the others.
 */
export function countByShard(ordinals: string): string {
  return `count_values without (${REPLICA}) ("shard", ${ordinals})`;
}
