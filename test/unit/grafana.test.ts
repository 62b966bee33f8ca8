import { readFileSync, readdirSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { BURN_RATES, LEAST_OBJECTIVE, SERVICE_LEVELS } from '../../grafana/source/objectives.ts';
import { SITE } from '../../grafana/source/site.ts';
import { PROBLEMS, PROBLEM_CODES } from '../../src/diagnosis/problem-catalogue.ts';
import { METRICS } from '../../src/metrics/catalogue.ts';
import { CASES } from '../promtool/cases/file.ts';
import { annotationsOf, dashboards, panelsOf, queriesOf, rulesOf } from '../support/grafana.ts';
import type { AlertRule, Panel } from '../support/grafana.ts';

const DASHBOARDS = dashboards();
const ALERTS = rulesOf('alerts.yml').filter((rule): rule is AlertRule => 'alert' in rule);
const RECORDINGS = [...rulesOf('objectives.yml'), ...rulesOf('recording.yml')].flatMap((rule) =>
  'record' in rule ? [rule] : [],
);

/** Labels that Prometheus and the recording of a scrape add to every series, and those that a platform may add. */
const OF_PROMETHEUS = ['job', 'instance', 'le', 'pod', 'node'];
/** Metrics of the process, of Node and of the scrape, which are not in the catalogue. */
const BESIDES = [
  'up',
  'process_start_time_seconds',
  'process_cpu_seconds_total',
  'process_resident_memory_bytes',
  'nodejs_eventloop_lag_p99_seconds',
  'scrape_samples_scraped',
];

/** Metrics that no panel and no rule needs, with the reason. */
const UNUSED: Readonly<Record<string, string>> = {
  airflow_xcom_setting_known:
    'the page and the log say it with the line to give; a figure that rests on it is absent',
};

/**
 * Labels by which a query can choose. None of the exporter's labels is one of Prometheus' own: Prometheus would
 * rename it.
 */
const LABELS = new Map<string, readonly string[]>([
  ...BESIDES.map((name): [string, readonly string[]] => [name, OF_PROMETHEUS]),
  ...RECORDINGS.map(({ record }): [string, readonly string[]] => [record, [...OF_PROMETHEUS, 'slo']]),
  ...METRICS.flatMap(({ name, type, labels }): [string, readonly string[]][] => {
    const known = [...OF_PROMETHEUS, ...labels];
    return type === 'histogram'
      ? ['_bucket', '_sum', '_count'].map((suffix) => [name + suffix, known])
      : [[name, known]];
  }),
]);

const METRIC = String.raw`\b(?:airflow_xcom[\w:]+|up|(?:process|nodejs|scrape)_\w+)\b`;

function metricsIn(expr: string): string[] {
  const bare = expr.replaceAll(/"[^"]*"/g, '""').replaceAll(/\{[^}]*\}/g, '{}');
  return [...bare.matchAll(new RegExp(METRIC, 'g'))].map(([name]) => name);
}

/** The parts of a PromQL expression that are not in the catalogue of metrics. This is no parser: promtool is one. */
function strangers(expr: string): string[] {
  const found: string[] = [];
  const bare = expr.replaceAll(/"[^"]*"/g, '""');
  const metrics = metricsIn(expr);
  if (metrics.length === 0 && !bare.startsWith('vector(')) found.push('no metric');
  for (const metric of metrics) if (!LABELS.has(metric)) found.push(metric);
  for (const [, metric = '', matchers = ''] of bare.matchAll(new RegExp(`(${METRIC})\\{([^}]*)\\}`, 'g')))
    for (const matcher of matchers.split(',')) {
      const label = /^\s*(\w+)\s*[=!]/.exec(matcher)?.[1] ?? matcher;
      if (LABELS.get(metric)?.includes(label) !== true) found.push(`${metric}{${label}}`);
    }
  // label_replace and count_values make labels that no metric has.
  const made = [...expr.matchAll(/label_replace\([\s\S]*?, "(\w+)", "|count_values [^"]*"(\w+)"/g)].map(
    ([, replaced, counted]) => replaced ?? counted ?? '',
  );
  const inQuery = new Set([...metrics.flatMap((metric) => LABELS.get(metric) ?? []), ...made, 'run']);
  for (const [, list = ''] of bare.matchAll(/\b(?:by|on|ignoring|without|group_left) \(([^)]*)\)/g))
    for (const label of list.split(',').map((one) => one.trim()))
      if (label !== '' && !inQuery.has(label)) found.push(`by (${label})`);
  return found;
}

