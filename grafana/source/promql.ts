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

/** The problems that are there, each with this figure as its value, whatever the figure is. */
export function raisedWith(matchers: string, figure: string): string {
  return `(${raised(matchers)})\n* ignoring (problem, severity) group_left ()\n${figure}`;
}
