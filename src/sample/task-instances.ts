import type { IdRange, TaskPlace } from '../airflow/task-queries.ts';
import { taskPlacesStatement } from '../airflow/task-queries.ts';
import { chunks } from '../lib/chunks.ts';
import { uuidMs } from '../lib/uuid-words.ts';
import type { Reading } from './reading.ts';

/** How many pairs of ids one statement names. */
export const RANGES_A_STATEMENT = 500;
/**
 * How far apart two task instances may be made to be read together, with all that were made between them. A scheduler
 * makes some dozens in that time. They are on no more pages than a separate search reads.
 */
const TOGETHER_MS = 4;

/** Finds the task instances of rows. Those of a mapped task were made together, and are read together. */
export async function findTaskPlaces(
  { readEach, shape }: Pick<Reading, 'readEach' | 'shape'>,
  rows: readonly { readonly taskInstanceId: string }[],
): Promise<Map<string, TaskPlace>> {
  const ids = new Set(rows.map(({ taskInstanceId }) => taskInstanceId));
  const places = new Map<string, TaskPlace>();
  for (const ranges of chunks(rangesOf(ids), RANGES_A_STATEMENT))
    await readEach<TaskPlace>(
      taskPlacesStatement(shape, ranges),
      (found) => {
        for (const place of found) if (ids.has(place.taskInstanceId)) places.set(place.taskInstanceId, place);
      },
      { pageByPage: true },
    );
  return places;
}

/** Gives ranges that hold these ids, and few others. */
export function rangesOf(ids: Iterable<string>): IdRange[] {
  const ranges: { first: string; last: string }[] = [];
  for (const id of [...ids].sort()) {
    const range = ranges.at(-1);
    if (range !== undefined && uuidMs(id) - uuidMs(range.last) <= TOGETHER_MS) range.last = id;
    else ranges.push({ first: id, last: id });
  }
  return ranges;
}
