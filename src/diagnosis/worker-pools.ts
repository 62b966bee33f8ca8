import type { Worker } from '../airflow/worker-queries.ts';
import type { Histogram } from '../lib/histogram.ts';
import type { Ledger } from '../window/ledger.ts';
import { atLeast, SIGNIFICANCE } from './chance.ts';
import type { Kept } from './kept-by-worker.ts';
import { counted } from './problem.ts';

/** Values on one worker that should have gone to S3, by where they went. A worker may occur more than once. */
export interface Placed {
  readonly worker: Worker;
  readonly bypassed: number;
  readonly offloaded: number;
  /**
   * When the worker kept the first and the last of its large values, and when it last put one, epoch ms; null: never,
   * or not known.
   */
  readonly kept: Pick<Kept, 'first' | 'last'> | null;
  readonly latestPut: number | null;
}

/** A pool of workers whose share of bypassed values cannot be chance. */
export interface Pool {
  readonly label: 'queue' | 'executor' | 'hostname' | 'operator';
  readonly value: string;
  readonly bypassed: number;
  readonly offloaded: number;
  /** One-sided p value of Fisher's exact test, times the number of pools that were tested. */
  readonly p: number;
}

/** Ordered as an operator would look: a team configures queues. */
export const DIMENSIONS = ['queue', 'executor', 'hostname', 'operator'] as const;

/**
 * Names the pools on which values bypass S3 far more often than elsewhere: Fisher's exact test for each
 * against all others, Bonferroni-corrected. Empty when nothing stands out, or when there is nothing to compare.
 */
export function pools(placed: readonly Placed[]): Pool[] {
  let bypassed = 0;
  let total = 0;
  for (const one of placed) {
    bypassed += one.bypassed;
    total += one.bypassed + one.offloaded;
  }
  if (bypassed === 0 || bypassed === total) return [];
  const candidates = DIMENSIONS.flatMap((label) => countBy(placed, label));
  const found = candidates
    .map((pool) => {
      const size = pool.bypassed + pool.offloaded;
      const share = pool.bypassed / size;
      const elsewhere = (bypassed - pool.bypassed) / Math.max(total - size, 1);
      const p =
        total === size || share <= elsewhere
          ? 1
          : Math.min(1, atLeast(pool.bypassed, { drawn: size, marked: bypassed, total }) * candidates.length);
      return { ...pool, p };
    })
    .filter(({ p }) => p < SIGNIFICANCE);
  const first = DIMENSIONS.find((label) => found.some((pool) => pool.label === label));
  return found.filter(({ label }) => label === first).sort((a, b) => b.bypassed - a.bypassed);
}

function countBy(placed: readonly Placed[], label: Pool['label']): Omit<Pool, 'p'>[] {
  const byValue = new Map<string, { bypassed: number; offloaded: number }>();
  for (const { worker, bypassed, offloaded } of placed) {
    const value = worker[label];
    if (value === null || value === '') continue;
    const sums = byValue.get(value) ?? { bypassed: 0, offloaded: 0 };
    sums.bypassed += bypassed;
    sums.offloaded += offloaded;
    byValue.set(value, sums);
  }
  return [...byValue].map(([value, sums]) => ({ label, value, ...sums }));
}

export function placedOf(
  ledger: Ledger,
  histogram: Pick<Histogram, 'each'>,
  how: (worker: number, rows: number) => Omit<Placed, 'worker'>,
): Placed[] {
  const placed: Placed[] = [];
  histogram.each((worker, rows) => {
    if (worker !== 0) placed.push({ worker: ledger.rows().workers.at(worker), ...how(worker, rows) });
  });
  return placed;
}

/** Counts of values that would have gone to object storage, on these pools and on all other workers. */
export function clusterWords(placed: readonly Placed[], named: readonly Pool[]): string {
  const all = sumOf(placed);
  const there = sumOf(named);
  const [first, ...others] = named.map(
    ({ label, value, bypassed, offloaded }) =>
      `${bypassed} of ${counted(bypassed + offloaded, 'large value')} on ${label} ${JSON.stringify(value)}`,
  );
  const elsewhere = { bypassed: all.bypassed - there.bypassed, values: all.values - there.values };
  const rest = `${elsewhere.bypassed === 0 ? 'none' : elsewhere.bypassed} of ${elsewhere.values} elsewhere`;
  return [`${first ?? ''} stayed in the database`, ...others, rest].join(', ');
}

export function sumOf(placed: readonly Pick<Pool, 'bypassed' | 'offloaded'>[]): {
  bypassed: number;
  values: number;
} {
  let bypassed = 0;
  let values = 0;
  for (const one of placed) {
    bypassed += one.bypassed;
    values += one.bypassed + one.offloaded;
  }
  return { bypassed, values };
}
