import { stringify } from 'yaml';
import type { Alert } from './alert.ts';
import { ALERTS, OBJECTIVES, RECORDINGS } from './rule-groups.ts';
import type { Group } from './rule-groups.ts';
import type { Recording } from './recording-rules.ts';
import { SITE } from './site.ts';

const GENERATED = 'Written by `npm run grafana` from grafana/source; tested by `npm run test:rules`.';

/** One that an alert lacks is empty, which matches its absence. */
const OF_ONE_AIRFLOW = ['job', ...SITE.airflowLabels];

/** Appended to a description where the template may ask Prometheus: the pages of this Airflow's exporters. */
const EVIDENCE = ` Evidence: {{ range query (printf "airflow_xcom_exporter_leader{${OF_ONE_AIRFLOW.map((label) => `${label}=%q`).join(', ')}} == 1" ${OF_ONE_AIRFLOW.map((label) => `$labels.${label}`).join(' ')}) }}http://{{ .Labels.instance }}/ {{ end }}`;

/** The file to be named under `rule_files`: an installation sets its objectives in it. */
export function objectivesFile(): string {
  return `${comment(
    `The objectives of the service levels, over 30 days. Set your own here: everything else follows from these numbers.
An objective below 0.931 can never burn at 14.4 times its budget, so the fastest alert would not come.
The first version is written by \`npm run grafana\` from grafana/source/objectives.ts.`,
  )}${groupsYaml([OBJECTIVES].map(recordingGroup))}`;
}

export function recordingFile(): string {
  return `${comment(`Prometheus recording rules of the service levels. They need objectives.yml. ${GENERATED}`)}${groupsYaml(
    RECORDINGS.map(recordingGroup),
  )}`;
}

export function alertsFile(): string {
  return `${comment(
    `Prometheus alerting rules. ${GENERATED}
runbook_url is a path in this repository: put the address at which your team reads it in front.
Figures are added up over instance, pod and node: a standby, shards and a change of the leader need nothing else.
Where the state of a problem is not known there is no series and no alert; AirflowXComExporterStale,
AirflowXComExporterDown, AirflowXComExporterShardMissing and AirflowXComProblemUnknown say so. A figure that is not
known is NaN, and its alert fires all the same. The alerts of error budgets need recording.yml and objectives.yml.`,
  )}${groupsYaml(ALERTS.map(alertGroup))}`;
}

/** The same for the Prometheus operator: objectives in a resource of their own, so that an overlay replaces them. */
export function prometheusRuleFile(): string {
  const resources = [
    { name: 'airflow-xcom-objectives', groups: [OBJECTIVES].map(recordingGroup) },
    { name: 'airflow-xcom', groups: [...RECORDINGS.map(recordingGroup), ...ALERTS.map(alertGroup)] },
  ].map(({ name, groups }) =>
    [
      'apiVersion: monitoring.coreos.com/v1',
      'kind: PrometheusRule',
      'metadata:',
      `  name: ${name}`,
      '  labels:',
      '    app.kubernetes.io/name: airflow-xcom-exporter',
      'spec:',
      indent(groupsYaml(groups), 2),
    ].join('\n'),
  );
  return `${comment(
    `The same rules for the Prometheus operator: kubectl apply -f prometheusrule.yml. ${GENERATED}
Some installations select rules by a label, often \`release: <name of the chart>\`: add it to the metadata.`,
  )}${resources.join('\n---\n')}\n`;
}

interface YamlRule {
  readonly comment?: string | undefined;
  readonly rule: object;
}

function recordingGroup({ rules, ...group }: Group<Recording>): Group<YamlRule> {
  return { ...group, rules: rules.map(({ comment, ...rule }) => ({ comment, rule })) };
}

function alertGroup({ rules, ...group }: Group<Alert>): Group<YamlRule> {
  return { ...group, rules: rules.map((alert) => ({ comment: alert.comment, rule: alertRule(alert) })) };
}

function alertRule(alert: Alert): object {
  return {
    alert: alert.name,
    expr: alert.expr,
    for: alert.for,
    ...(alert.keepFiringFor === undefined ? {} : { keep_firing_for: alert.keepFiringFor }),
    labels: { severity: alert.severity },
    annotations: {
      summary: alert.summary,
      description: alert.description + (hasPage(alert) ? EVIDENCE : ''),
      runbook_url: alert.runbookUrl,
    },
  };
}

/** A page that a description names need not be looked for. */
function hasPage({ description, hasNoPage }: Alert): boolean {
  return hasNoPage === undefined && !description.includes('http://');
}

function groupsYaml(groups: readonly Group<YamlRule>[]): string {
  const lines = groups.map(({ name, interval, rules }) => {
    const head = [
      `  - name: ${name}`,
      ...(interval === undefined ? [] : [`    interval: ${interval}`]),
      '    rules:',
    ];
    const list = rules.map(
      (one) => `${indent(comment(one.comment ?? ''), 6)}${indent(yamlItem(one.rule), 6)}`,
    );
    return `${head.join('\n')}\n${list.join('\n')}`;
  });
  return `groups:\n${lines.join('\n')}`;
}

function yamlItem(value: object): string {
  return stringify([value], { lineWidth: 0, blockQuote: 'literal' });
}

/** Folded, for a rule's comment may be a paragraph. Empty for no text. */
function comment(text: string): string {
  if (text === '') return '';
  const lines = text.split('\n').flatMap((line) => folded(line, 105));
  return lines.map((line) => `# ${line}\n`).join('');
}

function folded(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last === undefined || last.length + word.length >= width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}

function indent(text: string, by: number): string {
  return text.replaceAll(/^(?=.)/gm, ' '.repeat(by));
}
