import type { RowChunk } from '../window/columns.ts';
import { leastBytesAt, mapIndexAt, nameAt, runAt, timeAt, workerAt } from '../window/row-fields.ts';
import type { RowStore } from '../window/row-store.ts';

/** The large values that some workers kept in the database. Times are epoch ms, sizes bytes. */
export interface Kept {
  readonly rows: number;
  readonly first: number;
  readonly last: number;
  readonly largest: number;
}

export interface KeptByWorker extends Kept, Tasks {}

/** Whether rows belong to more than one task. Then the host is no pod of a single task. */
export interface Tasks {
  /** The row that was met first. */
  readonly met: Place;
  readonly areSeveral: boolean;
}

export interface Place {
  readonly chunk: RowChunk;
  readonly index: number;
}

export type Mutable<Value> = { -readonly [Key in keyof Value]: Value[Key] };

type Names = Pick<RowStore, 'names'>;

/** Collects what each worker kept, in one pass over the rows. */
export interface KeptGathering {
  add(chunk: RowChunk, index: number): void;
  tell(): ReadonlyMap<number, KeptByWorker>;
}

export function gatherKept(rows: Names): KeptGathering {
  const byWorker = new Map<number, Mutable<KeptByWorker>>();
  return {
    add(chunk, index) {
      const worker = workerAt(chunk, index);
      if (worker === 0) return;
      const at = timeAt(chunk, index);
      const one = { rows: 1, first: at, last: at, largest: leastBytesAt(chunk, index) };
      const tasks = { met: { chunk, index }, areSeveral: false };
      const kept = byWorker.get(worker);
      if (kept === undefined) byWorker.set(worker, { ...one, ...tasks });
      else {
        widen(kept, one);
        kept.areSeveral ||= areSeveralTasks(rows, kept, tasks);
      }
    },
    tell: () => byWorker,
  };
}

/** Adds up what each worker kept in all parts of the window. */
export function keptTogether(
  rows: Names,
  parts: readonly ReadonlyMap<number, KeptByWorker>[],
): ReadonlyMap<number, KeptByWorker> {
  const together = new Map<number, Mutable<KeptByWorker>>();
  for (const part of parts)
    for (const [worker, more] of part) {
      const kept = together.get(worker);
      if (kept === undefined) together.set(worker, { ...more });
      else {
        widen(kept, more);
        kept.areSeveral ||= areSeveralTasks(rows, kept, more);
      }
    }
  return together;
}

export function widen(kept: Mutable<Kept>, more: Kept): void {
  kept.rows += more.rows;
  kept.first = Math.min(kept.first, more.first);
  kept.last = Math.max(kept.last, more.last);
  kept.largest = Math.max(kept.largest, more.largest);
}

/** Whether the rows of two parts belong to more than one task. */
export function areSeveralTasks(rows: Names, one: Tasks, other: Tasks): boolean {
  return one.areSeveral || other.areSeveral || !isSameTask(rows, one.met, other.met);
}

function isSameTask({ names }: Names, a: Place, b: Place): boolean {
  if (runAt(a.chunk, a.index) !== runAt(b.chunk, b.index)) return false;
  if (mapIndexAt(a.chunk, a.index) !== mapIndexAt(b.chunk, b.index)) return false;
  const [one, other] = [nameAt(a.chunk, a.index), nameAt(b.chunk, b.index)];
  return one === other || names.at(one).taskId === names.at(other).taskId;
}