/** The labels that the result of an expression can have. This is no parser. */
function labelsOf(expr: string): Set<string> {
  const [, kept] = /^(?:topk\(10, )?(?:[a-z_]+\([\d., ]*)?\w+ by \(([^)]*)\)/.exec(expr) ?? [];
  if (kept !== undefined) return new Set(kept.split(', '));
  return new Set([...SITE.airflowLabels, ...metricsIn(expr).flatMap((metric) => LABELS.get(metric) ?? [])]);
}

test('the check itself finds what is not there', () => {
  expect(
    strangers('sum by (nobody) (airflow_xcom_window_rows{storage="db", nowhere="x"}) / airflow_xcom_none'),
  ).toEqual(['airflow_xcom_none', 'airflow_xcom_window_rows{nowhere}', 'by (nobody)']);
});

describe.each(Object.entries(DASHBOARDS))('the dashboard %s', (_, dashboard) => {
  const panels = panelsOf(dashboard);
  const withData = panels.filter(({ type }) => type !== 'text' && type !== 'row');

  test('has ids of its own for every panel and query', () => {
    const ids = panels.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { targets = [] } of panels)
      expect(targets.map(({ refId }) => refId)).toEqual(
        ['A', 'B', 'C', 'D', 'E', 'F'].slice(0, targets.length),
      );
  });

  test.each(withData)('$title has a description, a unit and links', (panel) => {
    expect(panel.title).not.toBe('');
    expect(panel.description).toMatch(/^[^{}]{20,}\.$/);
    expect(panel.fieldConfig?.defaults.unit).toMatch(/./);
    expect(runbookAnchor(panel)).toSatisfy((anchor: string) => ANCHORS.has(anchor));
    expect(panel.links?.[0]?.url).toContain(`viewPanel=${remedyPanel.id}`);
  });

  test.each(queriesOf(dashboard))(
    '$title ($refId) asks for what there is, of the chosen exporters',
    (query) => {
      const { expr, legendFormat, panel } = query;
      expect(strangers(expr)).toEqual([]);
      for (const [, matchers] of expr.matchAll(new RegExp(`${METRIC}(\\{[^}]*\\})?`, 'g')))
        if (!isInString(expr, matchers))
          expect(matchers).toMatch(/^\{job=~"\$job",instance=~"\$instance"[,}]/);
      for (const [, range] of expr.matchAll(/\b(?:rate|increase)\([^[]*\[([^\]]+)\]/g))
        expect(['$__rate_interval', '$__range']).toContain(range);
      for (const [, label = ''] of legendFormat.matchAll(/\{\{(\w+)\}\}/g))
        expect([label, labelsOf(expr).has(label)]).toEqual([label, true]);
      // An instant query has no step: it shows the value now, or over the whole of the chosen time.
      if (panel.type === 'stat' || panel.type === 'table') expect(expr).not.toContain('$__rate_interval');
    },
  );

  test('lies on the grid without a gap or an overlap', () => {
    const taken = new Set<string>();
    for (const { gridPos, title } of dashboard.panels)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
          expect([title, taken.has(`${x} ${y}`), x < 24]).toEqual([title, false, true]);
          taken.add(`${x} ${y}`);
        }
    const bottom = Math.max(...dashboard.panels.map(({ gridPos }) => gridPos.y + gridPos.h));
    expect(taken.size).toBe(24 * bottom);
  });

  test('chooses data source, job and instance, and is not edited in Grafana', () => {
    const { list } = dashboard.templating;
    expect(list.slice(0, 4).map(({ name }) => name)).toEqual(['datasource', 'job', 'instance', 'runbook']);
    for (const { multi, allValue, query } of list.filter(({ type }) => type === 'query')) {
      expect([multi, allValue]).toEqual([true, '.+']);
      expect(strangers(query)).toEqual([]);
    }
    expect(dashboard.editable).toBe(false);
  });

  test('marks problems in time', () => {
    const [problems] = annotationsOf(dashboard);
    expect(strangers(problems ?? '')).toEqual([]);
  });
});

