import { createPace } from '../lib/pace.ts';
import type { RowChunk } from './columns.ts';
import { indexInChunk } from './columns.ts';
import type { RowStore } from './row-store.ts';
import type { Run } from './run.ts';

/**
 * Visits the rows of a run, latest first, in pieces: a mapped task may have left a hundred thousand rows. A generator
 * would make an object for each row. Remove nothing during the visit.
 */
export async function eachRow(
  { chunkOf }: Pick<RowStore, 'chunkOf'>,
  run: Run,
  visit: (chunk: RowChunk, index: number) => void,
): Promise<void> {
  const pace = createPace();
  let visited = 0;
  for (let link = run.firstLink; link !== 0;) {
    const chunk = chunkOf(link - 1);
    const index = indexInChunk(link - 1);
    link = chunk.next[index] ?? 0;
    visit(chunk, index);
    visited += 1;
    if (visited % 1_024 === 0) await pace.rest();
  }
}
