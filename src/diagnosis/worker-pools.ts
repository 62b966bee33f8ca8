import type { Worker } from '../airflow/worker-queries.ts';
import type { createHistogram } from '../lib/histogram.ts';
import type { Ledger } from '../window/ledger.ts';

/** Values on one worker that should have gone to S3, by where they went. A worker may come more than once. */
export interface Placed {
  readonly worker: Worker;
  readonly bypassed: number;
  readonly offloaded: number;
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

/** The order is that in which an operator would look: a team configures queues. */
const DIMENSIONS = ['queue', 'executor', 'hostname', 'operator'] as const;
/** Chance of naming a pool that is no different from the others. */
const SIGNIFICANCE = 0.01;

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
  const counted = DIMENSIONS.flatMap((label) => count(placed, label));
  const found = counted
    .map((pool) => {
      const size = pool.bypassed + pool.offloaded;
      const share = pool.bypassed / size;
      const elsewhere = (bypassed - pool.bypassed) / Math.max(total - size, 1);
      const p =
        total === size || share <= elsewhere
          ? 1
          : Math.min(1, atLeast(pool.bypassed, { size, bypassed, total }) * counted.length);
      return { ...pool, p };
    })
    .filter(({ p }) => p < SIGNIFICANCE);
  const first = DIMENSIONS.find((label) => found.some((pool) => pool.label === label));
  return found.filter(({ label }) => label === first).sort((a, b) => b.bypassed - a.bypassed);
}

function count(placed: readonly Placed[], label: Pool['label']): Omit<Pool, 'p'>[] {
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

/** P(at least `seen` bypassed among `size` drawn from `total`, of which `bypassed` are): hypergeometric tail. */
function atLeast(
  seen: number,
  { size, bypassed, total }: { size: number; bypassed: number; total: number },
): number {
  const choose = (n: number, k: number) => logFactorial(n) - logFactorial(k) - logFactorial(n - k);
  const others = total - bypassed;
  const least = Math.max(seen, size - others);
  let term = Math.exp(choose(bypassed, least) + choose(others, size - least) - choose(total, size));
  let p = 0;
  for (let k = least; k <= Math.min(size, bypassed); k += 1) {
    p += term;
    term *= ((bypassed - k) * (size - k)) / ((k + 1) * (others - size + k + 1));
    // Above what was to be expected each term is smaller than the one before: the rest changes nothing.
    if (term <= p * 1e-12) break;
  }
  return p;
}

/** Below it the sum is exact and soon made; above it Stirling's series is as good as the type can say. */
const EXACT_UP_TO = 256;
const LOG_FACTORIALS = new Float64Array(EXACT_UP_TO + 1);
for (let n = 2; n <= EXACT_UP_TO; n += 1) LOG_FACTORIALS[n] = (LOG_FACTORIALS[n - 1] ?? 0) + Math.log(n);

function logFactorial(n: number): number {
  if (n <= EXACT_UP_TO) return LOG_FACTORIALS[n] ?? Number.NaN;
  return (n + 0.5) * Math.log(n) - n + 0.5 * Math.log(2 * Math.PI) + 1 / (12 * n) - 1 / (360 * n ** 3);
}

export function placedOf(
  ledger: Ledger,
  histogram: ReturnType<typeof createHistogram>,
  how: 'bypassed' | 'offloaded',
): Placed[] {
  const placed: Placed[] = [];
  for (const [worker, rows] of histogram.entries())
    if (worker !== 0)
      placed.push({ worker: ledger.rows().workers.at(worker), bypassed: 0, offloaded: 0, [how]: rows });
  return placed;
}
