import { PanelBuilder as BarGauge } from '@grafana/grafana-foundation-sdk/bargauge';
import * as common from '@grafana/grafana-foundation-sdk/common';
import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard';
import * as heatmaps from '@grafana/grafana-foundation-sdk/heatmap';
import { DataqueryBuilder, PromQueryFormat } from '@grafana/grafana-foundation-sdk/prometheus';
import { PanelBuilder as Stat } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as StateTimeline } from '@grafana/grafana-foundation-sdk/statetimeline';
import { PanelBuilder as Table } from '@grafana/grafana-foundation-sdk/table';
import { PanelBuilder as Text, TextMode } from '@grafana/grafana-foundation-sdk/text';
import { PanelBuilder as TimeSeries } from '@grafana/grafana-foundation-sdk/timeseries';
import { SITE } from './site.ts';

export type Panel = dashboard.Panel;

/** Large values belong into S3: what is green is where it should be. */
export const STORAGE_COLORS = { s3: 'green', db: 'orange', other: 'purple' };

export const UNKNOWN = 'Unknown';
/** No data is not proof that there is nothing: the exporter may be down, or may not know. */
export const NONE_KNOWN = 'None known';
export const NO_EVENTS = 'No events known';
export const NO_EVENTS_OR_RULES = `${NO_EVENTS}, or no recording rules`;

/** In a legend, one Airflow. The labels that tell one from another are blank where there are none. */
export const AIRFLOW_NAME = SITE.airflowLabels.map((label) => `{{${label}}}`).join(' ');
/** In a legend, one exporter: those of two Airflows may have the same instance. */
export const EXPORTER_NAME = `{{instance}} ${AIRFLOW_NAME}`;
/** The same for a table, which leaves out a column that no row has. */
export const AIRFLOW_COLUMNS = Object.fromEntries(SITE.airflowLabels.map((label) => [label, label]));

export const DATASOURCE = { type: 'prometheus', uid: '${datasource}' };

export interface Query {
  readonly expr: string;
  readonly legend?: string;
}

/** What every panel with data has. */
export interface Content {
  readonly title: string;
  /** What it shows and what is good or bad about it, in whole sentences. */
  readonly description: string;
  /** A heading of the runbook. */
  readonly runbook: string;
  readonly unit: string;
  readonly queries: readonly Query[];
  readonly decimals?: number;
  readonly min?: number;
  readonly max?: number;
  /** Colours from these values on; the first is below all, with null. */
  readonly steps?: readonly (readonly [from: number | null, color: string])[];
  /** What is shown where there is no data; on a stat and a bar gauge `Unknown` unless given. */
  readonly noValue?: string;
  /** Text and colour in place of a value. */
  readonly texts?: Readonly<Record<string, readonly [text: string, color: string]>>;
}

type Format = 'instant' | 'range' | 'heatmap' | 'table';

export function stat(content: Content & { readonly history?: boolean }): Panel {
  const builder = new Stat()
    .colorMode(common.BigValueColorMode.Background)
    .graphMode(content.history === true ? common.BigValueGraphMode.Area : common.BigValueGraphMode.None)
    .textMode(
      content.queries.some(({ legend }) => legend !== undefined)
        ? common.BigValueTextMode.ValueAndName
        : common.BigValueTextMode.Value,
    )
    .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(['lastNotNull']).values(false).fields(''));
  return filled(builder.build(), content, content.history === true ? 'range' : 'instant');
}

