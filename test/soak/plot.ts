import type { Figure, Point } from './series.ts';

const PANELS: readonly { readonly figure: Figure; readonly title: string }[] = [
  { figure: 'rss', title: 'RSS, MiB' },
  { figure: 'heap', title: 'heap in use, MiB' },
  { figure: 'fds', title: 'open file descriptors' },
  { figure: 'lagP99', title: 'event-loop lag p99, ms' },
  { figure: 'cycle', title: 'duration of a cycle, s' },
  { figure: 'windowRows', title: 'rows in the window' },
];
const WIDTH = 900;
const HEIGHT = 110;
const LEFT = 80;
const TOP = 90;

/** Draws faults as grey bars, and the end of the warm-up as a broken line. */
export function plot(
  points: readonly Point[],
  { title, warmUpSeconds }: { title: readonly string[]; warmUpSeconds: number },
): string {
  const end = points.at(-1)?.seconds ?? 1;
  const x = (seconds: number) => LEFT + (seconds / end) * (WIDTH - LEFT - 20);
  const height = TOP + PANELS.length * (HEIGHT + 40);
  const bars = points.filter(({ fault }) => fault !== null);
  const panels = PANELS.map(({ figure, title: name }, index) => {
    const top = TOP + index * (HEIGHT + 40);
    const most = Math.max(...points.map((point) => point[figure]), 1e-9);
    const y = (value: number) => top + HEIGHT - (value / most) * HEIGHT;
    const line = points
      .map((point) => `${x(point.seconds).toFixed(1)},${y(point[figure]).toFixed(1)}`)
      .join(' ');
    const grey = bars
      .map(
        ({ seconds }) =>
          `<rect x="${(x(seconds) - 2).toFixed(1)}" y="${top}" width="4" height="${HEIGHT}" fill="#ddd"/>`,
      )
      .join('');
    return `${grey}<text x="${LEFT}" y="${top - 6}" font-weight="bold">${name}</text>
<text x="${LEFT - 6}" y="${top + 10}" text-anchor="end">${most >= 100 ? most.toFixed(0) : most.toPrecision(3)}</text>
<text x="${LEFT - 6}" y="${top + HEIGHT}" text-anchor="end">0</text>
<path d="M${LEFT} ${top}V${top + HEIGHT}H${WIDTH - 20}" fill="none" stroke="#888"/>
<path d="M${x(warmUpSeconds).toFixed(1)} ${top}v${HEIGHT}" stroke="#888" stroke-dasharray="4 3"/>
<polyline points="${line}" fill="none" stroke="#1f60c4" stroke-width="1.5"/>`;
  });
  const words = title.map((line, index) => `<text x="${LEFT}" y="${18 + index * 15}">${line}</text>`);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#fff"/>
${words.join('\n')}
${panels.join('\n')}
<text x="${WIDTH - 20}" y="${height - 8}" text-anchor="end">${(end / 60).toFixed(0)} minutes; grey: a fault</text>
</svg>
`;
}
