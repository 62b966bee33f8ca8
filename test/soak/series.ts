/** The daemon's own figures at one moment. Memory in MiB, lag in ms, the rest in seconds and counts. */
export interface Point {
  readonly seconds: number;
  readonly rss: number;
  readonly heap: number;
  /** The memory that V8 has taken from the system for its heap; `external` is memory outside of the heap. */
  readonly heapTotal: number;
  readonly external: number;
  readonly fds: number;
  readonly handles: number;
  readonly lagP99: number;
  readonly cycle: number;
  readonly windowRows: number;
  readonly planned: number;
  readonly counted: number;
  /** The fault at that moment, or null. */
  readonly fault: string | null;
}

export type Figure = Exclude<keyof Point, 'seconds' | 'fault'>;

export interface Trend {
  /** Medians of the first and the last third. */
  readonly first: number;
  readonly last: number;
  /** The median of the slopes between all pairs of points: single peaks do not bend it. */
  readonly slopePerHour: number;
}

export function trend(points: readonly Point[], figure: Figure): Trend {
  const { first, last } = thirds(points, figure);
  const slopes: number[] = [];
  points.forEach((from, at) => {
    for (const to of points.slice(at + 1))
      slopes.push((to[figure] - from[figure]) / ((to.seconds - from.seconds) / 3_600));
  });
  return {
    first: median(first),
    last: median(last),
    slopePerHour: median(slopes),
  };
}

/**
 * The least value of the first third and of the last third. The sockets that a burst of requests opens are kept for a
 * while, and are no leak.
 */
export function least(points: readonly Point[], figure: Figure): Pick<Trend, 'first' | 'last'> {
  const { first, last } = thirds(points, figure);
  return { first: Math.min(...first), last: Math.min(...last) };
}

function thirds(points: readonly Point[], figure: Figure): { first: number[]; last: number[] } {
  const values = points.map((point) => point[figure]);
  const third = Math.max(1, Math.floor(values.length / 3));
  return { first: values.slice(0, third), last: values.slice(-third) };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}

const COLUMNS: readonly (keyof Point)[] = [
  'seconds',
  'rss',
  'heap',
  'heapTotal',
  'external',
  'fds',
  'handles',
  'lagP99',
  'cycle',
  'windowRows',
  'planned',
  'counted',
  'fault',
];

export function toCsv(points: readonly Point[]): string {
  const line = (point: Point) =>
    COLUMNS.map((column) => {
      const value = point[column];
      return typeof value === 'number' ? String(Math.round(value * 1_000) / 1_000) : (value ?? '');
    }).join(',');
  return `${[COLUMNS.join(','), ...points.map(line)].join('\n')}\n`;
}
