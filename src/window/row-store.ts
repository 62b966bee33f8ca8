import type { Placement } from '../airflow/classify.ts';
import type { ReferenceBase } from '../airflow/compact-reference.ts';
import { expandReference } from '../airflow/compact-reference.ts';
import type { Reference } from '../airflow/reference.ts';
import type { RowId } from '../airflow/row-queries.ts';
import type { Worker } from '../airflow/worker-queries.ts';
import type { SampledRow } from '../airflow/xcom-row.ts';
import type { Interner } from '../lib/interner.ts';
import { createInterner } from '../lib/interner.ts';
import { createPace } from '../lib/pace.ts';
import { createSlotIndex } from '../lib/slot-index.ts';
import { uuidText, uuidWords } from '../lib/uuid-words.ts';
import type { RowChunk } from './columns.ts';
import {
  copyRow,
  createSlots,
  hasWords,
  indexInChunk,
  leafAt,
  NO_WORDS,
  putWords,
  wordsAt,
} from './columns.ts';
import type { ObjectState } from './flags.ts';
import * as is from './flags.ts';
import { writePlacement } from './placement-columns.ts';
import type { Run } from './run.ts';

/**
 * Workers that are told apart by their host. Beyond, only by the rest: where each task has a pod of its own, each of a
 * million rows would have a host of its own, and half a kilobyte for it.
 */
export const MAX_HOSTS = 5_000;

export interface TaskKey {
  readonly taskId: string;
  readonly key: string;
}

/**
 * The rows of the window in columns, about 70 bytes each: a million of them as objects would be half a gigabyte. A row
 * is called by its slot, which stays its own until it is removed.
 */
export interface RowStore {
  readonly chunks: readonly RowChunk[];
  readonly names: Interner<TaskKey>;
  readonly bases: Interner<ReferenceBase>;
  readonly workers: Interner<Worker>;
  /** References that do not fit into columns, by slot. */
  readonly oddReferences: ReadonlyMap<number, Reference>;
  /** Slots in use or not yet used again: all slots are below. */
  size(): number;
  chunkOf(slot: number): RowChunk;
  runSlotOf(slot: number): number;
  /** Epoch ms. */
  timeOf(slot: number): number;
  flagsOf(slot: number): number;
  setFlags(slot: number, flags: number): void;
  /** The slot of this row of the run, or -1. */
  find(run: Run, row: Pick<SampledRow, 'table' | keyof RowId>): number;
  /** Writes a row that no list and no index knows yet. */
  write(run: Run, row: SampledRow, options: { placement: Placement; baseline: boolean }): number;
  /** Writes a row again that was written before and is not linked. */
  rewrite(run: Run, slot: number, again: { row: SampledRow; placement: Placement }): void;
  /** Lets a slot that was written be found, instead of the earlier version of the same row. Gives its slot. */
  link(run: Run, slot: number): number;
  /** Gives a slot back that was written and never linked. */
  discard(slot: number): void;
  /** Removes those rows of a run that are to go; gives how many. */
  remove(run: Run, goes: (slot: number, chunk: RowChunk, index: number) => boolean): number;
  /** The linked rows of a run, latest first. Nothing may be removed meanwhile. */
  slotsOf(run: Run): Iterable<number>;
  setObject(
    run: Run,
    slot: number,
    answer: { object: ObjectState; bytes: number | null; archived?: boolean },
  ): void;
  setWorker(slot: number, worker: Worker): void;
  /** Null for a row that is no reference of its own. */
  referenceOf(run: Run, slot: number): Reference | null;
  load(parts: LoadedRows): Promise<void>;
}

/** What a state file keeps: links and counts are made anew from it. */
export interface LoadedRows {
  readonly chunks: readonly RowChunk[];
  readonly odd: Iterable<readonly [number, Reference]>;
  readonly runOf: (slot: number) => Run;
}

