import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { METRICS } from '../../src/metric-catalogue.ts';
import { PROBLEM_CODES, PROBLEMS } from '../../src/problems.ts';

interface Target {
  readonly refId: string;
  readonly expr: string;
  readonly legendFormat?: string;
}

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string } };
  readonly options?: { readonly content?: string };
  readonly targets?: readonly Target[];
}

interface Variable {
  readonly name: string;
  readonly multi: boolean;
  readonly allValue?: string;
  readonly query: string;
}

interface Dashboard {
  readonly uid: string;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly Variable[] };
  readonly annotations: { readonly list: readonly { readonly expr?: string }[] };
}

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

const dashboard = JSON.parse(read('grafana/overview.json')) as Dashboard;
const panels = dashboard.panels.filter(({ type }) => type !== 'row');
const alerts = (parse(read('grafana/alerts.yml')) as { groups: { rules: Rule[] }[] }).groups.flatMap(
  ({ rules }) => rules,
);

/** What Prometheus and the recording of a scrape add to every series. */
const OF_PROMETHEUS = ['job', 'instance', 'le'];

/** Labels by the names under which a query meets them: `job` is taken, so Prometheus renames ours. */
const LABELS = new Map<string, readonly string[]>([
  ['up', OF_PROMETHEUS],
  ...METRICS.flatMap(({ name, type, labels }): [string, readonly string[]][] => {
    const known = [...OF_PROMETHEUS, ...labels.map((label) => (label === 'job' ? 'exported_job' : label))];
    return type === 'histogram'
      ? ['_bucket', '_sum', '_count'].map((suffix) => [name + suffix, known])
      : [[name, known]];
  }),
]);

/** What of a PromQL expression is not in the catalogue of metrics. Not a parser: promtool is. */
function strangers(expr: string): string[] {
  const found: string[] = [];
  const bare = expr.replaceAll(/"[^"]*"/g, '""');
  const metrics = bare.match(/\bairflow_xcom_\w+|\bup\b/g) ?? [];
  if (metrics.length === 0) found.push('no metric');
  for (const metric of metrics) if (!LABELS.has(metric)) found.push(metric);
  for (const [, metric = '', matchers = ''] of bare.matchAll(/\b(airflow_xcom_\w+|up)\{([^}]*)\}/g))
    for (const matcher of matchers.split(',')) {
      const label = /^\s*(\w+)\s*[=!]/.exec(matcher)?.[1] ?? matcher;
      if (LABELS.get(metric)?.includes(label) !== true) found.push(`${metric}{${label}}`);
    }
  const inQuery = new Set(metrics.flatMap((metric) => LABELS.get(metric) ?? []));
  for (const [, list = ''] of bare.matchAll(/\b(?:by|on|without|group_left)\s*\(([^)]*)\)/g))
    for (const label of list.split(',').map((one) => one.trim()))
      if (label !== '' && !inQuery.has(label)) found.push(`by (${label})`);
  return found;
}

test('the check itself finds what is not there', () => {
  expect(
    strangers('sum by (nobody) (airflow_xcom_window_rows{storage="db", nowhere="x"}) / airflow_xcom_none'),
  ).toEqual(['airflow_xcom_none', 'airflow_xcom_window_rows{nowhere}', 'by (nobody)']);
});