test('the overview is one screen', () => {
  const open = DASHBOARDS['overview.json']?.panels.filter(({ type }) => type !== 'row') ?? [];
  // A row of the grid is 38 pixels, and a screen of 1080 has room for 23 under the controls.
  expect(Math.max(...open.map(({ gridPos }) => gridPos.y + gridPos.h))).toBeLessThanOrEqual(23);
});

/** Every query that somebody reads, with its place. */
const QUERIES = [
  ...Object.entries(DASHBOARDS).flatMap(([file, dashboard]) => [
    ...queriesOf(dashboard).map(({ title, expr }) => [`${file}: ${title}`, expr] as const),
    ...annotationsOf(dashboard).map((expr) => [`${file}: annotation`, expr] as const),
  ]),
  ...readdirSync(new URL('../../docs/', import.meta.url))
    .filter((name) => name.endsWith('.md'))
    .flatMap((name) =>
      [...read(`docs/${name}`).matchAll(/^```promql\n([\s\S]*?)^```/gm)].map(
        ([, expr = '']) => [`docs/${name}`, expr] as const,
      ),
    ),
];

test('no query takes two Airflows for one because their exporters have the same instance', () => {
  expect(QUERIES.some(([place]) => place.startsWith('docs/'))).toBe(true);
  // Every label of a target but those of a replica tells one Airflow from another: match all, or aggregate `without`.
  const mixes = ([, expr]: (typeof QUERIES)[number]) =>
    /\b(?:on|by) \([^)]*\b(?:job|instance|pod|node)\b/.test(expr);
  expect(QUERIES.filter(mixes).map(([place]) => place)).toEqual([]);
});

test('no label of a target is one of a metric, which Prometheus would rename', () => {
  const { scrape_configs } = parse(read('grafana/prometheus.yml')) as {
    scrape_configs: { relabel_configs: { target_label: string }[] }[];
  };
  const relabelled = scrape_configs.flatMap((one) => one.relabel_configs.map((rule) => rule.target_label));
  const ofTargets = new Set([...relabelled, ...SITE.airflowLabels]);
  expect(relabelled).toContain('site');
  const ofMetrics = new Set([...METRICS.flatMap(({ labels }) => labels), 'le', 'shard', 'slo']);
  expect([...ofTargets].filter((label) => ofMetrics.has(label))).toEqual([]);
});

test('Alertmanager tells Airflows apart by the labels by which an alert finds its evidence', () => {
  const { route, inhibit_rules } = parse(read('grafana/alertmanager.yml')) as {
    route: { group_by: string[] };
    inhibit_rules: { equal: string[] }[];
  };
  const lists = [route.group_by, ...inhibit_rules.map(({ equal }) => equal)];
  expect(lists.length).toBeGreaterThan(2);
  for (const list of lists) expect(list).toEqual(expect.arrayContaining(['job', ...SITE.airflowLabels]));
});

/** Panels whose words say that only what is known is drawn: faults that an exporter tells are told at once. */
const isKnownAlone = ({ panel, expr }: (typeof PANEL_QUERIES)[number]) =>
  /\bknown\b/.test(panel.fieldConfig?.defaults.noValue ?? '') || / > 0\)?$/.test(expr);
