/** Rows that one set of columns holds. */
export const CHUNK_ROWS = 1 << 14;
const CHUNK_BITS = 14;

/**
 * Some thousand rows as columns: 52 bytes a row, and 16 for each uuid that it has. A row is `index` in its chunk and
 * `first + index` among all.
 */
export interface RowChunk {
  readonly first: number;
  /** {@link file://./flags.ts}; 0: nothing is here. */
  readonly flags: Uint32Array<ArrayBuffer>;
  /** The slot of its run. */
  readonly run: Uint32Array<ArrayBuffer>;
  /** Task and key, interned. */
  readonly name: Uint32Array<ArrayBuffer>;
  readonly mapIndex: Int32Array<ArrayBuffer>;
  /** `xmin`. */
  readonly version: Uint32Array<ArrayBuffer>;
  /** Epoch ms. */
  readonly at: Float64Array<ArrayBuffer>;
  /** Bytes of the value, or of the object that it refers to; NaN: not known. */
  readonly size: Float64Array<ArrayBuffer>;
  /** Of a reference: what it shares with others, interned. Of a value: by how much it may be smaller than `size`. */
  readonly base: Uint32Array<ArrayBuffer>;
  /** Where its task instance ran, interned; 0: not known. */
  readonly worker: Uint32Array<ArrayBuffer>;
  /** The next row of the same run, or the next free place: slot plus one, 0 for none. */
  readonly next: Uint32Array<ArrayBuffer>;
  /** Four words a row. Null as long as no row here has one. Of `leaf`, read with {@link leafAt}. */
  taskInstance: Uint32Array<ArrayBuffer> | null;
  leaf: Uint32Array<ArrayBuffer> | null;
}

export function newChunk(first: number): RowChunk {
  const words = () => new Uint32Array(CHUNK_ROWS);
  return {
    first,
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
    taskInstance: null,
    leaf: null,
  };
}

export function chunkNumber(slot: number): number {
  return slot >>> CHUNK_BITS;
}

export function indexInChunk(slot: number): number {
  return slot & (CHUNK_ROWS - 1);
}

type Words = readonly [number, number, number, number];

export const NO_WORDS: Words = [0, 0, 0, 0];

export function wordsAt(column: Uint32Array<ArrayBuffer> | null, index: number): Words {
  if (column === null) return NO_WORDS;
  const at = 4 * index;
  return [column[at] ?? 0, column[at + 1] ?? 0, column[at + 2] ?? 0, column[at + 3] ?? 0];
}

/**
 * The uuid in the leaf of a reference of its own. Airflow 3.4 puts the id of the task instance there, which stands in
 * another column already: no uuid is all zeros.
 */
export function leafAt({ leaf, taskInstance }: RowChunk, index: number): Words {
  const words = wordsAt(leaf, index);
  return words.every((word) => word === 0) ? wordsAt(taskInstance, index) : words;
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
  const array = (chunk[column] ??= new Uint32Array(4 * CHUNK_ROWS));
  array.set(words ?? NO_WORDS, 4 * index);
}

/** Copies all of a row but its place in a list. */
export function copyRow(
  from: { chunk: RowChunk; index: number },
  to: { chunk: RowChunk; index: number },
): void {
  for (const column of [
    'flags',
    'run',
    'name',
    'mapIndex',
    'version',
    'at',
    'size',
    'base',
    'worker',
  ] as const)
    to.chunk[column][to.index] = from.chunk[column][from.index] ?? 0;
  for (const column of ['taskInstance', 'leaf'] as const)
    putWords(to.chunk, column, { index: to.index, words: wordsAt(from.chunk[column], from.index) });
}

/** Where rows may stand: chunks are added when there is no place left, and none is ever given up. */
export interface Slots {
  readonly chunks: readonly RowChunk[];
  /** All slots are below. */
  readonly size: () => number;
  readonly chunkOf: (slot: number) => RowChunk;
  take(): number;
  giveBack(slot: number): void;
  /** Chunks that were filled elsewhere; empty places in them have to be given back. Only as long as there are none. */
  adopt(filled: readonly RowChunk[]): void;
}

export function createSlots(): Slots {
  const chunks: RowChunk[] = [];
  /** The first free place of those that were given back, plus one. */
  let free = 0;
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
      if (chunkNumber(slot) === chunks.length) chunks.push(newChunk(slot));
      return slot;
    },
    giveBack(slot) {
      const chunk = chunkOf(slot);
      const at = indexInChunk(slot);
      chunk.flags[at] = 0;
      chunk.next[at] = free;
      free = slot + 1;
    },
    adopt(filled) {
      chunks.push(...filled);
      size = chunks.length * CHUNK_ROWS;
    },
  };
}
