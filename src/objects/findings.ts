import { createByPair } from '../lib/by-pair.ts';
import type { PresentObject } from '../s3/client.ts';
import type { Unknown } from '../s3/failure.ts';
import type { S3Reason } from '../s3/reason.ts';
import { indexInChunk } from '../window/columns.ts';
import type { ObjectState, UncheckedReason } from '../window/flags.ts';
import * as is from '../window/flags.ts';
import { baseAt, flagsAt, sizeAt } from '../window/row-fields.ts';
import type { RowStore } from '../window/row-store.ts';
import type { Place } from './allowance.ts';

/** A bucket as one connection reaches it. */
export type BucketPlace = Omit<Place, 'prefix'>;

/** S3's answer about one reference. Any answer but `present` is a suspicion until the row has been read again. */
export interface Answer {
  readonly slot: number;
  readonly object: Exclude<ObjectState, 'unverified'>;
  readonly bytes: number | null;
}

/** S3's answer about one object. */
export type Sighting = PresentObject | { readonly kind: 'missing' };

/**
 * The outcome of trying to read an object that S3 reports as archived. `untried`: no try gave an answer, e.g. because
 * no request was left.
 */
export type Tried = 'readable' | 'archived' | 'untried' | Unknown;

/** An answer that an object is in an archive; the archive is in S3's words. */
export interface Archived {
  readonly slot: number;
  readonly archive: string;
}

export interface Findings {
  /** The new answers only: a reference is not in it when S3 says the same as before, and nothing has spoken against it. */
  answers(): readonly Answer[];
  /** References that S3 gave no answer about, or bad news that does not count, by slot. */
  readonly unchecked: ReadonlyMap<number, UncheckedReason>;
  /** Whether the cycle accepts no more bad news. */
  isFull(): boolean;
  note(slot: number, sighting: Sighting): void;
  noteUnanswered(slot: number, unknown: Unknown): void;
  /** An object in the bucket was seen that belongs to no reference. */
  noteSeen(place: BucketPlace): void;
  /** New answers about objects in an archive that nobody has tried to read yet. */
  archived(): readonly Archived[];
  /** Takes in the outcome of trying to read them. */
  settleArchived(slots: readonly number[], as: Tried): void;
  /**
   * Takes back bad news without other evidence. A 404 counts only if the same connection sees something in the bucket.
   * Some servers answer 404 to an unknown key id, and a proxy may answer it to every request. No bad news counts through
   * what stands in for a connection that is not known: it may lead to another server. An object that is seen there was
   * written under a key that is given once, so it counts. A reference with bad news taken back is unchecked, even one
   * whose object was seen before.
   */
  confirm(): void;
}

/**
 * How much bad news one cycle accepts: each reference is read once more in the database. Other missing objects stay
 * unknown until the next cycle.
 */
const SUSPECTS = 5_000;

/** `isKnown`: whether the exporter has the connection itself, and not one that stands in for it. */
export function createFindings(
  rows: RowStore,
  { isKnown }: { readonly isKnown: (connection: string) => boolean },
): Findings {
  let answers: Answer[] = [];
  const archives = new Map<number, string>();
  const seenBases = new Set<number>();
  const seen = createByPair<true>();
  const unchecked = new Map<number, UncheckedReason>();
  let suspects = 0;

  /** By the connection's name, because another connection may lead to another server. */
  function noteSeen({ connection, bucket }: BucketPlace): void {
    seen.set(connection, bucket, true);
  }

  return {
    answers: () => answers,
    unchecked,
    noteSeen,
    confirm() {
      for (const base of seenBases) noteSeen(rows.bases.at(base));
      const doubtOf = ({ slot, object }: Answer): UncheckedReason | null => {
        if (object === 'present') return null;
        const { connection, bucket } = rows.bases.at(baseAt(rows.chunkOf(slot), indexInChunk(slot)));
        if (!isKnown(connection)) return 'unknown_connection';
        return object === 'missing' && seen.get(connection, bucket) !== true ? 'unconfirmed' : null;
      };
      answers = answers.filter((answer) => {
        const doubt = doubtOf(answer);
        if (doubt !== null) unchecked.set(answer.slot, doubt);
        return doubt === null;
      });
    },
    isFull: () => suspects >= SUSPECTS,
    note(slot, sighting) {
      const object = stateOf(sighting);
      const bytes = sighting.kind === 'missing' ? null : sighting.bytes;
      const chunk = rows.chunkOf(slot);
      const index = indexInChunk(slot);
      if (sighting.kind === 'present') seenBases.add(baseAt(chunk, index));
      const isSame = bytes === null || sizeAt(chunk, index) === bytes;
      const flags = flagsAt(chunk, index);
      if (is.objectOf(flags) === object && isSame && is.uncheckedOf(flags) === null) return;
      if (object !== 'present') {
        if (suspects >= SUSPECTS) return;
        suspects += 1;
      }
      answers.push({ slot, object, bytes });
      if (sighting.kind === 'present' && sighting.archive !== null) archives.set(slot, sighting.archive);
    },
    archived: () =>
      answers.flatMap(({ slot, object }) => {
        const archive = archives.get(slot);
        return object === 'unreadable' && archive !== undefined ? [{ slot, archive }] : [];
      }),
    settleArchived(slots, as) {
      const settled = new Set(slots);
      for (const slot of slots) archives.delete(slot);
      if (as === 'archived') return;
      const isSettled = ({ slot, object }: Answer) => object === 'unreadable' && settled.has(slot);
      answers =
        as === 'readable'
          ? answers.map((answer) => (isSettled(answer) ? { ...answer, object: 'present' } : answer))
          : answers.filter((answer) => !isSettled(answer));
      if (typeof as !== 'string') for (const slot of slots) unchecked.set(slot, uncheckedReason(as.reason));
    },
    noteUnanswered(slot, { reason }) {
      unchecked.set(slot, uncheckedReason(reason));
    },
  };
}

function stateOf(sighting: Sighting): Answer['object'] {
  if (sighting.kind === 'missing') return 'missing';
  if (sighting.bytes === 0) return 'empty';
  return sighting.archive === null ? 'present' : 'unreadable';
}

/** The label for a failure to answer. */
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
