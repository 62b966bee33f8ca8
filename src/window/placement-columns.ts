import type { Placement } from '../airflow/classify.ts';
import type { ReferenceBase } from '../airflow/compact-reference.ts';
import { compactReference } from '../airflow/compact-reference.ts';
import type { Reference } from '../airflow/reference.ts';
import type { SampledRow } from '../airflow/xcom-row.ts';
import { uuidWords } from '../lib/uuid-words.ts';
import type { RowChunk } from './columns.ts';
import { hasWords, putWords } from './columns.ts';
import * as is from './flags.ts';
import type { SharedValues } from './shared-values.ts';

/** How many paths of other rows are kept at most: they take some megabytes. */
const MOST_LEAKED_PATHS = 10_000;

/** Writes the place of a row's value into the columns of the row. Gives the flags for that place. */
export function writePlacement(
  { chunk, index, slot }: { chunk: RowChunk; index: number; slot: number },
  {
    row,
    placement,
    shared,
    verbatimReferences,
  }: {
    row: SampledRow;
    placement: Placement;
    shared: SharedValues;
    verbatimReferences: Map<number, Reference>;
  },
): number {
  putWords(chunk, 'leaf', { index, words: null });
  if (placement.storage === 'db') {
    writeValueSize(chunk, index, placement);
    return is.DB | (placement.exact ? 0 : is.INEXACT) | is.byDesignBits(placement.byDesign);
  }
  chunk.base[index] = 0;
  if (placement.storage === 'other') {
    chunk.size[index] = placement.bytes;
    switch (placement.form) {
      case 'local':
        return is.OTHER | is.LOCAL;
      case 'third_party':
        return is.OTHER;
      case 'other_store':
        chunk.base[index] = shared.holdBase(sharedOf(placement.reference));
        return is.OTHER | is.OTHER_STORE;
    }
  }
  chunk.size[index] = Number.NaN;
  // A leaked path is never looked up. It is kept only to show whose path it is, which is not worth unlimited memory.
  if (placement.leaked) {
    if (verbatimReferences.size < MOST_LEAKED_PATHS) verbatimReferences.set(slot, placement.reference);
    return is.S3 | is.LEAKED;
  }
  const compact = compactReference(placement.reference, row);
  const words = compact === null ? null : uuidWords(compact.uuid);
  chunk.base[index] = shared.holdBase(compact?.base ?? sharedOf(placement.reference));
  if (words === null) {
    verbatimReferences.set(slot, placement.reference);
    return is.S3 | is.VERBATIM;
  }
  putWords(chunk, 'leaf', { index, words: hasWords(chunk.taskInstance, index, words) ? null : words });
  return is.S3;
}

function sharedOf({ scheme, connection, bucket, prefix, suffix }: Reference): ReferenceBase {
  return { scheme, connection, bucket, prefix, suffix, leaf: '' };
}

/** Writes the size of a value in the database, and by how much it may be too large. */
export function writeValueSize(
  chunk: RowChunk,
  index: number,
  { bytes, leastBytes }: { readonly bytes: number; readonly leastBytes: number },
): void {
  chunk.size[index] = bytes;
  chunk.base[index] = Math.max(0, bytes - leastBytes);
}
