import type { Worker } from '../airflow/worker-queries.ts';
import type { Pace } from '../lib/pace.ts';
import type { Bases } from '../window/bases.ts';
import { CHUNK_ROWS } from '../window/columns.ts';
import * as is from '../window/flags.ts';
import type { Looks } from '../window/looks.ts';
import { baseAt, flagsAt, sizeAt, timeAt, workerAt } from '../window/row-fields.ts';
import type { RowStore } from '../window/row-store.ts';
import { areSeveralTasks, keptTogether, widen } from './kept-by-worker.ts';
import type { Kept, KeptByWorker, Mutable, Tasks } from './kept-by-worker.ts';
import type { Tally } from './tally.ts';

/** References by size: no larger than the largest value that the same workers kept, of unknown size, or larger. */
export interface Sizes {
  readonly small: number;
  readonly unsized: number;
  readonly larger: number;
}

/** The values that some workers kept and put into object storage, in order of time. */
export interface History extends Beside {
  readonly kept: Kept;
}

/** References in their order relative to the values that were kept. */
interface Beside {
  /** References before the first kept value, between the first and the last one, and since the last one. */
  readonly earlier: Sizes;
  readonly between: Sizes;
  readonly since: Sizes;
  /** References that were written well before the last kept value. */
  readonly wellBefore: number;
  /** The smallest reference whose size is known; Infinity: there is none. */
  readonly smallest: number;
}

export interface Histories {
  /** By the number of a worker, which includes its host. Only workers that kept a large value are here. */
  readonly byWorker: ReadonlyMap<number, WorkerHistory>;
  /** Whether there are references whose worker nobody knows. */
  readonly areSomeUnknown: boolean;
}

export interface WorkerHistory {
  readonly worker: Worker;
  readonly own: History;
  /** The history of all workers with the same queue, executor and operator, whatever their host. */
  readonly pool: History;
  /** Whether more than one task ran on the host, so that it is no pod of a single task. */
  readonly isHostLasting: boolean;
}

/** Writers have clocks of their own, and tasks of one moment end in any order. */
export const SLACK_MS = 120_000;

/** The references of one worker in a part of the window, relative to the values kept in all of the window. */
interface WorkerBeside extends Tasks {
  readonly pool: Beside;
  /** Null: the worker itself kept nothing. */
  readonly own: Beside | null;
}

export type HistoryLooks = Looks<Tally, ReadonlyMap<number, WorkerBeside>>;

/** Orders the references relative to the kept values. Skips a part if no worker of its pools kept a large value. */
export async function historiesOf(
  store: Pick<RowStore, 'workers' | 'names'>,
  tallies: readonly Tally[],
  {
    bases,
    looks,
    pace,
  }: {
    readonly bases: Pick<Bases, 'isUncompressed' | 'isDoubtful'>;
    readonly looks: HistoryLooks;
    readonly pace: Pace;
  },
): Promise<Histories> {
  const keptByWorker = keptTogether(
    store,
    tallies.map(({ kept }) => kept),
  );
  const byWorker = new Map<number, Mutable<WorkerHistory>>();
  if (keptByWorker.size === 0) return { byWorker, areSomeUnknown: false };
  const poolOf = poolsOf(store, keptByWorker, byWorker);
  for (const tally of tallies) {
    if (![...tally.writers.keys()].some((number) => poolOf(number) !== undefined)) continue;
    const beside = looks.at(
      tally,
      () => lookBeside(tally, { store, bases, poolOf, byWorker }),
      () => groundsOf(tally, { poolOf, byWorker }),
    );
    for (const [number, { pool, own, ...tasks }] of beside) {
      addBeside(poolOf(number), pool);
      const history = byWorker.get(number);
      const kept = keptByWorker.get(number);
      if (history === undefined || kept === undefined || own === null) continue;
      addBeside(history.own, own);
      history.isHostLasting ||= areSeveralTasks(store, kept, tasks);
    }
    await pace.rest();
  }
  return { byWorker, areSomeUnknown: tallies.some(({ writers }) => writers.has(0)) };
}

type PoolOf = (worker: number) => Mutable<History> | undefined;

/** Fills in what each worker kept, and returns the history of each pool. */
function poolsOf(
  store: Pick<RowStore, 'workers'>,
  keptByWorker: ReadonlyMap<number, KeptByWorker>,
  byWorker: Map<number, Mutable<WorkerHistory>>,
): PoolOf {
  const pools = new Map<string, Mutable<History>>();
  for (const [number, { areSeveral, met, ...kept }] of keptByWorker) {
    const worker = store.workers.at(number);
    const pool = pools.get(poolName(worker));
    if (pool === undefined) pools.set(poolName(worker), historyOf(kept));
    else widen(pool.kept, kept);
    const own = historyOf(kept);
    byWorker.set(number, { worker, own, pool: own, isHostLasting: areSeveral });
  }
  const poolByWorker: (Mutable<History> | undefined)[] = [];
  for (const [number, , worker] of store.workers.entries()) {
    const pool = pools.get(poolName(worker));
    poolByWorker[number] = pool;
    const history = byWorker.get(number);
    if (history !== undefined && pool !== undefined) history.pool = pool;
  }
  return (number) => poolByWorker[number];
}