export function createRowStore(): RowStore {
  const slots = createSlots();
  const { chunks, chunkOf } = slots;
  const names = createInterner<TaskKey>();
  const bases = createInterner<ReferenceBase>();
  const workers = createInterner<Worker>();
  const oddReferences = new Map<number, Reference>();
  const index = createSlotIndex(hashOf);

  function hashOf(slot: number): number {
    const chunk = chunkOf(slot);
    const at = indexInChunk(slot);
    const uuid = chunk.taskInstance?.[4 * at + 3] ?? 0;
    return hash(chunk.run[at] ?? 0, chunk.name[at] ?? 0, (chunk.mapIndex[at] ?? 0) ^ uuid);
  }

  function isSameRow(one: number, other: number): boolean {
    const [a, b] = [chunkOf(one), chunkOf(other)];
    const [i, j] = [indexInChunk(one), indexInChunk(other)];
    return (
      a.run[i] === b.run[j] &&
      a.name[i] === b.name[j] &&
      a.mapIndex[i] === b.mapIndex[j] &&
      is.tableOf(a.flags[i] ?? 0) === is.tableOf(b.flags[j] ?? 0) &&
      hasWords(a.taskInstance, i, wordsAt(b.taskInstance, j))
    );
  }

  /** Of what a row shares with others. */
  function release(slot: number): void {
    const chunk = chunkOf(slot);
    const at = indexInChunk(slot);
    names.release(chunk.name[at] ?? 0);
    if (is.isReference(chunk.flags[at] ?? 0)) bases.release(chunk.base[at] ?? 0);
    workers.release(chunk.worker[at] ?? 0);
    oddReferences.delete(slot);
  }

  function fill(
    slot: number,
    { run, row, placement, baseline }: { run: Run; row: SampledRow; placement: Placement; baseline: boolean },
  ): void {
    const chunk = chunkOf(slot);
    const at = indexInChunk(slot);
    chunk.run[at] = run.slot;
    chunk.name[at] = names.hold(nameOf(row), () => ({ taskId: row.taskId, key: row.key }));
    chunk.mapIndex[at] = row.mapIndex;
    chunk.version[at] = Number(row.version);
    chunk.at[at] = row.at;
    chunk.worker[at] = 0;
    chunk.next[at] = 0;
    const taskInstance = row.taskInstanceId === null ? null : uuidWords(row.taskInstanceId);
    putWords(chunk, 'taskInstance', { index: at, words: taskInstance });
    chunk.flags[at] =
      writePlacement({ chunk, at, slot }, { row, placement, bases, odd: oddReferences }) |
      is.tableBits(row.table) |
      (baseline ? is.BASELINE : 0) |
      (row.key === 'skipmixin_key' ? is.SKIP : 0);
  }

  function count(run: Run, flags: number, by: 1 | -1): void {
    run.rows += by;
    if (is.hangsOnTask(flags)) run.ofTasks += by;
    if (is.isReference(flags)) run.references += by;
    if (is.isUnverified(flags)) run.unverified += by;
  }

  const store: RowStore = {
    chunks,
    names,
    bases,
    workers,
    oddReferences: oddReferences,
    size: slots.size,
    chunkOf,
    runSlotOf: (slot) => chunkOf(slot).run[indexInChunk(slot)] ?? 0,
    timeOf: (slot) => chunkOf(slot).at[indexInChunk(slot)] ?? 0,
    flagsOf: (slot) => chunkOf(slot).flags[indexInChunk(slot)] ?? 0,
    setFlags(slot, flags) {
      chunkOf(slot).flags[indexInChunk(slot)] = flags;
    },

    find(run, row) {
      const name = names.find(nameOf(row));
      if (name === 0) return -1;
      const words = (row.taskInstanceId === null ? null : uuidWords(row.taskInstanceId)) ?? NO_WORDS;
      return index.find(hash(run.slot, name, row.mapIndex ^ words[3]), (slot) => {
        const chunk = chunkOf(slot);
        const at = indexInChunk(slot);
        return (
          chunk.name[at] === name &&
          chunk.run[at] === run.slot &&
          chunk.mapIndex[at] === row.mapIndex &&
          is.tableOf(chunk.flags[at] ?? 0) === row.table &&
          hasWords(chunk.taskInstance, at, words)
        );
      });
    },

    write(run, row, options) {
      const slot = slots.take();
      fill(slot, { run, row, ...options });
      return slot;
    },

    rewrite(run, slot, { row, placement }) {
      const chunk = chunkOf(slot);
      const at = indexInChunk(slot);
      const next = chunk.next[at] ?? 0;
      const baseline = ((chunk.flags[at] ?? 0) & is.BASELINE) !== 0;
      release(slot);
      fill(slot, { run, row, placement, baseline });
      chunk.next[at] = next;
    },

    link(run, slot) {
      const chunk = chunkOf(slot);
      const at = indexInChunk(slot);
      run.oldest = Math.min(run.oldest, chunk.at[at] ?? 0);
      const itsHash = hashOf(slot);
      const before = index.find(itsHash, (other) => isSameRow(other, slot));
      if (before === -1) {
        index.add(slot, itsHash);
        chunk.next[at] = run.first;
        run.first = slot + 1;
        count(run, chunk.flags[at] ?? 0, 1);
        return slot;
      }
      // The new version takes the place of the old one, which lists and index know.
      const there = { chunk: chunkOf(before), index: indexInChunk(before) };
      const reference = oddReferences.get(slot);
      count(run, there.chunk.flags[there.index] ?? 0, -1);
      release(before);
      copyRow({ chunk, index: at }, there);
      count(run, there.chunk.flags[there.index] ?? 0, 1);
      if (reference !== undefined) oddReferences.set(before, reference);
      oddReferences.delete(slot);
      slots.giveBack(slot);
      return before;
    },

    discard(slot) {
      release(slot);
      slots.giveBack(slot);
    },

    remove(run, goes) {
      let removed = 0;
      let before: { chunk: RowChunk; index: number } | null = null;
      for (let slot = run.first; slot !== 0;) {
        const chunk = chunkOf(slot - 1);
        const at = indexInChunk(slot - 1);
        const next = chunk.next[at] ?? 0;
        if (goes(slot - 1, chunk, at)) {
          if (before === null) run.first = next;
          else before.chunk.next[before.index] = next;
          index.remove(slot - 1, hashOf(slot - 1));
          count(run, chunk.flags[at] ?? 0, -1);
          release(slot - 1);
          slots.giveBack(slot - 1);
          removed += 1;
        } else before = { chunk, index: at };
        slot = next;
      }
      return removed;
    },

    *slotsOf(run) {
      for (let slot = run.first; slot !== 0; slot = chunkOf(slot - 1).next[indexInChunk(slot - 1)] ?? 0)
        yield slot - 1;
    },

    setObject(run, slot, { object, bytes, archived = false }) {
      const chunk = chunkOf(slot);
      const at = indexInChunk(slot);
      const flags = chunk.flags[at] ?? 0;
      count(run, flags, -1);
      const known = archived ? flags | is.ARCHIVED : flags & ~is.ARCHIVED;
      chunk.flags[at] = is.withUnchecked(is.withObject(known, object), null);
      chunk.size[at] = bytes ?? Number.NaN;
      count(run, chunk.flags[at] ?? 0, 1);
    },

    setWorker(slot, worker) {
      const chunk = chunkOf(slot);
      const at = indexInChunk(slot);
      workers.release(chunk.worker[at] ?? 0);
      const { queue, executor, operator } = worker;
      const nameWith = (host: string | null) => JSON.stringify([queue, executor, host, operator]);
      const isTold = workers.size() < MAX_HOSTS || workers.find(nameWith(worker.hostname)) !== 0;
      const hostname = isTold ? worker.hostname : null;
      chunk.worker[at] = workers.hold(nameWith(hostname), () => ({ queue, executor, hostname, operator }));
    },

    referenceOf(run, slot) {
      const chunk = chunkOf(slot);
      const at = indexInChunk(slot);
      if (!is.isReference(chunk.flags[at] ?? 0)) return null;
      const kept = oddReferences.get(slot);
      if (kept !== undefined) return kept;
      const uuid = uuidText(leafAt(chunk, at));
      const place = { dagId: run.dagId, runId: run.runId, ...names.at(chunk.name[at] ?? 0) };
      return expandReference({ base: bases.at(chunk.base[at] ?? 0), uuid }, place);
    },

    async load(parts) {
      const pace = createPace();
      slots.adopt(parts.chunks);
      for (const [slot, reference] of parts.odd) oddReferences.set(slot, reference);
      for (const chunk of chunks) {
        await pace.rest();
        for (const [at, flags] of chunk.flags.entries()) {
          const slot = chunk.first + at;
          if (flags === 0) {
            slots.giveBack(slot);
            continue;
          }
          const run = parts.runOf(chunk.run[at] ?? 0);
          names.holdAgain(chunk.name[at] ?? 0);
          if (is.isReference(flags)) bases.holdAgain(chunk.base[at] ?? 0);
          workers.holdAgain(chunk.worker[at] ?? 0);
          store.link(run, slot);
        }
      }
      for (const interner of [names, bases, workers]) interner.sweep();
    },
  };
  return store;
}

function nameOf({ taskId, key }: TaskKey): string {
  // No text of Postgres holds the character 0.
  return `${taskId}\0${key}`;
}

/** Murmur3's finalizer over the three, 32 bits. */
function hash(one: number, two: number, three: number): number {
  let mixed = Math.imul(one, 0x9e3779b1) ^ Math.imul(two, 0x85ebca6b) ^ Math.imul(three, 0xc2b2ae35);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
