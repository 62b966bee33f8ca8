import type { Placement } from '../airflow/classify.ts';
import { expandReference } from '../airflow/compact-reference.ts';
import type { Reference } from '../airflow/reference.ts';
import type { RowId } from '../airflow/row-queries.ts';
import type { Worker } from '../airflow/worker-queries.ts';
import type { SampledRow } from '../airflow/xcom-row.ts';
import { createPace } from '../lib/pace.ts';
import { uuidText, uuidWords } from '../lib/uuid-words.ts';
import type { RowChunk } from './columns.ts';
import { copyRow, createSlots, indexInChunk, NO_WORDS, putWords } from './columns.ts';
import type { ObjectState, UncheckedReason } from './flags.ts';
import * as is from './flags.ts';
import { writePlacement, writeValueSize } from './placement-columns.ts';
import { baseAt, flagsAt, leafAt, nameAt, runAt, timeAt, workerAt } from './row-fields.ts';
import { createRowIndex } from './row-index.ts';
import type { Run } from './run.ts';
import type { SharedValues } from './shared-values.ts';
import { createSharedValues } from './shared-values.ts';

/**
 * The rows of the window in columns, about 70 bytes each: a million rows as objects would be half a gigabyte. The slot
 * identifies a row and stays the same until the row is removed.
 */
export interface RowStore extends Pick<SharedValues, 'names' | 'bases' | 'workers'> {
  readonly chunks: readonly RowChunk[];
  /** References that do not fit into columns, and paths of other rows, by slot. */
  readonly verbatimReferences: ReadonlyMap<number, Reference>;
  /** How many slots there are, in use or free: all slots are below this number. */
  size(): number;
  chunkOf(slot: number): RowChunk;
  runSlotOf(slot: number): number;
  /** Epoch ms. */
  timeOf(slot: number): number;
  flagsOf(slot: number): number;
  /** The slot of this row of the run, or -1. */
  find(run: Run, row: Pick<SampledRow, 'table' | keyof RowId>): number;
  /** Writes a row into a new slot. No list and no index contains the row yet. */
  write(run: Run, row: SampledRow, options: { placement: Placement; baseline: boolean }): number;
  /** Writes a row again that was written but not linked. */
  rewrite(run: Run, slot: number, again: { row: SampledRow; placement: Placement }): void;
  /** Adds a written row to the list and the index, in place of an earlier version of the row. Gives the row's slot. */
  link(run: Run, slot: number): number;
  /** Frees a slot that was written and never linked. */
  discard(slot: number): void;
  /** Removes the rows of a run for which `goes` is true; gives how many. */
  remove(run: Run, goes: (slot: number, chunk: RowChunk, index: number) => boolean): number;
  /** The linked rows of a run, latest first. Remove nothing during the iteration. */
  slotsOf(run: Run): Iterable<number>;
  setObject(run: Run, slot: number, answer: { object: ObjectState; bytes: number | null }): void;
  /** Notes that the row belongs to an earlier try, which never becomes the latest again. */
  setArchived(slot: number): void;
  /** Notes why S3 gave no answer about a reference. */
  setUnchecked(slot: number, reason: UncheckedReason): void;
  /** Notes what measuring has shown of a value for which only the stored size was known. */
  setMeasured(slot: number, measured: Pick<ValuePlacement, 'bytes' | 'leastBytes' | 'exact'>): void;
  /** Notes that the server cannot unpack the value, or that it is too large to be measured. */
  setNotUnpacked(slot: number): void;
  /** Notes that no worker with the backend wrote the row. */
  setServerWritten(slot: number): void;
  setWorker(slot: number, worker: Worker): void;
  /** The reference of a row; null when the row is not a reference of its own. */
  referenceOf(run: Run, slot: number): Reference | null;
  load(parts: LoadedRows): Promise<void>;
}

type ValuePlacement = Extract<Placement, { storage: 'db' }>;

/** The rows as a state file keeps them; links and counts are rebuilt. */
export interface LoadedRows {
  readonly chunks: readonly RowChunk[];
  readonly verbatim: Iterable<readonly [number, Reference]>;
  readonly runOf: (slot: number) => Run;
}

