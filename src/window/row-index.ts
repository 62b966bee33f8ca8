import type { XComSource } from '../airflow/shape.ts';
import { createSlotIndex } from '../lib/slot-index.ts';
import type { RowChunk, Words } from './columns.ts';
import { hasWords, indexInChunk } from './columns.ts';
import * as is from './flags.ts';
import { flagsAt, mapIndexAt, nameAt, runAt, taskInstanceAt } from './row-fields.ts';

/** The fields that tell one row from another, whatever its version is. */
interface RowIdentity {
  readonly run: number;
  /** The number of its task and key. */
  readonly name: number;
  readonly mapIndex: number;
  readonly table: XComSource['table'];
  readonly taskInstance: Words;
}

/** Finds the slot of a row by the fields that identify it. */
export interface RowIndex {
  /** The slot of the row, or -1. */
  find(identity: RowIdentity): number;
  /** Adds a row unless the index has an earlier version of the row. Gives the slot that the index has for the row. */
  addUnlessThere(slot: number): number;
  /** Removes a row; its columns must still hold the row. */
  remove(slot: number): void;
}

export function createRowIndex(chunkOf: (slot: number) => RowChunk): RowIndex {
  const slots = createSlotIndex(hashOf);

  function hashOf(slot: number): number {
    const chunk = chunkOf(slot);
    const index = indexInChunk(slot);
    const uuid = chunk.taskInstance?.[4 * index + 3] ?? 0;
    return hash(runAt(chunk, index), nameAt(chunk, index), mapIndexAt(chunk, index) ^ uuid);
  }

  function isAt(slot: number, { run, name, mapIndex, table, taskInstance }: RowIdentity): boolean {
    const chunk = chunkOf(slot);
    const index = indexInChunk(slot);
    return (
      nameAt(chunk, index) === name &&
      runAt(chunk, index) === run &&
      mapIndexAt(chunk, index) === mapIndex &&
      is.tableOf(flagsAt(chunk, index)) === table &&
      hasWords(chunk.taskInstance, index, taskInstance)
    );
  }

  function isSameRow(one: number, other: number): boolean {
    const [a, b] = [chunkOf(one), chunkOf(other)];
    const [i, j] = [indexInChunk(one), indexInChunk(other)];
    return (
      runAt(a, i) === runAt(b, j) &&
      nameAt(a, i) === nameAt(b, j) &&
      mapIndexAt(a, i) === mapIndexAt(b, j) &&
      is.tableOf(flagsAt(a, i)) === is.tableOf(flagsAt(b, j)) &&
      hasWords(a.taskInstance, i, taskInstanceAt(b, j))
    );
  }

  return {
    find(identity) {
      const { run, name, mapIndex, taskInstance } = identity;
      return slots.find(hash(run, name, mapIndex ^ taskInstance[3]), (slot) => isAt(slot, identity));
    },
    addUnlessThere(slot) {
      const itsHash = hashOf(slot);
      const before = slots.find(itsHash, (other) => isSameRow(other, slot));
      if (before !== -1) return before;
      slots.add(slot, itsHash);
      return slot;
    },
    remove(slot) {
      slots.remove(slot, hashOf(slot));
    },
  };
}

/** Hashes the three numbers with Murmur3's finalizer, 32 bits. */
function hash(one: number, two: number, three: number): number {
  let mixed = Math.imul(one, 0x9e3779b1) ^ Math.imul(two, 0x85ebca6b) ^ Math.imul(three, 0xc2b2ae35);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