const PANEL_QUERIES = Object.values(DASHBOARDS).flatMap(queriesOf);

test('no chart draws the sum of some exporters as that of all', () => {
  const sums = PANEL_QUERIES.filter(
    // Recordings weigh each moment by its traffic, and one without the exporter not at all.
    ({ expr, panel }) =>
      ['timeseries', 'heatmap'].includes(panel.type) &&
      /\bsum(?: by \([^)]*\) )?\(/.test(expr) &&
      !expr.includes('airflow_xcom:'),
  );
  expect(sums.length).toBeGreaterThan(15);
  const partial = sums.filter(
    (one) => !isKnownAlone(one) && !one.expr.includes('airflow_xcom_exporter_shards{'),
  );
  expect(partial.map(({ title }) => title)).toEqual([]);
});

test('a rate looks back over two scrapes of two minutes', () => {
  const rates = PANEL_QUERIES.filter(({ expr }) => expr.includes('$__rate_interval'));
  expect(rates.length).toBeGreaterThan(20);
  // Grafana takes four times the least step, or of the interval of the data source where there is none.
  expect(rates.filter(({ interval }) => interval !== '1m').map(({ title }) => title)).toEqual([]);
});

test('no age has the colour of bad: the schedules are settings', () => {
  const ages = PANEL_QUERIES.filter(
    ({ panel, expr }) => panel.type === 'stat' && /^\(*time\(\) - /.test(expr),
  );
  expect(ages.length).toBeGreaterThan(3);
  const judged = ages.filter(({ panel }) => (panel.fieldConfig?.defaults.thresholds?.steps ?? []).length > 1);
  expect(judged.map(({ title }) => title)).toEqual([]);
});

test('no panel says that there is nothing where nothing is known', () => {
  const said = Object.values(DASHBOARDS).flatMap((one) =>
    panelsOf(one).flatMap(({ fieldConfig }) => fieldConfig?.defaults.noValue ?? []),
  );
  expect(said.filter((words) => !/^Unknown$|\bknown\b/.test(words))).toEqual([]);
});

test('a figure that is not there has the colour of no step', () => {
  // Without such a mapping Grafana (@grafana/data 12.1.0) paints it in the colour of the lowest step.
  const ofOneFigure = Object.values(DASHBOARDS)
    .flatMap(panelsOf)
    .filter(({ type }) => ['stat', 'gauge', 'bargauge'].includes(type));
  expect(ofOneFigure.length).toBeGreaterThan(20);
  const isPainted = ({ fieldConfig }: Panel) => {
    const { noValue = '', mappings = [] } = fieldConfig?.defaults ?? {};
    const ofNone = mappings.find(({ type, options }) => type === 'special' && options.match === 'null+nan');
    return noValue === '' || !isDeepStrictEqual(ofNone?.options['result'], { text: noValue, color: 'text' });
  };
  expect(ofOneFigure.filter(isPainted).map(({ title }) => title)).toEqual([]);
});

test('the overview tells the remedy of every problem, in the words of the status page', () => {
  const content = remedyPanel.options?.content ?? '';
  for (const code of PROBLEM_CODES) {
    const { severity, title, remedy } = PROBLEMS[code];
    expect(content).toContain(`| \`${code}\` | ${severity} | ${title} | ${remedy} |`);
  }
});

describe.each(ALERTS)('the alert $alert', ({ alert, expr, for: duration, labels, annotations }) => {
  test('asks for what there is', () => {
    expect(strangers(expr)).toEqual([]);
  });

  test('says who should care, and where to read on', () => {
    expect(alert).toMatch(/^AirflowXCom[A-Z][A-Za-z]{1,28}$/);
    expect(duration).toMatch(/^\d+[mh]$/);
    expect(['critical', 'warning', 'info']).toContain(labels['severity']);
    expect(annotations['summary']).toMatch(/^[A-Z][^{}]*\.$/);
    expect(annotations['description']).toMatch(/\{\{.*\$value|\$labels\.problem/);
    const [path = '', anchor = ''] = (annotations['runbook_url'] ?? '').split('#');
    for (const code of anchor.includes('{{') ? problemsOf(expr) : [anchor])
      expect([path, headingsOf(path).has(code)]).toEqual([path, true]);
  });

  test('is the same for the operator and for Grafana', () => {
    const ofOperator = parseAllDocuments(read('grafana/prometheusrule.yml')).flatMap((document) =>
      (
        document.toJS() as { spec: { groups: { rules: { alert?: string; expr: string; for?: string }[] }[] } }
      ).spec.groups.flatMap(({ rules }) => rules),
    );
    expect(ofOperator.filter((rule) => rule.alert === alert)).toMatchObject([{ expr, for: duration }]);

    const { groups } = parse(read('grafana/provisioning/alerting/airflow-xcom.yml')) as {
      groups: { rules: ManagedRule[] }[];
    };
    const [managed, ...others] = groups.flatMap(({ rules }) => rules).filter(({ title }) => title === alert);
    expect(others).toEqual([]);
    expect(managed).toMatchObject({ for: duration, labels, condition: 'C', noDataState: 'OK' });
    expect(managed?.uid).toMatch(/^[a-z-]{1,40}$/);
    expect(managed?.annotations['summary']).toBe(annotations['summary']);
    expect(managed?.data.map(({ refId }) => refId)).toEqual(['A', 'B', 'C']);
    const asked = managed?.data[0]?.model.expr ?? '';
    // Grafana has no recording rules that it could ask.
    if (expr.includes('airflow_xcom:')) expect(asked).not.toContain('airflow_xcom:');
    else expect(asked).toBe(expr);
    expect(strangers(asked)).toEqual([]);
    // In Grafana the value of a rule is a field of the rule.
    expect(managed?.annotations['description']).not.toMatch(/\$value\b|range query/);
  });
});

describe('the cases of promtool', () => {
  const kinds = (alert: string) =>
    new Set(CASES.filter((one) => one.alert === alert).map(({ kind }) => kind));

  test.each(ALERTS)(
    'cover $alert: it fires, it does not, there is no data, the exporter restarts',
    ({ alert, expr }) => {
      const counters = /_total|_bucket|_count/.test(expr) || expr.includes('airflow_xcom:');
      expect([...kinds(alert)]).toEqual(
        expect.arrayContaining([
          ...['fires', 'does not fire', 'no data', 'restart'],
          ...(counters ? ['counter reset'] : []),
          ...(/ without \(instance/.test(expr) || expr.includes('airflow_xcom:') ? ['replicas'] : []),
        ]),
      );
    },
  );

  test('know no other alert', () => {
    const names = ALERTS.map(({ alert }) => alert);
    expect(CASES.map(({ alert }) => alert).filter((alert) => !names.includes(alert))).toEqual([]);
  });

  test('expect an alert where they say that it fires, and only there', () => {
    for (const { kind, story, at } of CASES) {
      const expected = Object.values(at).some((alerts) => alerts.length > 0);
      if (kind === 'fires') expect([story, expected]).toEqual([story, true]);
      if (kind === 'does not fire') expect([story, expected]).toEqual([story, false]);
    }
  });
});

interface ManagedRule {
  readonly title: string;
  readonly uid: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly data: readonly { readonly refId: string; readonly model: { readonly expr?: string } }[];
}

test.each(RECORDINGS)('the recording $record asks for what there is', ({ expr }) => {
  expect(strangers(expr)).toEqual([]);
});

describe('service levels', () => {
  test('have objectives that the fastest burn rate can miss', () => {
    for (const { objective } of SERVICE_LEVELS) {
      expect(objective).toBeGreaterThan(LEAST_OBJECTIVE);
      expect(objective).toBeLessThan(1);
    }
  });

  test('have their objective in one place', () => {
    const files = readdirSync(new URL('../../grafana/', import.meta.url)).filter((path) =>
      path.endsWith('.yml'),
    );
    const vectors = files.flatMap((path) =>
      [...read(`grafana/${path}`).matchAll(/vector\((.*)\)/g)].map(([, value]) => [path, Number(value)]),
    );
    const objectives = SERVICE_LEVELS.map(({ objective }) => objective);
    expect(vectors).toEqual(
      ['objectives.yml', 'prometheusrule.yml'].flatMap((path) => objectives.map((value) => [path, value])),
    );
  });

  test('burn over two windows, the short one a twelfth of the long', () => {
    const hours = (window: string) =>
      Number.parseInt(window, 10) * ({ m: 1 / 60, h: 1, d: 24 }[window.slice(-1)] ?? 0);
    for (const { long, short } of BURN_RATES) expect(hours(long) / hours(short)).toBe(12);
  });

  test('measure latency at a bound that the histogram has', () => {
    const bounds = METRICS.find(({ name }) => name === 'airflow_xcom_probe_duration_seconds')?.buckets;
    const [, bound = ''] = /le=~"(\d+)\(/.exec(read('grafana/recording.yml')) ?? [];
    expect(bounds).toContain(Number(bound));
    const [, slow = ''] =
      /ProbeSlow\n\s+expr: \|-\n\s+histogram_quantile.* > (\d+)/.exec(read('grafana/alerts.yml')) ?? [];
    expect(bounds).toContain(Number(slow));
  });
});

test('every problem but the informational ones raises one alert', () => {
  const raised = PROBLEM_CODES.map((code) => [
    code,
    ALERTS.filter(({ expr }) => problemsOf(expr).includes(code)).length,
  ]);
  expect(raised).toEqual(PROBLEM_CODES.map((code) => [code, PROBLEMS[code].severity === 'info' ? 0 : 1]));
});

test('every problem that a rule names is one', () => {
  const named = ALERTS.flatMap(({ expr }) => problemsOf(expr));
  expect(named.filter((code) => !(code in PROBLEMS))).toEqual([]);
});

test('no metric of the catalogue is unused', () => {
  const used = new Set(
    [
      ...Object.values(DASHBOARDS).flatMap((one) => queriesOf(one).map(({ expr }) => expr)),
      ...ALERTS.map(({ expr }) => expr),
      ...RECORDINGS.map(({ expr }) => expr),
    ]
      .flatMap(metricsIn)
      .map((name) => name.replace(/_(?:bucket|count|sum)$/, '')),
  );
  const unused = METRICS.map(({ name }) => name).filter((name) => !used.has(name));
  expect(unused).toEqual(Object.keys(UNUSED));
});

const remedyPanel: Panel = panelsOf(DASHBOARDS['overview.json'] ?? { panels: [] }).find(
  ({ type }) => type === 'text',
) ?? { id: 0, type: '', title: '', gridPos: { x: 0, y: 0, w: 0, h: 0 } };

const ANCHORS = headingsOf('docs/runbook.md');

function runbookAnchor({ links = [] }: Panel): string {
  return (
    links
      .map(({ url = '' }) => /^\$\{runbook\}#(.+)$/.exec(url)?.[1])
      .find((anchor) => anchor !== undefined) ?? ''
  );
}

function problemsOf(expr: string): string[] {
  return [...expr.matchAll(/\bproblem=~?"([^"]+)"/g)].flatMap(([, codes = '']) => codes.split('|'));
}

/** Whether the text that looks like a metric is the value of a label. */
function isInString(expr: string, matchers: string | undefined): boolean {
  return matchers === undefined && /"[^"]*airflow_xcom/.test(expr);
}

function headingsOf(path: string): Set<string> {
  return new Set(
    [...read(path).matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
      title
        .toLowerCase()
        .replaceAll(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    ),
  );
}

function read(path: string): string {
  return readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
}