export function createRowStore(): RowStore {
  const slots = createSlots();
  const { chunks, chunkOf } = slots;
  const shared = createSharedValues();
  const { names, bases, workers } = shared;
  const verbatimReferences = new Map<number, Reference>();
  const rowIndex = createRowIndex(chunkOf);

  /** Gives the place of a row that is about to be written. */
  function opened(slot: number): { readonly chunk: RowChunk; readonly index: number } {
    const chunk = chunkOf(slot);
    chunk.written += 1;
    return { chunk, index: indexInChunk(slot) };
  }

  /** Releases the values that a row shares with others. */
  function release(slot: number): void {
    const chunk = chunkOf(slot);
    const index = indexInChunk(slot);
    names.release(nameAt(chunk, index));
    bases.release(baseAt(chunk, index));
    workers.release(workerAt(chunk, index));
    verbatimReferences.delete(slot);
  }

  function fill(
    slot: number,
    { run, row, placement, baseline }: { run: Run; row: SampledRow; placement: Placement; baseline: boolean },
  ): void {
    const { chunk, index } = opened(slot);
    chunk.run[index] = run.slot;
    chunk.name[index] = shared.holdName(row);
    chunk.mapIndex[index] = row.mapIndex;
    chunk.version[index] = Number(row.version);
    chunk.at[index] = row.at;
    chunk.worker[index] = 0;
    chunk.next[index] = 0;
    const taskInstance = row.taskInstanceId === null ? null : uuidWords(row.taskInstanceId);
    putWords(chunk, 'taskInstance', { index, words: taskInstance });
    chunk.flags[index] =
      writePlacement({ chunk, index, slot }, { row, placement, shared, verbatimReferences }) |
      is.tableBits(row.table) |
      (baseline ? is.BASELINE : 0) |
      (row.key === 'skipmixin_key' ? is.SKIP_DECISION : 0);
  }

  function count(run: Run, flags: number, by: 1 | -1): void {
    run.rows += by;
    if (is.hangsOnTask(flags)) run.rowsOnTasks += by;
    if (is.isReference(flags)) run.references += by;
    if (is.isUnverified(flags)) run.unverified += by;
  }

  const store: RowStore = {
    chunks,
    names,
    bases,
    workers,
    verbatimReferences,
    size: slots.size,
    chunkOf,
    runSlotOf: (slot) => runAt(chunkOf(slot), indexInChunk(slot)),
    timeOf: (slot) => timeAt(chunkOf(slot), indexInChunk(slot)),
    flagsOf: (slot) => flagsAt(chunkOf(slot), indexInChunk(slot)),

    find(run, row) {
      const name = shared.findName(row);
      if (name === 0) return -1;
      const taskInstance = (row.taskInstanceId === null ? null : uuidWords(row.taskInstanceId)) ?? NO_WORDS;
      return rowIndex.find({
        run: run.slot,
        name,
        mapIndex: row.mapIndex,
        table: row.table,
        taskInstance,
      });
    },

    write(run, row, options) {
      const slot = slots.take();
      fill(slot, { run, row, ...options });
      return slot;
    },

    rewrite(run, slot, { row, placement }) {
      const chunk = chunkOf(slot);
      const index = indexInChunk(slot);
      const next = chunk.next[index] ?? 0;
      const baseline = (flagsAt(chunk, index) & is.BASELINE) !== 0;
      release(slot);
      fill(slot, { run, row, placement, baseline });
      chunk.next[index] = next;
    },

    link(run, slot) {
      const chunk = chunkOf(slot);
      const index = indexInChunk(slot);
      run.oldest = Math.min(run.oldest, timeAt(chunk, index));
      const found = rowIndex.addUnlessThere(slot);
      if (found === slot) {
        chunk.next[index] = run.firstLink;
        run.firstLink = slot + 1;
        count(run, flagsAt(chunk, index), 1);
        return slot;
      }
      // The new version takes the slot of the old one, because lists and index point to that slot.
      const there = { chunk: chunkOf(found), index: indexInChunk(found) };
      const reference = verbatimReferences.get(slot);
      count(run, flagsAt(there.chunk, there.index), -1);
      release(found);
      copyRow({ chunk, index }, there);
      count(run, flagsAt(there.chunk, there.index), 1);
      if (reference !== undefined) verbatimReferences.set(found, reference);
      verbatimReferences.delete(slot);
      slots.giveBack(slot);
      return found;
    },

    discard(slot) {
      release(slot);
      slots.giveBack(slot);
    },

    remove(run, goes) {
      let removed = 0;
      let before: { chunk: RowChunk; index: number } | null = null;
      for (let link = run.firstLink; link !== 0;) {
        const slot = link - 1;
        const chunk = chunkOf(slot);
        const index = indexInChunk(slot);
        link = chunk.next[index] ?? 0;
        if (goes(slot, chunk, index)) {
          if (before === null) run.firstLink = link;
          else before.chunk.next[before.index] = link;
          rowIndex.remove(slot);
          count(run, flagsAt(chunk, index), -1);
          release(slot);
          slots.giveBack(slot);
          removed += 1;
        } else before = { chunk, index };
      }
      return removed;
    },

    *slotsOf(run) {
      for (let link = run.firstLink; link !== 0; link = chunkOf(link - 1).next[indexInChunk(link - 1)] ?? 0)
        yield link - 1;
    },

    setObject(run, slot, { object, bytes }) {
      const { chunk, index } = opened(slot);
      count(run, flagsAt(chunk, index), -1);
      chunk.flags[index] = is.withUnchecked(is.withObject(flagsAt(chunk, index), object), null);
      chunk.size[index] = bytes ?? Number.NaN;
      count(run, flagsAt(chunk, index), 1);
    },

    setArchived(slot) {
      const { chunk, index } = opened(slot);
      chunk.flags[index] = flagsAt(chunk, index) | is.ARCHIVED;
    },

    setUnchecked(slot, reason) {
      const { chunk, index } = opened(slot);
      chunk.flags[index] = is.withUnchecked(flagsAt(chunk, index), reason);
    },

    setMeasured(slot, measured) {
      const { chunk, index } = opened(slot);
      writeValueSize(chunk, index, measured);
      chunk.flags[index] = is.withMeasured(flagsAt(chunk, index), measured.exact);
    },

    setNotUnpacked(slot) {
      const { chunk, index } = opened(slot);
      chunk.flags[index] = flagsAt(chunk, index) | is.NOT_UNPACKED;
    },

    setServerWritten(slot) {
      const { chunk, index } = opened(slot);
      chunk.flags[index] = is.asServerWritten(flagsAt(chunk, index));
    },

    setWorker(slot, worker) {
      const { chunk, index } = opened(slot);
      workers.release(workerAt(chunk, index));
      chunk.worker[index] = shared.holdWorker(worker);
    },

    referenceOf(run, slot) {
      const chunk = chunkOf(slot);
      const index = indexInChunk(slot);
      if (!is.isReference(flagsAt(chunk, index))) return null;
      const verbatim = verbatimReferences.get(slot);
      if (verbatim !== undefined) return verbatim;
      const place = { dagId: run.dagId, runId: run.runId, ...names.at(nameAt(chunk, index)) };
      return expandReference(
        { base: bases.at(baseAt(chunk, index)), uuid: uuidText(leafAt(chunk, index)) },
        place,
      );
    },

    async load(parts) {
      const pace = createPace();
      slots.adopt(parts.chunks);
      for (const [slot, reference] of parts.verbatim) verbatimReferences.set(slot, reference);
      for (const chunk of chunks) {
        await pace.rest();
        for (const [index, flags] of chunk.flags.entries()) {
          const slot = chunk.first + index;
          if (flags === 0) {
            slots.giveBack(slot);
            continue;
          }
          const run = parts.runOf(runAt(chunk, index));
          names.holdAgain(nameAt(chunk, index));
          bases.holdAgain(baseAt(chunk, index));
          workers.holdAgain(workerAt(chunk, index));
          store.link(run, slot);
        }
      }
      for (const interner of [names, bases, workers]) interner.sweep();
    },
  };
  return store;
}
