import { EXPORTER } from './dashboard-exporter.ts';
import { OVERVIEW } from './dashboard-overview.ts';
import { S3_AND_PROBE } from './dashboard-s3-and-probe.ts';
import { SLO } from './dashboard-slo.ts';
import { STORAGE } from './dashboard-storage.ts';
import { dashboardJson } from './dashboards.ts';
import type { Page } from './dashboards.ts';
import { formattedYaml } from './formatted.ts';
import { grafanaAlertsFile } from './grafana-alerts.ts';
import { alertsFile, objectivesFile, prometheusRuleFile, recordingFile } from './prometheus-rules.ts';

export const PAGES: Readonly<Record<string, Page>> = {
  'overview.json': OVERVIEW,
  'storage.json': STORAGE,
  's3-and-probe.json': S3_AND_PROBE,
  'slo.json': SLO,
  'exporter.json': EXPORTER,
};

/** Everything that `npm run grafana` writes, by its path under grafana/. */
export const FILES: Readonly<Record<string, () => Promise<string>>> = {
  ...Object.fromEntries(
    Object.entries(PAGES).map(([path, page]) => [path, () => Promise.resolve(dashboardJson(page))]),
  ),
  'objectives.yml': () => formattedYaml(objectivesFile()),
  'recording.yml': () => formattedYaml(recordingFile()),
  'alerts.yml': () => formattedYaml(alertsFile()),
  'prometheusrule.yml': () => formattedYaml(prometheusRuleFile()),
  'provisioning/alerting/airflow-xcom.yml': () => formattedYaml(grafanaAlertsFile()),
};
