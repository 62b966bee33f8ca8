/** What an installation may want to have otherwise. Change it, run `npm run grafana`, and every file follows. */
export const SITE = {
  /** Matches the name under which Prometheus scrapes the exporter, also with a release or a namespace around it. */
  job: '.*airflow-xcom-exporter.*',
  /**
   * Labels of a target that tell one Airflow from another besides its job, as in alertmanager.yml. None may be a label
   * of a metric: Prometheus would call that one `exported_…`, and no query would find it.
   */
  airflowLabels: ['site', 'namespace', 'cluster', 'service'],
  /** Put the address in front at which your team reads this repository. */
  documentation: 'docs/runbook.md',
  serviceLevels: 'grafana/README.md#when-a-budget-burns',
  /** The data source of Grafana-managed alerts, as provisioning/datasources/prometheus.yml names it. */
  datasourceUid: 'prometheus',
  folder: 'Airflow XCom',
} as const;

/** Where a problem, or a heading of the runbook, is explained. */
export function runbook(anchor: string): string {
  return `${SITE.documentation}#${anchor}`;
}
