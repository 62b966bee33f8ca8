import type { S3Reason, Unknown } from '../s3/failure.ts';
import { indexInChunk } from '../window/columns.ts';
import type { UncheckedReason } from '../window/flags.ts';
import * as is from '../window/flags.ts';
import { flagsAt, sizeAt } from '../window/row-fields.ts';
import type { RowStore } from '../window/row-store.ts';

/** What S3 said about one reference. `missing` and `empty` are suspicions until the row has been read again. */
export interface Answer {
  readonly slot: number;
  readonly object: 'present' | 'missing' | 'empty';
  readonly bytes: number | null;
}

export interface Findings {
  /** What is new: a reference of which S3 says what it said before is not in it. */
  readonly answers: readonly Answer[];
  /** References that were asked about in vain, by slot. */
  readonly unchecked: ReadonlyMap<number, UncheckedReason>;
  /** No more bad news is taken in. */
  isFull(): boolean;
  /** `bytes`: null where there is no object. */
  note(slot: number, bytes: number | null): void;
  noteUnanswered(slot: number, unknown: Unknown): void;
}

/**
 * Bad news that one cycle takes in: each is read once more in the database. What else is missing stays unknown until
 * the next one.
 */
const SUSPECTS = 5_000;

export function createFindings(rows: RowStore): Findings {
  const answers: Answer[] = [];
  const unchecked = new Map<number, UncheckedReason>();
  let suspects = 0;
  return {
    answers,
    unchecked,
    isFull: () => suspects >= SUSPECTS,
    note(slot, bytes) {
      const object = bytes === null ? 'missing' : bytes === 0 ? 'empty' : 'present';
      const chunk = rows.chunkOf(slot);
      const index = indexInChunk(slot);
      const isSame = bytes === null || sizeAt(chunk, index) === bytes;
      if (is.objectOf(flagsAt(chunk, index)) === object && isSame) return;
      if (object !== 'present') {
        if (suspects >= SUSPECTS) return;
        suspects += 1;
      }
      answers.push({ slot, object, bytes });
    },
    noteUnanswered(slot, { reason }) {
      unchecked.set(slot, uncheckedReason(reason));
    },
  };
}

/** The label of an answer that is none. */
export function uncheckedReason(reason: S3Reason): UncheckedReason {
  switch (reason) {
    case 'denied':
    case 'throttled':
    case 'timeout':
      return reason;
    case 'clock_skew':
      return 'denied';
    default:
      return 'unreachable';
  }
}
