/** Draws each type of panel. It stands in for Grafana, so that a person can judge what the data say. */
import type { Panel } from '../support/grafana.ts';
import type { Series } from './prometheus.ts';
import { escaped, look, mapped, seriesColor, shown } from './picture-values.ts';

export interface Box {
  readonly width: number;
  readonly height: number;
}

export interface Drawing extends Box {
  readonly panel: Panel;
  /** The series of each query, in order. */
  readonly results: readonly (readonly Series[])[];
  readonly from: number;
  readonly to: number;
}

export function drawPanel(drawing: Drawing): string {
  switch (drawing.panel.type) {
    case 'stat':
      return stat(drawing);
    case 'timeseries':
      return timeseries(drawing);
    case 'state-timeline':
      return timeline(drawing);
    case 'bargauge':
      return bars(drawing);
    case 'heatmap':
      return heatmap(drawing);
    case 'table':
      return table(drawing);
    default:
      return '';
  }
}

function last(series: Series): number {
  return series.values.at(-1)?.[1] ?? Number.NaN;
}

function empty({ panel }: Drawing): string {
  return `<div class="empty">${escaped(panel.fieldConfig?.defaults.noValue ?? 'No data')}</div>`;
}

/** The legend of a series by the format of its query. */
function named({ panel, results }: Drawing): { name: string; series: Series }[] {
  return results.flatMap((list, index) =>
    list.map((series) => ({
      name: (panel.targets?.[index]?.legendFormat ?? '')
        .replaceAll(/\{\{(\w+)\}\}/g, (_, label: string) => series.metric[label] ?? '')
        .trim(),
      series,
    })),
  );
}

function stat(drawing: Drawing): string {
  const { panel, results } = drawing;
  const value = results[0]?.[0] === undefined ? Number.NaN : last(results[0][0]);
  const { text, color } = look(value, panel);
  return `<div class="stat" style="background:${color}">${escaped(text)}</div>`;
}

function timeseries(drawing: Drawing): string {
  const { panel, width, height, from, to } = drawing;
  const lines = named(drawing).filter(({ series }) =>
    series.values.some(([, value]) => !Number.isNaN(value)),
  );
  if (lines.length === 0) return empty(drawing);
  const isStacked = JSON.stringify(panel.fieldConfig).includes('"mode":"normal"');
  const left = 62;
  const bottom = height - 42;
  const base = new Map<number, number>();
  const drawn = lines.map(({ name, series }, index) => ({
    name,
    color: seriesColor(panel, { name, index }),
    points: series.values.map(([at, value]) => {
      const under = isStacked ? (base.get(at) ?? 0) : 0;
      base.set(at, under + (Number.isNaN(value) ? 0 : value));
      return { at, under, over: under + value };
    }),
  }));
  const top =
    Math.max(...drawn.flatMap(({ points }) => points.map(({ over }) => over)).filter(Number.isFinite), 1e-9) *
    1.08;
  const x = (at: number) => left + ((at - from) / (to - from)) * (width - left - 12);
  const y = (value: number) => bottom - (value / top) * (bottom - 8);
  const grid = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const value = (top / 1.08) * share;
    return `<line x1="${left}" x2="${width - 12}" y1="${y(value)}" y2="${y(value)}" class="grid"/><text x="${left - 6}" y="${y(value) + 4}" text-anchor="end">${escaped(shown(value, panel))}</text>`;
  });
  const paths = drawn.map(({ color, points }) =>
    runsOf(points.filter(({ over }) => Number.isFinite(over))).map((run) => {
      const upper = run.map(({ at, over }) => `${x(at).toFixed(1)},${y(over).toFixed(1)}`);
      const lower = run.map(({ at, under }) => `${x(at).toFixed(1)},${y(under).toFixed(1)}`).reverse();
      return `<polygon points="${[...upper, ...lower].join(' ')}" fill="${color}" fill-opacity="${isStacked ? 0.4 : 0.1}"/><polyline points="${upper.join(' ')}" fill="none" stroke="${color}" stroke-width="1.5"/>`;
    }),
  );
  const legend = drawn.map(
    ({ name, color }) => `<span><i style="background:${color}"></i>${escaped(name)}</span>`,
  );
  return `<svg width="${width}" height="${bottom + 20}">${grid.join('')}${times(drawing, { x, y: bottom + 15 })}${paths.flat().join('')}</svg><div class="legend">${legend.join('')}</div>`;
}

/** Splits the points at every gap: a line does not cross a gap. */
function runsOf<Point extends { at: number }>(points: readonly Point[]): Point[][] {
  const step = Math.min(...points.slice(1).map(({ at }, index) => at - (points[index]?.at ?? at)));
  const runs: Point[][] = [];
  for (const point of points) {
    const run = runs.at(-1);
    const before = run?.at(-1);
    if (run === undefined || before === undefined || point.at - before.at > step * 1.5) runs.push([point]);
    else run.push(point);
  }
  return runs;
}

