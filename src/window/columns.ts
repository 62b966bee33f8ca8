const CHUNK_BITS = 12;
/**
 * How many rows one set of columns holds: few enough that a pass over them does not hold up the event loop. The state
 * file depends on it: with another number, raise FORMAT in state/file.ts.
 */
export const CHUNK_ROWS = 1 << CHUNK_BITS;

/** A step in a list of rows: the slot of the next one plus one; 0 ends the list. */
export type Link = number;

/**
 * A few thousand rows as columns: 48 bytes per row, plus 16 for each uuid column. A row has the number `index` in its
 * chunk and `first + index` among all rows. Only window/ writes to the columns; row-fields.ts reads them.
 */
export interface RowChunk {
  readonly first: number;
  /** Grows with every write here except links, versions and the marks of a reading: {@link file://./looks.ts}. */
  written: number;
  /** {@link file://./flags.ts}; 0: the place is empty. */
  readonly flags: Uint32Array<ArrayBuffer>;
  /** The slot of the row's run. */
  readonly run: Uint32Array<ArrayBuffer>;
  /** The task and the key, interned. */
  readonly name: Uint32Array<ArrayBuffer>;
  readonly mapIndex: Int32Array<ArrayBuffer>;
  /** `xmin`. */
  readonly version: Uint32Array<ArrayBuffer>;
  /** The row's own timestamp, epoch ms. */
  readonly at: Float64Array<ArrayBuffer>;
  /** Bytes of the value, or of the object that the row refers to; NaN: not known. */
  readonly size: Float64Array<ArrayBuffer>;
  /** The base of a reference, interned; for a value in the database, the bytes by which `size` may be too large. */
  readonly base: Uint32Array<ArrayBuffer>;
  /** The worker that the row's task instance ran on, interned; 0: not known. */
  readonly worker: Uint32Array<ArrayBuffer>;
  /** The {@link Link} to the next row of the same run, or to the next free place. */
  readonly next: Uint32Array<ArrayBuffer>;
  /** Uuids, four words per row; null as long as no row here has one. */
  taskInstance: Uint32Array<ArrayBuffer> | null;
  leaf: Uint32Array<ArrayBuffer> | null;
}

/** The columns that a state file keeps, in its order. */
export const KEPT_COLUMNS = [
  'flags',
  'run',
  'name',
  'mapIndex',
  'version',
  'at',
  'size',
  'base',
  'worker',
  'taskInstance',
  'leaf',
] as const;
export type KeptColumn = (typeof KEPT_COLUMNS)[number];

/** `columns`: the columns that the chunk must have from the start. */
export function newChunk(first: number, columns: readonly KeptColumn[]): RowChunk {
  const words = () => new Uint32Array(CHUNK_ROWS);
  const uuids = (column: KeptColumn) => (columns.includes(column) ? newUuids() : null);
  return {
    first,
    written: 0,
    flags: words(),
    run: words(),
    name: words(),
    mapIndex: new Int32Array(CHUNK_ROWS),
    version: words(),
    at: new Float64Array(CHUNK_ROWS),
    size: new Float64Array(CHUNK_ROWS),
    base: words(),
    worker: words(),
    next: words(),
    taskInstance: uuids('taskInstance'),
    leaf: uuids('leaf'),
  };
}

function newUuids(): Uint32Array<ArrayBuffer> {
  return new Uint32Array(4 * CHUNK_ROWS);
}

/** The columns that a state file has to keep of this chunk. */
export function keptColumns(chunk: RowChunk): KeptColumn[] {
  return KEPT_COLUMNS.filter((column) => chunk[column] !== null);
}

/** The memory of the first `rows` rows of a column, to be written to a file or filled from one. */
export function columnBytes(chunk: RowChunk, column: KeptColumn, rows: number): Uint8Array {
  const array = chunk[column];
  if (array === null) throw new Error(`The chunk has no column ${column}`);
  return new Uint8Array(array.buffer, array.byteOffset, (array.byteLength / CHUNK_ROWS) * rows);
}

export function chunkNumber(slot: number): number {
  return slot >>> CHUNK_BITS;
}

export function indexInChunk(slot: number): number {
  return slot & (CHUNK_ROWS - 1);
}

export type Words = readonly [number, number, number, number];

export const NO_WORDS: Words = [0, 0, 0, 0];

export function wordsAt(column: Uint32Array<ArrayBuffer> | null, index: number): Words {
  if (column === null) return NO_WORDS;
  const at = 4 * index;
  return [column[at] ?? 0, column[at + 1] ?? 0, column[at + 2] ?? 0, column[at + 3] ?? 0];
}

export function hasWords(column: Uint32Array<ArrayBuffer> | null, index: number, words: Words): boolean {
  return words.every((word, at) => word === (column?.[4 * index + at] ?? 0));
}

export function putWords(
  chunk: RowChunk,
  column: 'taskInstance' | 'leaf',
  { index, words }: { readonly index: number; readonly words: Words | null },
): void {
  if (words === null && chunk[column] === null) return;
  const array = (chunk[column] ??= newUuids());
  array.set(words ?? NO_WORDS, 4 * index);
}

/** Copies a row without its link. */
export function copyRow(
  from: { chunk: RowChunk; index: number },
  to: { chunk: RowChunk; index: number },
): void {
  to.chunk.written += 1;
  for (const column of KEPT_COLUMNS)
    if (column === 'taskInstance' || column === 'leaf')
      putWords(to.chunk, column, { index: to.index, words: wordsAt(from.chunk[column], from.index) });
    else to.chunk[column][to.index] = from.chunk[column][from.index] ?? 0;
}

/** The places for rows. Chunks are added when no place is left, and no chunk is ever dropped. */
export interface Slots {
  readonly chunks: readonly RowChunk[];
  /** All slots are below this number. */
  readonly size: () => number;
  readonly chunkOf: (slot: number) => RowChunk;
  take(): number;
  giveBack(slot: number): void;
  /** Takes chunks that were filled elsewhere, while there are no chunks yet. The caller gives empty places back. */
  adopt(filled: readonly RowChunk[]): void;
}

export function createSlots(): Slots {
  const chunks: RowChunk[] = [];
  /** The first free place in the list of places that were given back. */
  let free: Link = 0;
  let size = 0;

  function chunkOf(slot: number): RowChunk {
    const chunk = chunks[chunkNumber(slot)];
    if (chunk === undefined) throw new Error(`There is no row ${slot}`);
    return chunk;
  }

  return {
    chunks,
    size: () => size,
    chunkOf,
    take() {
      if (free !== 0) {
        const slot = free - 1;
        free = chunkOf(slot).next[indexInChunk(slot)] ?? 0;
        return slot;
      }
      const slot = size;
      size += 1;
      if (chunkNumber(slot) === chunks.length) chunks.push(newChunk(slot, []));
      return slot;
    },
    giveBack(slot) {
      const chunk = chunkOf(slot);
      const at = indexInChunk(slot);
      chunk.written += 1;
      chunk.flags[at] = 0;
      chunk.next[at] = free;
      free = slot + 1;
    },
    adopt(filled) {
      for (const chunk of filled) chunks.push(chunk);
      size = chunks.length * CHUNK_ROWS;
    },
  };
}
