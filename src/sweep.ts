import type { XComSource } from './airflow/shape.ts';
import { sweepStatement } from './airflow/task-queries.ts';
import type { Since, SweptRow, TaskRowId } from './airflow/task-queries.ts';
import { createPace } from './lib/pace.ts';
import { createTop } from './lib/top.ts';
import { uuidText } from './lib/uuid-words.ts';
import { indexInChunk, wordsAt } from './row-columns.ts';
import * as is from './row-flags.ts';
import type { RowStore } from './row-store.ts';
import type { Reading } from './sample.ts';

/** Remembered rows that one cycle compares with the table; at least so many, and at least so much of the window. */
const ROWS_A_CYCLE = 1_000;
const SHARE_A_CYCLE = 1 / 60;

/** The rows whose turn it is to be compared: all of the task instances that were made between two moments. */
export interface Part {
  /** Epoch ms, both included. */
  readonly fromMs: number;
  readonly toMs: number;
  /** After which moment the next part begins. */
  readonly next: number;
  /** What is remembered: slots by task instance and key. */
  readonly known: ReadonlyMap<string, number>;
}

/** In what the table and what is remembered differ. */
export interface Swept {
  /** Rows of which nothing, or another version, is remembered. */
  readonly changed: readonly TaskRowId[];
  /** Slots of rows that are not there any more. */
  readonly lost: readonly number[];
}

/**
 * The next part after a moment, in the order in which task instances were made, and at the end the first one again.
 * `from`: the start of the window, epoch ms.
 */
export async function nextPart(
  rows: RowStore,
  { after, from }: { readonly after: number; readonly from: number },
): Promise<Part> {
  const size = Math.max(ROWS_A_CYCLE, Math.ceil(rows.size() * SHARE_A_CYCLE));
  const earliest = createTop(size);
  await eachTaskRow(rows, (slot, madeMs) => {
    if (madeMs > after) earliest.offer(slot, -madeMs);
  });
  const slots = earliest.items();
  const [first, last] = [slots[0], slots.at(-1)];
  if (slots.length === 0 && after >= 0) return nextPart(rows, { after: -1, from });
  const isLast = slots.length < size;
  const toMs = isLast || last === undefined ? Infinity : madeMsOf(rows, last);
  const known = new Map<string, number>();
  await eachTaskRow(rows, (slot, madeMs) => {
    if (madeMs > after && madeMs <= toMs) known.set(nameOf(rows, slot), slot);
  });
  // Rows of which nothing is remembered are looked for in the window, and where others are remembered.
  const start = first === undefined ? from : Math.min(from, madeMsOf(rows, first));
  const fromMs = after < 0 ? start : after + 1;
  return { fromMs, toMs, known, next: isLast ? -1 : toMs };
}

/** Compares a part with the table. What is new there is left to who reads that. */
export async function sweep(
  { readEach }: Pick<Reading, 'readEach'>,
  source: XComSource,
  options: Since & { readonly part: Part; readonly rows: RowStore },
): Promise<Swept> {
  const { part, rows } = options;
  const changed: TaskRowId[] = [];
  const left = new Map(part.known);
  await readEach<SweptRow>(
    sweepStatement(source, { ...options, ...part }),
    (found) => {
      for (const { taskInstanceId, key, version, isNew } of found) {
        const name = `${taskInstanceId} ${key}`;
        const slot = left.get(name);
        left.delete(name);
        const isKnown = slot !== undefined && versionOf(rows, slot) === Number(version);
        if (!isKnown && !isNew) changed.push({ taskInstanceId, key });
      }
    },
    { pageByPage: true },
  );
  return { changed, lost: [...left.values()] };
}

/** Visits every remembered row that hangs on its task instance, with the moment at which that was made, epoch ms. */
async function eachTaskRow(rows: RowStore, visit: (slot: number, madeMs: number) => void): Promise<void> {
  const pace = createPace();
  for (const { first, flags, taskInstance } of rows.chunks) {
    if (taskInstance === null) continue;
    for (let at = 0; at < flags.length; at += 1)
      if (is.hangsOnTask(flags[at] ?? 0)) visit(first + at, madeMsAt(taskInstance, at));
    await pace.rest();
  }
}

/** The first 48 bits of a UUID of version 7. */
function madeMsAt(taskInstance: Uint32Array, at: number): number {
  return (taskInstance[4 * at] ?? 0) * 0x1_0000 + ((taskInstance[4 * at + 1] ?? 0) >>> 16);
}

function madeMsOf(rows: RowStore, slot: number): number {
  const { taskInstance } = rows.chunkOf(slot);
  return taskInstance === null ? 0 : madeMsAt(taskInstance, indexInChunk(slot));
}

function nameOf(rows: RowStore, slot: number): string {
  const chunk = rows.chunkOf(slot);
  const at = indexInChunk(slot);
  return `${uuidText(wordsAt(chunk.taskInstance, at))} ${rows.names.at(chunk.name[at] ?? 0).key}`;
}

function versionOf(rows: RowStore, slot: number): number {
  return rows.chunkOf(slot).version[indexInChunk(slot)] ?? 0;
}
