import type { RowChunk, Words } from './columns.ts';
import { wordsAt } from './columns.ts';
import * as is from './flags.ts';

/**
 * The fields of one row, by its chunk and its index there. They are plain functions, not methods of an object, because
 * passes over a million rows call them and V8 inlines them.
 */
export function flagsAt(chunk: RowChunk, index: number): number {
  return chunk.flags[index] ?? 0;
}

/** The slot of the row's run. */
export function runAt(chunk: RowChunk, index: number): number {
  return chunk.run[index] ?? 0;
}

/** The number of the row's task and key. */
export function nameAt(chunk: RowChunk, index: number): number {
  return chunk.name[index] ?? 0;
}

export function mapIndexAt(chunk: RowChunk, index: number): number {
  return chunk.mapIndex[index] ?? 0;
}

export function versionAt(chunk: RowChunk, index: number): number {
  return chunk.version[index] ?? 0;
}

/** The row's own timestamp, epoch ms. */
export function timeAt(chunk: RowChunk, index: number): number {
  return chunk.at[index] ?? 0;
}

/** Bytes of the value, or of the object that the row refers to; NaN: not known. */
export function sizeAt(chunk: RowChunk, index: number): number {
  return chunk.size[index] ?? Number.NaN;
}

/** The least bytes that the value has: the measure of a value in the database may be too large. */
export function leastBytesAt(chunk: RowChunk, index: number): number {
  const size = sizeAt(chunk, index);
  return (flagsAt(chunk, index) & is.STORAGE_MASK) === is.DB ? size - (chunk.base[index] ?? 0) : size;
}

/** The number of the base of a reference; 0: the row is not a reference of its own. */
export function baseAt(chunk: RowChunk, index: number): number {
  return is.hasBase(flagsAt(chunk, index)) ? (chunk.base[index] ?? 0) : 0;
}

/** The number of the row's worker; 0: not known. */
export function workerAt(chunk: RowChunk, index: number): number {
  return chunk.worker[index] ?? 0;
}

export function taskInstanceAt(chunk: RowChunk, index: number): Words {
  return wordsAt(chunk.taskInstance, index);
}

/** Whether any row of the chunk hangs on its task instance. */
export function hasTaskInstances({ taskInstance }: RowChunk): boolean {
  return taskInstance !== null;
}

/** When the row's task instance was made, epoch ms: the first 48 bits of a UUID of version 7. */
export function taskInstanceMadeAt({ taskInstance }: RowChunk, index: number): number {
  if (taskInstance === null) return 0;
  return (taskInstance[4 * index] ?? 0) * 0x1_0000 + ((taskInstance[4 * index + 1] ?? 0) >>> 16);
}

/**
 * The uuid in the last part of the row's own reference. Airflow 3.4 puts the id of the task instance there, and another
 * column already holds that id. The leaf is all zeros then, which no uuid is.
 */
export function leafAt(chunk: RowChunk, index: number): Words {
  return wordsAt(leafColumn(chunk, index), index);
}

/** The first 53 bits of that uuid; if the uuid begins with the time, they contain the whole time. */
export function leafStartAt(chunk: RowChunk, index: number): number {
  const column = leafColumn(chunk, index);
  return (column?.[4 * index] ?? 0) * 2 ** 21 + ((column?.[4 * index + 1] ?? 0) >>> 11);
}

function leafColumn({ leaf, taskInstance }: RowChunk, index: number): Uint32Array<ArrayBuffer> | null {
  if (leaf === null) return taskInstance;
  const at = 4 * index;
  const bits = (leaf[at] ?? 0) | (leaf[at + 1] ?? 0) | (leaf[at + 2] ?? 0) | (leaf[at + 3] ?? 0);
  return bits === 0 ? taskInstance : leaf;
}
