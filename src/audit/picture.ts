import { formatBytes } from '../lib/format.ts';
import type { ByMonth } from './figures.ts';

const WIDTH = 900;
const HEIGHT = 320;
const LEFT = 80;
const BOTTOM = 40;
const TOP = 40;
const COLOURS = { others: '#2a78d6', orphaned: '#d9822b' } as const;
/** The most months that can be told apart; older months share one bar at the start. */
const MOST_MONTHS = 60;

/** Draws bytes by the month in which they were written: orphaned bytes, and below them all others. */
export function monthsPicture(months: readonly ByMonth[]): string {
  const bars = lastMonths(months);
  const most = Math.max(1, ...bars.map(({ all }) => all));
  const step = (WIDTH - LEFT) / Math.max(1, bars.length);
  const scale = (HEIGHT - TOP - BOTTOM) / most;
  const base = HEIGHT - BOTTOM;
  const shapes = bars.flatMap(({ month, all, orphaned }, index) => {
    const x = LEFT + index * step;
    const others = (all - orphaned) * scale;
    const rect = (y: number, height: number, fill: string) =>
      `<rect x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="${(step * 0.8).toFixed(1)}" height="${height.toFixed(1)}" fill="${fill}"/>`;
    const title = `${month}: ${formatBytes(all - orphaned)} not orphaned, ${formatBytes(orphaned)} orphaned`;
    const label =
      index % Math.ceil(bars.length / 12) === 0
        ? [`<text x="${x.toFixed(1)}" y="${base + 18}">${month}</text>`]
        : [];
    return [
      `<g><title>${title}</title>${rect(base - others, others, COLOURS.others)}${rect(base - all * scale, orphaned * scale, COLOURS.orphaned)}</g>`,
      ...label,
    ];
  });
  const axis = [0, 0.5, 1].map(
    (part) =>
      `<text x="${LEFT - 8}" y="${(base - part * most * scale + 4).toFixed(1)}" text-anchor="end">${formatBytes(Math.round(part * most))}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">
<title>Bytes of XCom objects by the month in which they were written</title>
<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>
<rect x="${LEFT}" y="12" width="12" height="12" fill="${COLOURS.others}"/><text x="${LEFT + 18}" y="22">not orphaned</text>
<rect x="${LEFT + 140}" y="12" width="12" height="12" fill="${COLOURS.orphaned}"/><text x="${LEFT + 158}" y="22">orphaned</text>
${[...axis, ...shapes].join('\n')}
</svg>
`;
}

interface Bar {
  readonly month: string;
  readonly all: number;
  readonly orphaned: number;
}

/** Every month from the first to the last, including months without an object. */
function lastMonths(months: readonly ByMonth[]): Bar[] {
  const [first] = months;
  const last = months.at(-1);
  if (first === undefined || last === undefined) return [];
  const known = new Map(months.map((one) => [one.month, one]));
  const bars: Bar[] = [];
  for (let month = first.month; month <= last.month; month = nextMonth(month)) {
    const { all, orphaned } = known.get(month) ?? { all: { bytes: 0 }, orphaned: { bytes: 0 } };
    bars.push({ month, all: all.bytes, orphaned: orphaned.bytes });
  }
  if (bars.length <= MOST_MONTHS) return bars;
  const older = bars.slice(0, -MOST_MONTHS);
  const sum = (of: 'all' | 'orphaned') => older.reduce((total, bar) => total + bar[of], 0);
  const before = { month: `to ${older.at(-1)?.month ?? ''}`, all: sum('all'), orphaned: sum('orphaned') };
  return [before, ...bars.slice(-MOST_MONTHS)];
}

function nextMonth(month: string): string {
  const [year = 0, number = 0] = month.split('-').map(Number);
  return number === 12 ? `${year + 1}-01` : `${year}-${String(number + 1).padStart(2, '0')}`;
}
