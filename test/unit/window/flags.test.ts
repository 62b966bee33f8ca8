import { expect, test } from 'vitest';
import type { UncheckedReason } from '../../../src/window/flags.ts';
import * as is from '../../../src/window/flags.ts';

test.each<UncheckedReason | null>([null, ...is.UNCHECKED_REASONS])(
  'the reason %s is read back, and nothing else of the row changes',
  (reason) => {
    // Every bit that says something else, and the reason that had all its bits.
    const before = is.withObject(is.S3 | is.BASELINE | is.SKIP_DECISION | is.ARCHIVED, 'unreadable');
    const flags = is.withUnchecked(is.withUnchecked(before, 'unknown_reader'), reason);
    expect(is.uncheckedOf(flags)).toBe(reason);
    expect(is.withUnchecked(flags, null)).toBe(before);
  },
);
