import { mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { dashboards } from '../support/grafana.ts';
import type { Dashboard } from '../support/grafana.ts';
import { withFewColours } from '../support/few-colours.ts';
import { readyExpression } from './expressions.ts';
import { drawPanel } from './picture-panels.ts';
import { escaped } from './picture-values.ts';
import type { Prometheus, Series } from './prometheus.ts';

const COLUMN = 60;
const ROW = 38;
const GAP = 8;
const HEADER = 58;

export interface Moment {
  /** Epoch seconds; panels without a time range show the figures at `to`. */
  readonly from: number;
  readonly to: number;
  readonly factor: number;
}

/** Draws docs/images/dashboard-*.png: the panels of each dashboard in Grafana's places, with Prometheus' answers. */
export async function drawDashboards(prometheus: Prometheus, moment: Moment): Promise<void> {
  const folder = new URL('../../docs/images/', import.meta.url);
  await mkdir(folder, { recursive: true });
  for (const [file, dashboard] of Object.entries(dashboards())) {
    const name = `dashboard-${file.replace('.json', '')}`;
    const html = await dashboardHtml(dashboard, prometheus, moment);
    if (process.env['KEEP_HTML'] !== undefined) await writeFile(new URL(`${name}.html`, folder), html);
    await shoot(html, fileURLToPath(new URL(`${name}.png`, folder)));
  }
}

/** A closed row is one line: its panels do not appear until somebody opens the row. */
async function dashboardHtml(
  dashboard: Dashboard,
  prometheus: Prometheus,
  { from, to, factor }: Moment,
): Promise<string> {
  const { panels } = dashboard;
  const drawn: string[] = [];
  for (const panel of panels) {
    const results: (readonly Series[])[] = [];
    for (const { expr, instant } of panel.targets ?? []) {
      const query = readyExpression(expr, { factor, rangeSeconds: to - from });
      results.push(
        instant === true
          ? await prometheus.instant(query, to)
          : await prometheus.range(query, { from, to, step: (to - from) / 300 }),
      );
    }
    const { x, y, w, h } = panel.gridPos;
    const width = w * COLUMN - GAP;
    const height = h * ROW - GAP;
    if (panel.type === 'row') {
      drawn.push(`<h3 style="top:${HEADER + y * ROW}px">${escaped(panel.title)}</h3>`);
      continue;
    }
    const inner = drawPanel({ panel, results, from, to, width: width - 20, height: height - 34 });
    drawn.push(
      `<section style="left:${x * COLUMN + GAP}px;top:${HEADER + y * ROW}px;width:${width}px;height:${height}px"><h2>${escaped(panel.title.replace('$operation', 'every operation'))}</h2>${inner}</section>`,
    );
  }
  const rows = Math.max(...panels.map(({ gridPos }) => gridPos.y + gridPos.h));
  return `<!doctype html><meta charset="utf-8"><style>${STYLE}</style>
<body style="width:${24 * COLUMN + GAP}px;height:${HEADER + rows * ROW + 4}px">
<header><b>${escaped(dashboard.title)}</b><span>A drawing of this dashboard’s panels with the data of the demo, made without Grafana</span></header>
${drawn.join('\n')}</body>`;
}

const STYLE = `
body { margin: 0; position: relative; background: #f4f5f5; font: 12px 'DejaVu Sans', Arial, sans-serif; color: #24292e; }
header { position: absolute; left: 16px; right: 16px; top: 14px; display: flex; justify-content: space-between; font-size: 18px; }
header span { font-size: 12px; color: #6b7280; align-self: center; }
section { position: absolute; box-sizing: border-box; background: #fff; border: 1px solid #e1e4e8; border-radius: 3px; padding: 6px 10px; overflow: hidden; }
h3 { position: absolute; left: 16px; margin: 8px 0; font-size: 14px; }
h2 { font-size: 13px; font-weight: bold; margin: 0 0 6px; }
svg text { font-size: 11px; fill: #555; }
.grid { stroke: #e5e7eb; }
.stat { position: absolute; left: 0; right: 0; bottom: 0; top: 28px; color: #fff; font-size: 34px; font-weight: bold; display: flex; align-items: center; justify-content: center; }
.legend span { margin-right: 14px; } .legend i { display: inline-block; width: 12px; height: 3px; margin-right: 5px; vertical-align: middle; }
.empty { position: absolute; inset: 28px 0 0 0; display: flex; align-items: center; justify-content: center; color: #6b7280; font-size: 15px; }
.bar { display: flex; align-items: center; margin: 9px 0; } .bar span { width: 120px; } .bar > div { flex: 1; background: #eef0f2; height: 20px; } .bar i { display: block; height: 100%; } .bar b { width: 62px; text-align: right; font-size: 15px; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: 4px 10px 4px 0; border-bottom: 1px solid #eceef0; font-weight: normal; } th { color: #3d71d9; }
`;

async function shoot(html: string, path: string): Promise<void> {
  const browser = await chromium.launch({
    executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  try {
    const page = await browser.newPage({ viewport: { width: 1448, height: 900 } });
    await page.setContent(html);
    await page.locator('body').screenshot({ path });
    withFewColours(path);
  } finally {
    await browser.close();
  }
}