describe('the dashboard', () => {
  test('has ids of its own for every panel and query', () => {
    const ids = dashboard.panels.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { targets = [] } of panels)
      expect(targets.map(({ refId }) => refId)).toEqual(['A', 'B', 'C'].slice(0, targets.length));
  });

  test.each(panels)(
    '$title has a title, a description and a unit',
    ({ type, title, description, fieldConfig }) => {
      expect(title).not.toBe('');
      expect(description).toMatch(/\.$/);
      if (type !== 'text') expect(fieldConfig?.defaults.unit).toMatch(/./);
    },
  );

  const queries = panels.flatMap(({ title, targets = [] }) =>
    targets.map((target) => ({ title, ...target })),
  );
  test.each(queries)(
    '$title ($refId) asks for what there is, of the chosen exporters',
    ({ expr, legendFormat }) => {
      expect(strangers(expr)).toEqual([]);
      for (const [, matchers] of expr.matchAll(/\b(?:airflow_xcom_\w+|up)(\{[^}]*\})?/g))
        expect(matchers).toMatch(/^\{job=~"\$job",instance=~"\$instance"[,}]/);
      for (const [, range] of expr.matchAll(/\[([^\]]+)\]/g))
        expect(['$__rate_interval', '$__range']).toContain(range);
      for (const [, label = ''] of (legendFormat ?? '').matchAll(/\{\{(\w+)\}\}/g))
        expect(expr).toMatch(new RegExp(`\\bby \\([^)]*\\b${label}\\b`));
    },
  );

  test('chooses data source, job and instance', () => {
    const { list } = dashboard.templating;
    expect(list.map(({ name }) => name)).toEqual(['datasource', 'job', 'instance']);
    for (const { multi, allValue, query } of list.slice(1)) {
      expect([multi, allValue]).toEqual([true, '.+']);
      expect(strangers(query)).toEqual([]);
    }
  });

  test('marks problems in time', () => {
    const [problems] = dashboard.annotations.list.flatMap(({ expr }) => (expr === undefined ? [] : [expr]));
    expect(strangers(problems ?? '')).toEqual([]);
  });

  // `npm run docs` writes what differs.
  test('tells the remedy of every problem, in the words of the status page', async () => {
    const rows = PROBLEM_CODES.map((code) => {
      const { severity, title, remedy } = PROBLEMS[code];
      return `| \`${code}\` | ${severity} | ${title} | ${remedy} |\n`;
    });
    const lead = 'More, with the statements to confirm each by hand: `docs/runbook.md`.';
    const content = `${lead}\n\n| problem | severity | meaning | remedy |\n|---|---|---|---|\n${rows.join('')}`;
    const written = dashboard.panels.map((panel) =>
      panel.type === 'text' ? { ...panel, options: { ...panel.options, content } } : panel,
    );
    const text = `${JSON.stringify({ ...dashboard, panels: written }, null, 1)}\n`;
    await expect(text).toMatchFileSnapshot('../../grafana/overview.json');
  });
});

describe.each(alerts)('the alert $alert', ({ alert, expr, for: duration, labels, annotations }) => {
  test('asks for what there is', () => {
    expect(strangers(expr)).toEqual([]);
  });

  test('says who should care, and where to read on', () => {
    expect(alert).toMatch(/^AirflowXCom[A-Z][A-Za-z]{1,29}$/);
    expect(duration).toMatch(/^\d+[mh]$/);
    expect(['critical', 'warning', 'info']).toContain(labels['severity']);
    expect(annotations['summary']).toMatch(/^[A-Z][^{}]*\.$/);
    expect(annotations['description']).toContain('{{');
    expect(annotations['runbook_url']).toMatch(/^docs\/runbook\.md#\S+/);
  });

  test('is tested by promtool', () => {
    const { tests } = parse(read('test/promtool/alerts.test.yml')) as {
      tests: { alert_rule_test: { alertname: string; exp_alerts?: unknown[] }[] }[];
    };
    const cases = tests.flatMap((one) => one.alert_rule_test).filter(({ alertname }) => alertname === alert);
    expect(new Set(cases.map(({ exp_alerts }) => exp_alerts !== undefined)).size).toBe(2);
  });
});

test('every problem but the informational ones raises an alert', () => {
  const raised = PROBLEM_CODES.filter((code) => alerts.some(({ expr }) => selects(expr, code)));
  expect(raised).toEqual(PROBLEM_CODES.filter((code) => PROBLEMS[code].severity !== 'info'));
});

test('every problem that a rule names is one', () => {
  const named = [...read('grafana/alerts.yml').matchAll(/\bproblem(?:=~?|!=|!~)"([^"]+)"/g)].flatMap(
    ([, codes = '']) => codes.split('|'),
  );
  expect(named.filter((code) => !(code in PROBLEMS))).toEqual([]);
});

/** Whether the matchers of `airflow_xcom_problem` in the rule let this problem pass. */
function selects(expr: string, code: (typeof PROBLEM_CODES)[number]): boolean {
  const matchers = /^airflow_xcom_problem\{([^}]*)\}/.exec(expr.trim())?.[1];
  if (matchers === undefined) return false;
  const labels: Record<string, string> = { problem: code, severity: PROBLEMS[code].severity };
  return [...matchers.matchAll(/(\w+)(=~|!~|!=|=)"([^"]*)"/g)].every(
    ([, label = '', operator = '', value = '']) => {
      const matches = new RegExp(`^(?:${value})$`).test(labels[label] ?? '');
      return operator.startsWith('!') ? !matches : matches;
    },
  );
}

function read(path: string): string {
  return readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
}