function times({ from, to, width }: Drawing, { x, y }: { x: (at: number) => number; y: number }): string {
  return (width < 420 ? [0, 0.5, 1] : [0, 0.25, 0.5, 0.75, 1])
    .map((share) => {
      const at = from + (to - from) * share;
      const text = new Date(at * 1000).toISOString().slice(11, 19);
      return `<text x="${x(at)}" y="${y}" text-anchor="${share === 1 ? 'end' : share === 0 ? 'start' : 'middle'}">${text}</text>`;
    })
    .join('');
}

function timeline(drawing: Drawing): string {
  const { panel, width, height, from, to } = drawing;
  const rows = named(drawing);
  if (rows.length === 0) return empty(drawing);
  const left = 150;
  const rowHeight = Math.min(48, (height - 30) / rows.length);
  const x = (at: number) => left + ((at - from) / (to - from)) * (width - left - 12);
  const step = (to - from) / 300;
  const drawn = rows.map(({ name, series }, index) => {
    const top = index * rowHeight;
    const cells = series.values.map(
      ([at, value]) =>
        `<rect x="${x(at).toFixed(1)}" y="${top + 3}" width="${(x(at + step * 1.2) - x(at)).toFixed(1)}" height="${rowHeight - 6}" fill="${look(value, panel).color}"/>`,
    );
    return `<text x="${left - 8}" y="${top + rowHeight / 2 + 4}" text-anchor="end">${escaped(name)}</text>${cells.join('')}`;
  });
  return `<svg width="${width}" height="${height}"><g shape-rendering="crispEdges">${drawn.join('')}</g>${times(drawing, { x, y: rows.length * rowHeight + 16 })}</svg>`;
}

/** A bucket of Prometheus includes those below it: a cell shows how many more one bucket has than the one before. */
function heatmap(drawing: Drawing): string {
  const { panel, width, height, from, to } = drawing;
  const bound = ({ metric }: Series) => Number(metric['le'] === '+Inf' ? Infinity : metric['le']);
  const buckets = [...(drawing.results[0] ?? [])].sort((a, b) => bound(a) - bound(b));
  if (buckets.length === 0) return empty(drawing);
  const counts = buckets.map((bucket, i) => {
    const below = new Map(buckets[i - 1]?.values);
    return bucket.values.map(([at, value]) => [at, value - (below.get(at) ?? 0)] as const);
  });
  const most = Math.max(...counts.flat().map(([, count]) => count), 1e-9);
  const left = 62;
  const bottom = height - 24;
  const rowHeight = bottom / buckets.length;
  const step = (to - from) / 300;
  const x = (at: number) => left + ((at - from) / (to - from)) * (width - left - 12);
  const rows = buckets.map((bucket, i) => {
    const top = bottom - (i + 1) * rowHeight;
    const cells = (counts[i] ?? [])
      .filter(([, count]) => count > 1e-9)
      .map(
        ([at, count]) =>
          `<rect x="${x(at).toFixed(1)}" y="${top.toFixed(1)}" width="${(x(at + step * 1.2) - x(at)).toFixed(1)}" height="${rowHeight.toFixed(1)}" fill="#e8871e" fill-opacity="${(0.2 + 0.8 * Math.sqrt(count / most)).toFixed(2)}"/>`,
      );
    const text = Number.isFinite(bound(bucket)) ? shown(bound(bucket), panel) : '';
    return `${i % 2 === 0 ? `<text x="${left - 6}" y="${top + 4}" text-anchor="end">${escaped(text)}</text>` : ''}${cells.join('')}`;
  });
  return `<svg width="${width}" height="${height}"><g shape-rendering="crispEdges">${rows.join('')}</g>${times(drawing, { x, y: bottom + 15 })}</svg>`;
}

function bars(drawing: Drawing): string {
  const { panel } = drawing;
  const rows = named(drawing);
  if (rows.length === 0) return empty(drawing);
  const drawn = rows.map(({ name, series }) => {
    const value = last(series);
    const { text, color } = look(value, panel);
    const share = Math.max(0, Math.min(1, value)) * 100;
    return `<div class="bar"><span>${escaped(name)}</span><div><i style="width:${share}%;background:${color}"></i></div><b style="color:${color}">${escaped(text)}</b></div>`;
  });
  return `<div class="bars">${drawn.join('')}</div>`;
}

function table(drawing: Drawing): string {
  const { panel, results } = drawing;
  const rows = results.flat();
  const columns = Object.entries(
    (panel.transformations?.find(({ id }) => id === 'organize')?.options['renameByName'] ?? {}) as Record<
      string,
      string
    >,
  ).filter(([label]) => label === 'Value' || rows.some(({ metric }) => label in metric));
  if (rows.length === 0) return empty(drawing);
  const head = columns.map(([, title]) => `<th>${escaped(title)}</th>`);
  const body = rows.map((series) => {
    const cells = columns.map(([label]) => {
      const value = series.metric[label] ?? '';
      return label === 'Value' ? shown(last(series), panel) : (mapped(value, panel)?.text ?? value);
    });
    return `<tr>${cells.map((cell) => `<td>${escaped(cell)}</td>`).join('')}</tr>`;
  });
  return `<table><tr>${head.join('')}</tr>${body.join('')}</table>`;
}
