import type { RowChunk } from './columns.ts';
import * as is from './flags.ts';

/**
 * Forgets which objects were found, so that they are looked up again: nobody asked whether they are in an
 * archive. They have been counted, and are part of the window alone from now on. For rows that no list knows yet.
 */
export function lookAgain({ flags }: RowChunk): void {
  for (const [index, one] of flags.entries())
    if (is.isReference(one) && is.objectOf(one) === 'present')
      flags[index] = is.withObject(one, 'unverified') | is.BASELINE;
}