interface Besides {
  readonly poolOf: PoolOf;
  readonly byWorker: ReadonlyMap<number, WorkerHistory>;
}

/** Everything besides the tally that the look rests on, as text. */
function groundsOf(tally: Tally, { poolOf, byWorker }: Besides): string {
  const within = ({ first, last, largest }: Kept) => [reach(tally, first), reach(tally, last), largest];
  const beside = Array.from(tally.writers.keys(), (number) => {
    const [pool, own] = [poolOf(number), byWorker.get(number)?.own];
    return [number, pool === undefined ? [] : within(pool.kept), own === undefined ? [] : within(own.kept)];
  });
  return JSON.stringify(beside);
}

/**
 * A moment; or, if it lies beyond all rows of a part and their slack, the nearest such moment, which serves as well.
 */
export function reach({ least, most }: Pick<Tally, 'least' | 'most'>, moment: number): number {
  return Math.min(Math.max(moment, least.at - SLACK_MS - 1), most.at + SLACK_MS + 1);
}

function lookBeside(
  { chunk }: Tally,
  {
    store,
    bases,
    poolOf,
    byWorker,
  }: Besides & {
    readonly store: Pick<RowStore, 'names'>;
    readonly bases: Pick<Bases, 'isUncompressed' | 'isDoubtful'>;
  },
): ReadonlyMap<number, WorkerBeside> {
  const found = new Map<number, Mutable<WorkerBeside>>();
  for (let index = 0; index < CHUNK_ROWS; index += 1) {
    const flags = flagsAt(chunk, index);
    if (!is.isReference(flags) || bases.isDoubtful(baseAt(chunk, index))) continue;
    const number = workerAt(chunk, index);
    const pool = poolOf(number);
    if (pool === undefined) continue;
    const own = byWorker.get(number)?.own;
    const tasks = { met: { chunk, index }, areSeveral: false };
    let beside = found.get(number);
    if (beside === undefined) {
      beside = { pool: besideNone(), own: own === undefined ? null : besideNone(), ...tasks };
      found.set(number, beside);
    }
    const isMeasured = is.hasObject(flags) && bases.isUncompressed(baseAt(chunk, index));
    const size = isMeasured ? sizeAt(chunk, index) : null;
    const at = timeAt(chunk, index);
    addReference(beside.pool, { kept: pool.kept, at, size, hosts: 'several' });
    if (own === undefined || beside.own === null) continue;
    addReference(beside.own, { kept: own.kept, at, size, hosts: 'one' });
    beside.areSeveral ||= areSeveralTasks(store, beside, tasks);
  }
  return found;
}

/** The pool leaves out the host: each pod has its own name, and hosts are replaced. */
function poolName({ queue, executor, operator }: Worker): string {
  return JSON.stringify([queue, executor, operator]);
}

function historyOf({ rows, first, last, largest }: Kept): Mutable<History> {
  return { kept: { rows, first, last, largest }, ...besideNone() };
}

function besideNone(): Mutable<Beside> {
  const none = () => ({ small: 0, unsized: 0, larger: 0 });
  return { earlier: none(), between: none(), since: none(), wellBefore: 0, smallest: Infinity };
}

function addBeside(sum: Mutable<Beside> | undefined, more: Beside): void {
  if (sum === undefined) return;
  for (const when of ['earlier', 'between', 'since'] as const) {
    const sizes: Mutable<Sizes> = sum[when];
    for (const how of ['small', 'unsized', 'larger'] as const) sizes[how] += more[when][how];
  }
  sum.wellBefore += more.wellBefore;
  sum.smallest = Math.min(sum.smallest, more.smallest);
}

/**
 * The clock of one host gives the order of its values. Values of several hosts count as simultaneous within the slack.
 * The same holds for a value and a larger one of the same host: together they show a threshold.
 */
function addReference(
  beside: Mutable<Beside>,
  {
    kept,
    at,
    size,
    hosts,
  }: {
    readonly kept: Kept;
    readonly at: number;
    readonly size: number | null;
    readonly hosts: 'one' | 'several';
  },
): void {
  const how = size === null ? 'unsized' : size > kept.largest ? 'larger' : 'small';
  const slack = hosts === 'several' || how === 'larger' ? SLACK_MS : 0;
  const when = at > kept.last + slack ? 'since' : at < kept.first - slack ? 'earlier' : 'between';
  const sizes: Mutable<Sizes> = beside[when];
  sizes[how] += 1;
  if (at < kept.last - SLACK_MS) beside.wellBefore += 1;
  if (size !== null) beside.smallest = Math.min(beside.smallest, size);
}
