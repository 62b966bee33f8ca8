import type { Worker } from './ledger.ts';

/** Values on one worker that should have gone to S3, by where they went. */
export interface Placed {
  readonly worker: Worker;
  readonly bypassed: boolean;
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

/** In the order in which an operator would look: a queue is what a team configures. */
const DIMENSIONS = ['queue', 'executor', 'hostname', 'operator'] as const;
/** Chance of naming a pool that is no different from the others. */
const SIGNIFICANCE = 0.01;

/**
 * Names the pools on which values bypass S3 far more often than elsewhere: Fisher's exact test for each
 * against all others, Bonferroni-corrected. Empty when nothing stands out, or when there is nothing to compare.
 */
export function pools(placed: readonly Placed[]): Pool[] {
  const bypassed = placed.filter((one) => one.bypassed).length;
  const total = placed.length;
  if (bypassed === 0 || bypassed === total) return [];
  const counted = DIMENSIONS.flatMap((label) => count(placed, label));
  const logs = logFactorials(total);
  const found = counted
    .map((pool) => {
      const size = pool.bypassed + pool.offloaded;
      const share = pool.bypassed / size;
      const elsewhere = (bypassed - pool.bypassed) / Math.max(total - size, 1);
      const p =
        total === size || share <= elsewhere
          ? 1
          : Math.min(1, atLeast(pool.bypassed, { size, bypassed, total, logs }) * counted.length);
      return { ...pool, p };
    })
    .filter(({ p }) => p < SIGNIFICANCE);
  const first = DIMENSIONS.find((label) => found.some((pool) => pool.label === label));
  return found.filter(({ label }) => label === first).sort((a, b) => b.bypassed - a.bypassed);
}

function count(placed: readonly Placed[], label: Pool['label']): Omit<Pool, 'p'>[] {
  const byValue = new Map<string, { bypassed: number; offloaded: number }>();
  for (const { worker, bypassed } of placed) {
    const value = worker[label];
    if (value === null || value === '') continue;
    const sums = byValue.get(value) ?? { bypassed: 0, offloaded: 0 };
    sums[bypassed ? 'bypassed' : 'offloaded'] += 1;
    byValue.set(value, sums);
  }
  return [...byValue].map(([value, sums]) => ({ label, value, ...sums }));
}

/** P(at least `seen` bypassed among `size` drawn from `total`, of which `bypassed` are): hypergeometric tail. */
function atLeast(
  seen: number,
  { size, bypassed, total, logs }: { size: number; bypassed: number; total: number; logs: Float64Array },
): number {
  const log = (n: number) => logs[n] ?? Number.NaN;
  const choose = (n: number, k: number) => log(n) - log(k) - log(n - k);
  let p = 0;
  for (let k = seen; k <= Math.min(size, bypassed); k += 1) {
    if (size - k > total - bypassed) continue;
    p += Math.exp(choose(bypassed, k) + choose(total - bypassed, size - k) - choose(total, size));
  }
  return p;
}

function logFactorials(upTo: number): Float64Array {
  const logs = new Float64Array(upTo + 1);
  for (let n = 2; n <= upTo; n += 1) logs[n] = (logs[n - 1] ?? 0) + Math.log(n);
  return logs;
}
