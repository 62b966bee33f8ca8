import type { Placement } from '../airflow/classify.ts';
import type { ReferenceBase } from '../airflow/compact-reference.ts';
import { compactReference } from '../airflow/compact-reference.ts';
import type { Reference } from '../airflow/reference.ts';
import type { SampledRow } from '../airflow/xcom-row.ts';
import type { Interner } from '../lib/interner.ts';
import { uuidWords } from '../lib/uuid-words.ts';
import type { RowChunk } from './columns.ts';
import { hasWords, putWords } from './columns.ts';
import * as is from './flags.ts';

/** Writes where the value of a row is into its columns. Gives the flags that say it. */
export function writePlacement(
  { chunk, at, slot }: { chunk: RowChunk; at: number; slot: number },
  {
    row,
    placement,
    bases,
    odd,
  }: {
    row: SampledRow;
    placement: Placement;
    bases: Interner<ReferenceBase>;
    odd: Map<number, Reference>;
  },
): number {
  chunk.base[at] = 0;
  putWords(chunk, 'leaf', { index: at, words: null });
  if (placement.storage === 'db') {
    chunk.size[at] = placement.bytes;
    chunk.base[at] = Math.max(0, placement.bytes - placement.leastBytes);
    return is.DB | (placement.exact ? 0 : is.INEXACT) | is.byDesignBits(placement.byDesign);
  }
  if (placement.storage === 'other') {
    chunk.size[at] = placement.bytes;
    return is.OTHER | (placement.form === 'local' ? is.LOCAL : 0);
  }
  chunk.size[at] = Number.NaN;
  // Whose path it is matters to nobody: it is never looked up.
  if (placement.leaked) return is.S3 | is.LEAKED;
  const compact = compactReference(placement.reference, row);
  const words = compact === null ? null : uuidWords(compact.uuid);
  const { key, ...shared } = placement.reference;
  const base: ReferenceBase = compact?.base ?? { ...shared, leaf: '' };
  chunk.base[at] = bases.hold(JSON.stringify(Object.values(base)), () => base);
  if (words === null) {
    odd.set(slot, placement.reference);
    return is.S3 | is.ODD;
  }
  putWords(chunk, 'leaf', { index: at, words: hasWords(chunk.taskInstance, at, words) ? null : words });
  return is.S3;
}
