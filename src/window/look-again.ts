import type { RowChunk } from './columns.ts';
import * as is from './flags.ts';

/**
 * Forgets which objects were found, so that they are looked up again: nobody asked whether the objects are in an
 * archive. These rows have been counted already, so from now on they are part of the window only and of no counter.
 * Call this only for rows that are in no list yet.
 */
export function lookAgain({ flags }: RowChunk): void {
  for (const [index, one] of flags.entries())
    if (is.isReference(one) && is.objectOf(one) === 'present')
      flags[index] = is.withObject(one, 'unverified') | is.BASELINE;
}
