import type { Worker } from '../airflow/worker-queries.ts';
import type { Pace } from '../lib/pace.ts';
import type { Bases } from '../window/bases.ts';
import type { RowChunk } from '../window/columns.ts';
import { CHUNK_ROWS } from '../window/columns.ts';
import * as is from '../window/flags.ts';
import {
  baseAt,
  flagsAt,
  leastBytesAt,
  mapIndexAt,
  nameAt,
  runAt,
  sizeAt,
  timeAt,
  workerAt,
} from '../window/row-fields.ts';
import type { RowStore } from '../window/row-store.ts';

/** The large values that some workers kept in the database. Times are epoch ms, sizes bytes. */
export interface Kept {
  readonly rows: number;
  readonly first: number;
  readonly last: number;
  readonly largest: number;
}

/** References by their sizes: no larger than the largest value that the same workers kept, not known, or larger. */
export interface Sizes {
  readonly small: number;
  readonly unsized: number;
  readonly larger: number;
}

/** What some workers kept and what they put into object storage, in the order of time. */
export interface History {
  readonly kept: Kept;
  /** References before the first value that was kept, before the last one, and since. */
  readonly earlier: Sizes;
  readonly between: Sizes;
  readonly since: Sizes;
  /** References that were written well before the last value that was kept. */
  readonly wellBefore: number;
  /** The smallest of those whose size is known; Infinity: there is none. */
  readonly smallest: number;
}

export interface Histories {
  /** By the number of the worker, which has a host: those alone that kept a large value. */
  readonly byWorker: ReadonlyMap<number, WorkerHistory>;
  /** There are references of which nobody knows the worker. */
  readonly areSomeUnknown: boolean;
}

export interface WorkerHistory {
  readonly worker: Worker;
  readonly own: History;
  /** With all workers of the same queue, executor and operator, whatever their host. */
  readonly pool: History;
  /** More than one task ran on the host: it is no pod of one task. */
  readonly isHostLasting: boolean;
}

/** Gathers in a pass over the rows what each worker kept. */
export interface KeptGathering {
  add(chunk: RowChunk, index: number): void;
  tell(): ReadonlyMap<number, KeptByWorker>;
}

interface KeptByWorker extends Kept {
  /** The row that was met first: another task than its own shows that the host is no pod of one task. */
  readonly met: { readonly chunk: RowChunk; readonly index: number };
  readonly isHostLasting: boolean;
}

export function gatherKept(rows: Pick<RowStore, 'names'>): KeptGathering {
  const byWorker = new Map<number, Mutable<KeptByWorker>>();
  return {
    add(chunk, index) {
      const worker = workerAt(chunk, index);
      if (worker === 0) return;
      const at = timeAt(chunk, index);
      const bytes = leastBytesAt(chunk, index);
      const kept = byWorker.get(worker);
      if (kept === undefined) {
        const met = { chunk, index };
        byWorker.set(worker, { rows: 1, first: at, last: at, largest: bytes, met, isHostLasting: false });
        return;
      }
      widen(kept, { rows: 1, first: at, last: at, largest: bytes });
      kept.isHostLasting ||= !isSameTask(rows, kept.met, { chunk, index });
    },
    tell: () => byWorker,
  };
}

/** Writers have clocks of their own, and tasks of one moment end in any order. */
export const SLACK_MS = 120_000;

