import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { annotationsOf, dashboards, queriesOf, rulesOf } from '../support/grafana.ts';
import type { Panel } from '../support/grafana.ts';
import { scaledExpression } from './scaled.ts';

export interface Expression {
  /** The place of the expression, e.g. `overview.json: Rows (A)`. */
  readonly where: string;
  /** The expression with its variables replaced and its times scaled. */
  readonly expr: string;
  readonly panel?: Panel;
}

/** Every expression of every panel, annotation, rule and Grafana-managed alert. */
export function everyExpression(options: { factor: number; rangeSeconds: number }): Expression[] {
  const ready = (expr: string) => readyExpression(expr, options);
  const ofDashboards = Object.entries(dashboards()).flatMap(([file, dashboard]) => [
    ...queriesOf(dashboard).map(({ title, refId, expr, panel }) => ({
      where: `${file}: ${title} (${refId})`,
      expr: ready(expr),
      panel,
    })),
    ...annotationsOf(dashboard).map((expr) => ({ where: `${file}: annotation`, expr: ready(expr) })),
  ]);
  const ofRules = ['objectives.yml', 'recording.yml', 'alerts.yml'].flatMap((file) =>
    rulesOf(file).map((rule) => ({
      where:
        'alert' in rule
          ? `${file}: ${rule.alert}`
          : `${file}: ${rule.record}${rule.labels?.['slo'] === undefined ? '' : ` of ${rule.labels['slo']}`}`,
      expr: scaledExpression(rule.expr, options.factor),
    })),
  );
  return [...ofDashboards, ...ofRules, ...managed(options.factor)];
}

function managed(factor: number): Expression[] {
  const file = 'provisioning/alerting/airflow-xcom.yml';
  const text = readFileSync(new URL(`../../grafana/${file}`, import.meta.url), 'utf8');
  const { groups } = parse(text) as {
    groups: { rules: { title: string; data: { model: { expr?: string } }[] }[] }[];
  };
  return groups
    .flatMap(({ rules }) => rules)
    .map(({ title, data }) => ({
      where: `${file}: ${title}`,
      expr: scaledExpression(data[0]?.model.expr ?? '', factor),
    }));
}

/**
 * Scales the times first, then replaces the variables as Grafana does. They stand for all jobs and instances, for
 * four scrapes and one, and for the whole of the chosen time.
 */
export function readyExpression(
  expr: string,
  { factor, rangeSeconds }: { factor: number; rangeSeconds: number },
): string {
  return scaledExpression(expr, factor)
    .replaceAll('$__rate_interval', '5s')
    .replaceAll('$__range', `${Math.ceil(rangeSeconds)}s`)
    .replaceAll(/\$(?:job|instance|operation)\b/g, '.+');
}

/**
 * Expressions that give no data in a healthy act, because they show faults, with a word of the act that they are made
 * for. Every other expression must give data in the first act of the demo.
 */
const MADE_FOR: readonly (readonly [where: RegExp, act: RegExp])[] = [
  [/annotation|: Problems \(A\)|What is wrong now/, /threshold is lost/],
  [
    /Large values in database, by queue|Large values by dag|Bytes of large values|Large values by dag and queue/,
    /threshold is lost/,
  ],
  [/Broken references by dag/, /deletes objects/],
  [/Looked up, and without an answer \(B\)/, /^More references than/],
  [/Lost writes of tasks/, /never written/],
  [/Failures by reason|Failed writes|Failed requests/, /denies writes/],
  [/exporter\.json: Failed runs/, /denies writes/],
  [/the (?:last )?audit/, /^The folder of the state file/],
  [/Objects without a row|Bytes without a row/, /grow in number/],
];

/** The act that an expression is made for: the first, healthy one, unless the expression shows a fault. */
export function madeFor(where: string): RegExp {
  return MADE_FOR.find(([pattern]) => pattern.test(where))?.[1] ?? /^Healthy: large values/;
}
