import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard';
import { DATASOURCE } from './panels.ts';
import type { Panel } from './panels.ts';
import { SITE } from './site.ts';

/** Of all five: each links to the others by it. */
const TAG = 'airflow-xcom';

/** In every query: the exporters that are chosen. */
const CHOSEN = 'job=~"$job",instance=~"$instance"';

/** Of a metric, those of the chosen exporters; more matchers after it. */
export function chosen(metric: string, matchers = ''): string {
  return `${metric}{${CHOSEN}${matchers === '' ? '' : `,${matchers}`}}`;
}

/** Panels side by side, all of one height, in columns of 24. */
export interface Row {
  /** A heading above; none for the first rows of a page. */
  readonly title?: string;
  /** Under a heading that is closed at first. */
  readonly collapsed?: boolean;
  readonly height: number;
  readonly panels: readonly (readonly [width: number, panel: Panel])[];
}

export interface Page {
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly rows: readonly Row[];
  /** Variables besides those that every dashboard has. */
  readonly variables?: readonly dashboard.VariableModel[];
  readonly from?: string;
}

/** A dashboard of Grafana, in the classic schema: the one that every release reads from a file. */
export function dashboardJson(page: Page): string {
  // The SDK calls the type of a classic dashboard deprecated: its parts are typed, the whole is validated by tests.
  const written = {
    uid: page.uid,
    title: page.title,
    description: page.description,
    tags: [TAG],
    schemaVersion: 42,
    editable: false,
    graphTooltip: dashboard.DashboardCursorSync.Crosshair,
    time: { from: page.from ?? 'now-6h', to: 'now' },
    timezone: 'browser',
    refresh: '30s',
    annotations: { list: [problemAnnotation()] },
    links: [
      new dashboard.DashboardLinkBuilder('Airflow XCom')
        .type(dashboard.DashboardLinkType.Dashboards)
        .tags([TAG])
        .keepTime(true)
        .includeVars(true)
        .build(),
    ],
    templating: { list: [...variables(), ...(page.variables ?? [])] },
    panels: laidOut(page.rows),
  };
  return `${JSON.stringify(written, withoutPlacement, 1)}\n`;
}

/** The builders put every link and annotation into a menu that only some releases have. */
function withoutPlacement(key: string, value: unknown): unknown {
  return key === 'placement' && value === 'inControlsMenu' ? undefined : value;
}

function variables(): dashboard.VariableModel[] {
  const all = { selected: true, text: ['All'], value: ['$__all'] };
  const query = (name: string, label: string, expr: string) =>
    new dashboard.QueryVariableBuilder(name)
      .label(label)
      .datasource(DATASOURCE)
      .query(expr)
      .refresh(dashboard.VariableRefresh.OnTimeRangeChanged)
      .sort(dashboard.VariableSort.AlphabeticalAsc)
      .multi(true)
      .includeAll(true)
      .allValue('.+')
      .current(all)
      .build();
  return [
    new dashboard.DatasourceVariableBuilder('datasource').label('Data source').type('prometheus').build(),
    query('job', 'Job', 'label_values(airflow_xcom_exporter_build_info, job)'),
    query('instance', 'Instance', 'label_values(airflow_xcom_exporter_build_info{job=~"$job"}, instance)'),
    new dashboard.TextBoxVariableBuilder('runbook')
      .label('Runbook')
      .description(
        'The address at which your team reads docs/runbook.md: the links of the panels begin with it.',
      )
      .defaultValue(SITE.documentation)
      .build(),
  ];
}

function problemAnnotation(): dashboard.AnnotationQuery {
  return new dashboard.AnnotationQueryBuilder()
    .name('Problems')
    .enable(true)
    .hide(false)
    .iconColor('red')
    .datasource(DATASOURCE)
    .expr(`max by (problem, severity) (${chosen('airflow_xcom_problem', 'severity!="info"')}) == 1`)
    .step('60s')
    .titleFormat('{{problem}}')
    .textFormat('{{severity}}')
    .tagKeys('severity')
    .useValueForTime(false)
    .build();
}

/** Ids count from 1 in reading order; a panel that is linked to has one of its own from 100 on. */
function laidOut(rows: readonly Row[]): (Panel | dashboard.RowPanel)[] {
  let y = 0;
  let id = 0;
  const out: (Panel | dashboard.RowPanel)[] = [];
  for (const row of rows) {
    let heading: dashboard.RowPanel | null = null;
    if (row.title !== undefined) {
      id += 1;
      heading = {
        type: 'row',
        id,
        title: row.title,
        collapsed: row.collapsed === true,
        gridPos: { h: 1, w: 24, x: 0, y },
        panels: [],
      };
      out.push(heading);
      y += 1;
    }
    let x = 0;
    for (const [width, panel] of row.panels) {
      id += 1;
      const placed = { ...panel, id: panel.id ?? id, gridPos: { h: row.height, w: width, x, y } };
      if (heading?.collapsed === true) heading.panels.push(placed);
      else out.push(placed);
      x += width;
    }
    if (heading?.collapsed !== true) y += row.height;
  }
  return out;
}