/** `stacked` for parts of a whole. Dashed are the lines whose legend matches. */
export function timeseries(
  content: Content & {
    readonly stacked?: boolean;
    readonly logarithmic?: boolean;
    readonly dashed?: string;
    /** By the first word of the legend, where a colour says more than one by chance. */
    readonly colors?: Readonly<Record<string, string>>;
    /** Draw `steps` as lines. */
    readonly lines?: boolean;
  },
): Panel {
  const builder = new TimeSeries()
    .lineWidth(1)
    .fillOpacity(content.stacked === true ? 40 : 8)
    .showPoints(common.VisibilityMode.Never)
    .legend(
      new common.VizLegendOptionsBuilder()
        .displayMode(common.LegendDisplayMode.List)
        .placement(common.LegendPlacement.Bottom)
        .showLegend(true)
        .calcs([]),
    )
    .tooltip(new common.VizTooltipOptionsBuilder().mode(common.TooltipDisplayMode.Multi));
  if (content.stacked === true)
    builder.stacking(new common.StackingConfigBuilder().mode(common.StackingMode.Normal).group('A'));
  if (content.logarithmic === true)
    builder.scaleDistribution(
      new common.ScaleDistributionConfigBuilder().type(common.ScaleDistribution.Log).log(10),
    );
  if (content.lines === true)
    builder.thresholdsStyle(
      new common.GraphThresholdsStyleConfigBuilder().mode(common.GraphThresholdsStyleMode.Dashed),
    );
  if (content.dashed !== undefined)
    builder.overrideByRegexp(`/${content.dashed}/`, [
      { id: 'custom.lineStyle', value: { fill: 'dash', dash: [8, 8] } },
      { id: 'custom.fillOpacity', value: 0 },
    ]);
  for (const [legend, fixedColor] of Object.entries(content.colors ?? {}))
    builder.overrideByRegexp(`/^${legend}\\b/`, [{ id: 'color', value: { mode: 'fixed', fixedColor } }]);
  return filled(builder.build(), content, 'range');
}

export function stateTimeline(content: Content): Panel {
  const builder = new StateTimeline()
    .mergeValues(true)
    .rowHeight(0.85)
    .fillOpacity(85)
    .lineWidth(0)
    .showValue(common.VisibilityMode.Never)
    .legend(
      new common.VizLegendOptionsBuilder()
        .displayMode(common.LegendDisplayMode.List)
        .placement(common.LegendPlacement.Bottom)
        .showLegend(false)
        .calcs([]),
    );
  return filled(builder.build(), content, 'range');
}

export function barGauge(content: Content): Panel {
  const builder = new BarGauge()
    .orientation(common.VizOrientation.Horizontal)
    .displayMode(common.BarGaugeDisplayMode.Basic)
    .showUnfilled(true)
    .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(['lastNotNull']).values(false).fields(''));
  return filled(builder.build(), content, 'instant');
}

/** Of the buckets of a histogram; `unit` is that of the bounds. */
export function heatmap(content: Content): Panel {
  const builder = new heatmaps.PanelBuilder()
    .calculate(false)
    .cellGap(1)
    .color(
      new heatmaps.HeatmapColorOptionsBuilder()
        .mode(heatmaps.HeatmapColorMode.Scheme)
        .scheme('Oranges')
        .scale(heatmaps.HeatmapColorScale.Exponential)
        .exponent(0.5)
        .steps(64)
        .reverse(false)
        .fill('dark-orange'),
    )
    .yAxis(new heatmaps.YAxisConfigBuilder().unit(content.unit).axisPlacement(common.AxisPlacement.Left));
  return filled(builder.build(), content, 'heatmap');
}

/** Columns by the name of the label, in this order; `Value` is the figure. Others are left out. */
export function table(
  content: Content & {
    readonly columns: Readonly<Record<string, string>>;
    /** In pixels, by title: the others share the rest. */
    readonly widths?: Readonly<Record<string, number>>;
  },
): Panel {
  const names = Object.keys(content.columns);
  const builder = new Table()
    .showHeader(true)
    .cellHeight(common.TableCellHeight.Sm)
    .cellOptions({ type: common.TableCellDisplayMode.Auto, wrapText: true })
    .withTransformation({
      id: 'filterFieldsByName',
      options: { include: { names } },
    })
    .withTransformation({
      id: 'organize',
      options: {
        indexByName: Object.fromEntries(names.map((name, index) => [name, index])),
        renameByName: content.columns,
      },
    });
  for (const [title, value] of Object.entries(content.widths ?? {}))
    builder.overrideByName(title, [{ id: 'custom.width', value }]);
  return filled(builder.build(), content, 'table');
}

