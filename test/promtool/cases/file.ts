import { stringify } from 'yaml';
import { PAGES } from '../../../grafana/source/files.ts';
import { ALERTS, OBJECTIVES, RECORDINGS } from '../../../grafana/source/rule-groups.ts';
import type { Case, ExpectedAlert, Words } from './case.ts';
import { EXPORTER_CASES, EXPORTER_WORDS } from './exporter.ts';
import { PANEL_CASES } from './panels.ts';
import type { PanelCase } from './panels.ts';
import { EVIDENCE_CASES, PROBLEM_CASES, RESET_CASES, WORDS } from './problems.ts';
import { SERVICE_LEVEL_CASES, SERVICE_LEVEL_WORDS } from './service-levels.ts';
import { STORAGE_CASES, STORAGE_WORDS } from './storage.ts';

export const CASES: readonly Case[] = [
  ...PROBLEM_CASES,
  ...RESET_CASES,
  ...EVIDENCE_CASES,
  ...STORAGE_CASES,
  ...EXPORTER_CASES,
  ...SERVICE_LEVEL_CASES,
];

const ALL_WORDS: Readonly<Record<string, Words>> = {
  ...WORDS,
  ...STORAGE_WORDS,
  ...EXPORTER_WORDS,
  ...SERVICE_LEVEL_WORDS,
};

const HEADER = `# promtool test rules test/promtool/*.test.yml
# Written by \`npm run grafana\` from test/promtool/cases: what is expected there is written by hand.
`;

/** The files of `promtool test rules`, by name. */
export const PROMTOOL_FILES: Readonly<Record<string, () => string>> = {
  'alerts.test.yml': () => fileOf('1m', (one) => one.days !== true),
  // Three days would take minutes if evaluated every minute.
  'days.test.yml': () => fileOf('10m', (one) => one.days === true),
  'panels.test.yml': () =>
    HEADER +
    stringify({ tests: PANEL_CASES.map(panelTestOf) }, { lineWidth: 0, aliasDuplicateObjects: false }),
};

function panelTestOf({ story, series, shown }: PanelCase): object {
  return {
    name: story,
    interval: '1m',
    input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
    promql_expr_test: Object.entries(shown).flatMap(([title, value]) => {
      const expr = expressionOf(title);
      const samples = Object.entries(typeof value === 'number' ? { '{}': value } : (value ?? {}));
      const known = samples.filter(([, one]) => !Number.isNaN(one));
      if (known.length === samples.length) return [panelExpectation(expr, samples)];
      // To promtool no NaN is the NaN that it expects.
      const unknown = samples.filter(([, one]) => Number.isNaN(one)).map(([labels]) => [labels, 1] as const);
      return [
        panelExpectation(`(${expr})\n==\n(${expr})`, known),
        panelExpectation(`((${expr})\n!= bool\n(${expr})) == 1`, unknown),
      ];
    }),
  };
}

function panelExpectation(expr: string, samples: readonly (readonly [labels: string, value: number])[]) {
  return {
    expr,
    eval_time: '60m',
    exp_samples: samples.map(([labels, value]) => ({ labels, value })),
  };
}

/** The query of this title, and of this legend if its panel has several: for all jobs and instances. */
function expressionOf(title: string): string {
  const [query, ...others] = Object.values(PAGES)
    .flatMap(({ rows }) => rows)
    .flatMap(({ panels }) => panels)
    .flatMap(([, panel]) =>
      (panel.targets ?? []).map((target) => ({ title: panel.title, legendFormat: '', expr: '', ...target })),
    )
    .filter((one) => [one.title, `${one.title}: ${one.legendFormat}`].includes(title));
  if (query === undefined || others.length > 0) throw new Error(`The dashboards have no one query ${title}`);
  return query.expr
    .replaceAll(/\$(?:job|instance)\b/g, '.+')
    .replaceAll('$__rate_interval', '5m')
    .replaceAll('$__range', '1h');
}

function fileOf(evaluationInterval: string, chosen: (one: Case) => boolean): string {
  return (
    HEADER +
    stringify(
      {
        rule_files: ['objectives', 'recording', 'alerts'].map((name) => `../../grafana/${name}.yml`),
        evaluation_interval: evaluationInterval,
        // Without this list promtool takes the groups in any order, and a rule may miss the recording of the rule
        // before it.
        group_eval_order: [OBJECTIVES, ...RECORDINGS, ...ALERTS].map(({ name }) => name),
        tests: CASES.filter(chosen).map(testOf),
      },
      { lineWidth: 0, aliasDuplicateObjects: false },
    )
  );
}

function testOf({ alert, kind, story, series, at, samples = [] }: Case): object {
  return {
    name: `${alert}, ${kind}: ${story}`,
    interval: '1m',
    input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
    alert_rule_test: Object.entries(at).map(([eval_time, expected]) => ({
      eval_time,
      alertname: alert,
      ...(expected.length === 0 ? {} : { exp_alerts: expected.map((one) => expectedAlert(alert, one)) }),
    })),
    ...(samples.length === 0
      ? {}
      : {
          promql_expr_test: samples.map(({ expr, at: eval_time, values }) => ({
            expr,
            eval_time,
            exp_samples: Object.entries(values).map(([labels, value]) => ({ labels, value })),
          })),
        }),
  };
}

function expectedAlert(alert: string, { labels, description }: ExpectedAlert): object {
  const words = ALL_WORDS[alert];
  if (words === undefined) throw new Error(`The alert ${alert} has no words in test/promtool/cases`);
  return {
    exp_labels: labels,
    exp_annotations: {
      summary: words.summary,
      description,
      // If one alert is about several problems, the link follows the problem.
      runbook_url: words.runbook === '' ? `docs/runbook.md#${labels['problem'] ?? ''}` : words.runbook,
    },
  };
}
