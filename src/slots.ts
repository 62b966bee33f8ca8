import { CHUNK_ROWS, chunkNumber, indexInChunk, newChunk } from './row-columns.ts';
import type { RowChunk } from './row-columns.ts';

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
