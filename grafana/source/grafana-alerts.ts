import { stringify } from 'yaml';
import type { Alert } from './alert.ts';
import { ALERTS } from './rule-groups.ts';
import { SITE } from './site.ts';

const HEADER = `# The alerts of alerts.yml, for Grafana to evaluate: mount it under /etc/grafana/provisioning/alerting.
# Written by \`npm run grafana\` from grafana/source. Use these or those of Prometheus, not both.
# They ask the data source \`${SITE.datasourceUid}\` and need no recording rules: objectives are those of grafana/source/objectives.ts.
`;

/** A file of Grafana's alert provisioning (version 1). */
export function grafanaAlertsFile(): string {
  const groups = ALERTS.map(({ name, rules }) => ({
    orgId: 1,
    name,
    folder: SITE.folder,
    // The burn rates read three days of every series at each evaluation.
    interval: rules.some(({ standalone }) => standalone !== undefined) ? '5m' : '1m',
    rules: rules.map(managedRule),
  }));
  return HEADER + stringify({ apiVersion: 1, groups }, { lineWidth: 0, blockQuote: 'literal' });
}

/**
 * A rule of Prometheus fires for each series that its expression gives, whatever the value. Here a condition is a
 * number, so the second query makes 1 of any value and the third asks for it.
 */
function managedRule(alert: Alert): object {
  return {
    uid: uidOf(alert.name),
    title: alert.name,
    condition: 'C',
    data: [
      query('A', SITE.datasourceUid, {
        expr: alert.standalone ?? alert.expr,
        instant: true,
        range: false,
        editorMode: 'code',
      }),
      query('B', '__expr__', {
        type: 'math',
        expression: 'is_number($A) || is_nan($A) || is_inf($A)',
      }),
      query('C', '__expr__', {
        type: 'threshold',
        expression: 'B',
        conditions: [{ evaluator: { type: 'gt', params: [0] } }],
      }),
    ],
    // Nothing to say is good news: what makes the others blind has alerts of its own.
    noDataState: 'OK',
    execErrState: 'Error',
    for: alert.for,
    ...(alert.keepFiringFor === undefined ? {} : { keepFiringFor: alert.keepFiringFor }),
    isPaused: false,
    labels: { severity: alert.severity },
    annotations: {
      summary: alert.summary,
      description: inGrafana(alert.description),
      runbook_url: inGrafana(alert.runbookUrl),
    },
  };
}

function query(refId: string, datasourceUid: string, model: object): object {
  // An instant query looks back as far as its expression says; Grafana wants a range all the same.
  return {
    refId,
    datasourceUid,
    relativeTimeRange: { from: 600, to: 0 },
    model: { refId, ...model },
  };
}

/** What Grafana calls the value of the query; labels have the same name. */
function inGrafana(template: string): string {
  return template.replaceAll('$value', '$values.A.Value');
}

/** At most 40 characters, kept for ever: Grafana knows a rule by it. */
function uidOf(name: string): string {
  return name
    .replace('AirflowXCom', 'airflow-xcom')
    .replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
