import type { RowChunk, Words } from './columns.ts';
import { wordsAt } from './columns.ts';
import * as is from './flags.ts';

/**
 * The fields of one row, by its chunk and its index there. They are plain functions, not methods of an object, because
 * passes over a million rows call them: V8 puts them in line.
 */
export function flagsAt(chunk: RowChunk, index: number): number {
  return chunk.flags[index] ?? 0;
}

/** The slot of its run. */
export function runAt(chunk: RowChunk, index: number): number {
  return chunk.run[index] ?? 0;
}

/** The number of its task and key. */
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

/** Bytes of the value, or of the object that it refers to; NaN: not known. */
export function sizeAt(chunk: RowChunk, index: number): number {
  return chunk.size[index] ?? Number.NaN;
}

/** Bytes that it has at least: the measure of a value in the database may be too large. */
export function leastBytesAt(chunk: RowChunk, index: number): number {
  const size = sizeAt(chunk, index);
  return (flagsAt(chunk, index) & is.STORAGE_MASK) === is.DB ? size - (chunk.base[index] ?? 0) : size;
}

/** The number of the base of a reference; 0: it is no reference of its own row. */
export function baseAt(chunk: RowChunk, index: number): number {
  return is.hasBase(flagsAt(chunk, index)) ? (chunk.base[index] ?? 0) : 0;
}

/** The number of its worker; 0: not known. */
export function workerAt(chunk: RowChunk, index: number): number {
  return chunk.worker[index] ?? 0;
}

export function taskInstanceAt(chunk: RowChunk, index: number): Words {
  return wordsAt(chunk.taskInstance, index);
}

/** Says whether any row of the chunk hangs on its task instance. */
export function hasTaskInstances({ taskInstance }: RowChunk): boolean {
  return taskInstance !== null;
}

/** The moment at which its task instance was made, epoch ms: the first 48 bits of a UUID of version 7. */
export function taskInstanceMadeAt({ taskInstance }: RowChunk, index: number): number {
  if (taskInstance === null) return 0;
  return (taskInstance[4 * index] ?? 0) * 0x1_0000 + ((taskInstance[4 * index + 1] ?? 0) >>> 16);
}

/**
 * The uuid in the leaf of a reference of its own. Airflow 3.4 puts the id of the task instance there, which stands in
 * another column already: no uuid is all zeros.
 */
export function leafAt(chunk: RowChunk, index: number): Words {
  return wordsAt(leafColumn(chunk, index), index);
}

/** The first 53 bits of that uuid: of one that begins with the time, all of the time. */
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
