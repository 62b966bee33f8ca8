import type { XComSource } from '../airflow/shape.ts';
import type { IdRange, Since, SweptRow, TaskRowId } from '../airflow/task-queries.ts';
import { idsMade, sweepStatement } from '../airflow/task-queries.ts';
import { chunks } from '../lib/chunks.ts';
import { createPace } from '../lib/pace.ts';
import { createTop } from '../lib/top.ts';
import { uuidText } from '../lib/uuid-words.ts';
import { CHUNK_ROWS, indexInChunk } from '../window/columns.ts';
import * as is from '../window/flags.ts';
import {
  flagsAt,
  hasTaskInstances,
  nameAt,
  taskInstanceAt,
  taskInstanceMadeAt,
  versionAt,
} from '../window/row-fields.ts';
import type { RowStore } from '../window/row-store.ts';
import type { SweepState } from '../window/sweep-state.ts';
import type { Reading } from './reading.ts';
import { RANGES_A_STATEMENT, rangesOf } from './task-instances.ts';

/**
 * How many remembered rows one cycle compares with the table: at least this many, and at least this share of the
 * window.
 */
const ROWS_A_CYCLE = 1_000;
const SHARE_A_CYCLE = 1 / 120;
/**
 * The share while rows are deleted or updated. A round takes at most 20 cycles: it may begin in the middle of a part,
 * and its last part is short.
 */
const FAST_SHARE_A_CYCLE = 1 / 18;

/** After so many rows the event loop may have its turn. */
const ROWS_A_PIECE = 256;

/** The task instances that this cycle compares with the table. */
export interface Part {
  /** The task instances, as ranges of ids. */
  readonly ranges: readonly IdRange[];
  /** The remembered rows of these task instances: slots by task instance and key. */
  readonly known: Map<string, number>;
  /** The moment after which the next part begins, epoch ms. */
  readonly next: number;
}

/**
 * The part after the last one, in the order in which task instances were made; after the end, the first one again. In
 * its period, the part holds all task instances that were made in the window, to find rows that are not remembered. Of
 * older task instances it holds only those of remembered rows. All times are epoch ms.
 */
export async function nextPart(
  rows: RowStore,
  {
    sweep,
    from,
    now,
    isShard,
  }: { readonly sweep: SweepState; readonly from: number; readonly now: number; readonly isShard: boolean },
): Promise<Part> {
  const after = sweep.to;
  const share = sweep.fastRounds > 0 ? FAST_SHARE_A_CYCLE : SHARE_A_CYCLE;
  const size = Math.max(ROWS_A_CYCLE, Math.ceil(rows.size() * share));
  const earliest = createTop(size);
  await eachTaskRow(rows, (slot, madeMs) => {
    if (madeMs > after) earliest.offer(slot, -madeMs);
  });
  const latest = earliest.floor();
  // A shard also meets the rows of other shards, so it covers at most this share of the window's time.
  const most = isShard ? Math.floor(Math.max(after, from) + share * (now - from)) : Infinity;
  const toMs = Math.min(latest === null ? Infinity : -latest, most >= now ? Infinity : most);
  const known = new Map<string, number>();
  const older = new Set<string>();
  await eachTaskRow(rows, (slot, madeMs) => {
    // A row that is about to leave the window is not compared.
    if (madeMs <= after || madeMs > toMs || rows.timeOf(slot) < from) return;
    const { taskInstanceId, key } = rowOf(rows, slot);
    known.set(nameOf({ taskInstanceId, key }), slot);
    if (madeMs < from) older.add(taskInstanceId);
  });
  const ranges = rangesOf(older);
  if (toMs >= from) ranges.push(idsMade(Math.max(from, after + 1), toMs));
  return { ranges, known, next: toMs === Infinity ? -1 : toMs };
}

/**
 * Compares a part with the table, and removes from `known` the rows that exist. Passes on rows that are not remembered,
 * or only in another version, in groups, because they may be all rows. New rows are left to the reading of new rows.
 * Returns the slots of rows that no longer exist.
 */
export async function sweep(
  { readEach }: Pick<Reading, 'readEach'>,
  source: XComSource,
  options: Since & {
    readonly part: Part;
    readonly from: number;
    readonly rows: RowStore;
    readonly take: (changed: readonly TaskRowId[]) => Promise<void>;
  },
): Promise<readonly number[]> {
  const { part, rows, take } = options;
  const { known } = part;
  const compare = async (found: readonly SweptRow[]) => {
    const changed: TaskRowId[] = [];
    for (const { taskInstanceId, key, version, isNew } of found) {
      const name = nameOf({ taskInstanceId, key });
      const slot = known.get(name);
      known.delete(name);
      const isKnown = slot !== undefined && versionOf(rows, slot) === Number(version);
      if (!isKnown && !isNew) changed.push({ taskInstanceId, key });
    }
    if (changed.length > 0) await take(changed);
  };
  for (const ranges of chunks(part.ranges, RANGES_A_STATEMENT))
    await readEach(sweepStatement(source, { ...options, ranges }), compare, { pageByPage: true });
  return [...known.values()];
}

/**
 * Visits every remembered row that hangs on its task instance, with the moment at which that one was made, epoch ms.
 */
async function eachTaskRow(rows: RowStore, visit: (slot: number, madeMs: number) => void): Promise<void> {
  const pace = createPace();
  for (const chunk of rows.chunks) {
    if (!hasTaskInstances(chunk)) continue;
    for (let index = 0; index < CHUNK_ROWS; index += 1) {
      if (is.hangsOnTask(flagsAt(chunk, index))) visit(chunk.first + index, taskInstanceMadeAt(chunk, index));
      if (index % ROWS_A_PIECE === 0) await pace.rest();
    }
  }
}

function rowOf(rows: RowStore, slot: number): TaskRowId {
  const chunk = rows.chunkOf(slot);
  const index = indexInChunk(slot);
  const { key } = rows.names.at(nameAt(chunk, index));
  return { taskInstanceId: uuidText(taskInstanceAt(chunk, index)), key };
}

function nameOf({ taskInstanceId, key }: TaskRowId): string {
  return `${taskInstanceId} ${key}`;
}

function versionOf(rows: RowStore, slot: number): number {
  return versionAt(rows.chunkOf(slot), indexInChunk(slot));
}