/** Sets the references in order beside what was kept. It takes no pass where no worker kept a large value. */
export async function historiesOf(
  store: Pick<RowStore, 'chunks' | 'workers' | 'names'>,
  keptByWorker: ReadonlyMap<number, KeptByWorker>,
  { bases, pace }: { readonly bases: Pick<Bases, 'isUncompressed' | 'isDoubtful'>; readonly pace: Pace },
): Promise<Histories> {
  const byWorker = new Map<number, Mutable<WorkerHistory>>();
  if (keptByWorker.size === 0) return { byWorker, areSomeUnknown: false };
  const pools = new Map<string, Mutable<History>>();
  for (const [number, { isHostLasting, ...kept }] of keptByWorker) {
    const worker = store.workers.at(number);
    const own = historyOf(kept);
    const pool = pools.get(poolOf(worker));
    if (pool === undefined) pools.set(poolOf(worker), historyOf(kept));
    else widen(pool.kept, kept);
    byWorker.set(number, { worker, own, pool: own, isHostLasting });
  }
  const poolByWorker: (Mutable<History> | undefined)[] = [];
  for (const [number, , worker] of store.workers.entries()) {
    const pool = pools.get(poolOf(worker));
    poolByWorker[number] = pool;
    const history = byWorker.get(number);
    if (history !== undefined && pool !== undefined) history.pool = pool;
  }

  let areSomeUnknown = false;
  for (const chunk of store.chunks) {
    for (let index = 0; index < CHUNK_ROWS; index += 1) {
      const flags = flagsAt(chunk, index);
      if (!is.isReference(flags) || bases.isDoubtful(baseAt(chunk, index))) continue;
      const number = workerAt(chunk, index);
      if (number === 0) areSomeUnknown = true;
      const pool = poolByWorker[number];
      if (pool === undefined) continue;
      const isMeasured = is.hasObject(flags) && bases.isUncompressed(baseAt(chunk, index));
      const size = isMeasured ? sizeAt(chunk, index) : null;
      const at = timeAt(chunk, index);
      addReference(pool, { at, size, hosts: 'several' });
      const history = byWorker.get(number);
      if (history === undefined) continue;
      addReference(history.own, { at, size, hosts: 'one' });
      const met = keptByWorker.get(number)?.met;
      if (met !== undefined) history.isHostLasting ||= !isSameTask(store, met, { chunk, index });
    }
    await pace.rest();
  }
  return { byWorker, areSomeUnknown };
}

type Mutable<Value> = { -readonly [Key in keyof Value]: Value[Key] };

/** Without the host: pods have a name each, and hosts are replaced. */
function poolOf({ queue, executor, operator }: Worker): string {
  return JSON.stringify([queue, executor, operator]);
}

function historyOf({ rows, first, last, largest }: Kept): Mutable<History> {
  const none = () => ({ small: 0, unsized: 0, larger: 0 });
  return {
    kept: { rows, first, last, largest },
    earlier: none(),
    between: none(),
    since: none(),
    wellBefore: 0,
    smallest: Infinity,
  };
}

function widen(kept: Mutable<Kept>, more: Kept): void {
  kept.rows += more.rows;
  kept.first = Math.min(kept.first, more.first);
  kept.last = Math.max(kept.last, more.last);
  kept.largest = Math.max(kept.largest, more.largest);
}

/**
 * The clock of one host gives the order of its values. Those of several hosts are of one time within the slack, and so is
 * a value beside a larger one of the same host: together they tell a threshold.
 */
function addReference(
  history: Mutable<History>,
  {
    at,
    size,
    hosts,
  }: { readonly at: number; readonly size: number | null; readonly hosts: 'one' | 'several' },
): void {
  const { kept } = history;
  const how = size === null ? 'unsized' : size > kept.largest ? 'larger' : 'small';
  const slack = hosts === 'several' || how === 'larger' ? SLACK_MS : 0;
  const when = at > kept.last + slack ? 'since' : at < kept.first - slack ? 'earlier' : 'between';
  const sizes: Mutable<Sizes> = history[when];
  sizes[how] += 1;
  if (at < kept.last - SLACK_MS) history.wellBefore += 1;
  if (size !== null) history.smallest = Math.min(history.smallest, size);
}

interface Place {
  readonly chunk: RowChunk;
  readonly index: number;
}

function isSameTask({ names }: Pick<RowStore, 'names'>, a: Place, b: Place): boolean {
  if (runAt(a.chunk, a.index) !== runAt(b.chunk, b.index)) return false;
  if (mapIndexAt(a.chunk, a.index) !== mapIndexAt(b.chunk, b.index)) return false;
  const [one, other] = [nameAt(a.chunk, a.index), nameAt(b.chunk, b.index)];
  return one === other || names.at(one).taskId === names.at(other).taskId;
}