export function text({
  title,
  description,
  markdown,
}: {
  title: string;
  description: string;
  markdown: string;
}): Panel {
  const panel = new Text().mode(TextMode.Markdown).content(markdown).build();
  return { ...panel, title, description };
}

function filled(panel: Panel, content: Content, format: Format): Panel {
  const { steps, texts } = content;
  const defaults = panel.fieldConfig?.defaults ?? {};
  const tinted = steps !== undefined || texts !== undefined;
  const isOneFigure = panel.type === 'stat' || panel.type === 'bargauge';
  const noValue = content.noValue ?? (isOneFigure ? UNKNOWN : undefined);
  return {
    ...panel,
    title: content.title,
    description: content.description,
    datasource: DATASOURCE,
    targets: content.queries.map((query, index) => target(query, { format, refId: 'ABCDEFG'[index] ?? '' })),
    links: linksTo(content.runbook),
    fieldConfig: {
      overrides: panel.fieldConfig?.overrides ?? [],
      defaults: {
        ...defaults,
        unit: content.unit,
        ...(content.decimals === undefined ? {} : { decimals: content.decimals }),
        ...(content.min === undefined ? {} : { min: content.min }),
        ...(content.max === undefined ? {} : { max: content.max }),
        ...(noValue === undefined ? {} : { noValue }),
        color: {
          mode:
            tinted && panel.type !== 'timeseries'
              ? dashboard.FieldColorModeId.Thresholds
              : dashboard.FieldColorModeId.PaletteClassicByName,
        },
        thresholds: {
          mode: dashboard.ThresholdsMode.Absolute,
          steps: (steps ?? [[null, 'green']]).map(([value, color]) => ({ value, color })),
        },
        mappings: [
          ...(texts === undefined ? [] : [inPlaceOf(texts)]),
          ...(isOneFigure ? [inPlaceOfNone(noValue)] : []),
        ],
      },
    },
  };
}

function inPlaceOf(texts: NonNullable<Content['texts']>): dashboard.ValueMapping {
  return {
    type: dashboard.MappingType.ValueToText,
    options: Object.fromEntries(
      Object.entries(texts).map(([value, [shown, color]], index) => [value, { text: shown, color, index }]),
    ),
  };
}

/** Grafana paints a figure that is not there in the colour of the lowest step, which is that of good or of bad. */
function inPlaceOfNone(text = UNKNOWN): dashboard.ValueMapping {
  return {
    type: dashboard.MappingType.SpecialValue,
    options: { match: dashboard.SpecialValueMatch.NullAndNan, result: { text, color: 'text' } },
  };
}

function target({ expr, legend }: Query, { format, refId }: { format: Format; refId: string }) {
  const builder = new DataqueryBuilder().datasource(DATASOURCE).refId(refId).expr(expr);
  builder.legendFormat(legend ?? '__auto');
  if (format === 'instant' || format === 'table') builder.instant();
  else builder.range();
  // A rate looks back four times as far as the least step: two scrapes, if there is one every two minutes.
  if (format === 'range' || format === 'heatmap') builder.interval('1m');
  const formats = {
    instant: PromQueryFormat.TimeSeries,
    range: PromQueryFormat.TimeSeries,
    heatmap: PromQueryFormat.Heatmap,
    table: PromQueryFormat.Table,
  };
  return builder.format(formats[format]).build();
}

/** What to do, in Grafana itself; and the whole runbook, wherever the variable says it is. */
function linksTo(anchor: string): dashboard.DashboardLink[] {
  return [
    [
      'What to do',
      '/d/airflow-xcom-overview?${datasource:queryparam}&${job:queryparam}&${instance:queryparam}&viewPanel=100',
    ],
    [`Runbook: ${anchor}`, `\${runbook}#${anchor}`],
  ].map(([title = '', url = '']) =>
    new dashboard.DashboardLinkBuilder(title)
      .type(dashboard.DashboardLinkType.Link)
      .url(url)
      .targetBlank(true)
      .build(),
  );
}
