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

/**
 * Series of a job of the exporter itself. Its label `job` is renamed by Prometheus to `exported_job`, unless the
 * scrape says `honor_labels`.
 */
export function ofJob(metric: string, job: 'sample' | 'probe'): string {
  return eachOfJob(metric, job).join(' or ');
}

/** How much a counter of a job of the exporter itself has grown. */
export function growthOfJob(metric: string, job: 'state', range: Duration): string {
  return eachOfJob(metric, job)
    .map((series) => `increase(${series}[${range}])`)
    .join(' or ');
}

const eachOfJob = (metric: string, job: 'sample' | 'probe' | 'state') =>
  ['exported_job', 'job'].map((label) => `${metric}{${label}="${job}"}`);
