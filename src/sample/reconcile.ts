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

/** Remembered rows that one cycle compares with the table; at least so many, and at least a share of the window. */
const ROWS_A_CYCLE = 1_000;
const SHARE_A_CYCLE = 1 / 120;
/**
 * While rows are deleted or updated. A round takes at most 20 cycles: it may begin in the middle of a part, and its last
 * part is short.
 */
const FAST_SHARE_A_CYCLE = 1 / 18;

/** The task instances whose turn it is to be compared with the table. */
export interface Part {
  /** Task instances, by their ids. */
  readonly ranges: readonly IdRange[];
  /** The remembered rows of them: slots by task instance and key. */
  readonly known: Map<string, number>;
  /** The moment after which the next part begins, epoch ms. */
  readonly next: number;
}

/**
 * The next part after the last one, in the order in which task instances were made, and at the end the first one again. Of
 * those that were made in the window all belong to it, to find rows that are not remembered; of the older ones only those
 * of remembered rows. All epoch ms.
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
  // A shard comes across the rows of the others as well, and looks at no longer a time than this share of the window.
  const most = isShard ? Math.floor(Math.max(after, from) + share * (now - from)) : Infinity;
  const toMs = Math.min(latest === null ? Infinity : -latest, most >= now ? Infinity : most);
  const known = new Map<string, number>();
  const older = new Set<string>();
  await eachTaskRow(rows, (slot, madeMs) => {
    // A row that is about to leave the window is not missed there.
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
 * Compares a part with the table, and strikes out what is there. Hands over rows of which nothing, or another version, is
 * remembered, some at a time: it may be all of them. What is new there is left to who reads that. Gives the slots of
 * rows that are not there any more.
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

/** Visits every remembered row that hangs on its task instance, with the moment at which that was made, epoch ms. */
async function eachTaskRow(rows: RowStore, visit: (slot: number, madeMs: number) => void): Promise<void> {
  const pace = createPace();
  for (const chunk of rows.chunks) {
    if (!hasTaskInstances(chunk)) continue;
    for (let index = 0; index < CHUNK_ROWS; index += 1)
      if (is.hangsOnTask(flagsAt(chunk, index))) visit(chunk.first + index, taskInstanceMadeAt(chunk, index));
    await pace.rest();
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
