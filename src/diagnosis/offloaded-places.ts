import type { Reference } from '../airflow/reference.ts';
import type { createHistogram } from '../lib/histogram.ts';
import { withoutPasswords } from '../lib/without-passwords.ts';
import type { Ledger } from '../window/ledger.ts';
import { topPlaces } from './evidence.ts';
import type { Placed } from './worker-pools.ts';

type Histogram = ReturnType<typeof createHistogram>;

/** Values by worker, of those that are known. */
export function placedOf(ledger: Ledger, histogram: Histogram, how: 'bypassed' | 'offloaded'): Placed[] {
  const placed: Placed[] = [];
  for (const [worker, rows] of histogram.entries())
    if (worker !== 0)
      placed.push({ worker: ledger.rows().workers.at(worker), bypassed: 0, offloaded: 0, [how]: rows });
  return placed;
}

/** One base has as many numbers as suffixes. */
export function pathsOf(
  ledger: Ledger,
  based: Histogram,
): readonly { readonly path: string; readonly rows: number }[] {
  const { bases } = ledger.rows();
  const counts = [...based.entries()].map(([base, rows]) => [prefixOf(bases.at(base)), rows] as const);
  return topPlaces('path', counts).map(({ value, rows }) => ({ path: value, rows }));
}

/** The row may hold a key and its secret where the id of a connection belongs. */
export function prefixOf(base: Omit<Reference, 'key'>): string {
  const connection = base.connection === '' ? '' : `${base.connection}@`;
  return withoutPasswords(`${base.scheme}://${connection}${base.bucket}/${base.prefix}`);
}
