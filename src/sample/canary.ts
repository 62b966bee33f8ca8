import type { CanaryRuns, CanaryTask, CanaryTaskRow } from '../airflow/canary-queries.ts';
import { canaryRunStatement, canaryTask, canaryTasksStatement } from '../airflow/canary-queries.ts';
import type { Shape } from '../airflow/shape.ts';
import type { Query } from '../postgres/client.ts';
import type { FoundRun } from '../window/run.ts';

/** How many runs of the canary are read: when a pool is down, four of them are open at a time. */
const MOST_RUNS = 8;

/** The latest runs of the canary, from those found now and those read before. */
export function latestRuns(before: readonly number[], found: readonly FoundRun[]): readonly number[] {
  return [...new Set([...before, ...found.map(({ id }) => id)])].sort((a, b) => b - a).slice(0, MOST_RUNS);
}

/** Reads the results that the tasks of these runs left. Theirs are the only values that leave the database. */
export async function readCanary(
  query: Query,
  shape: Shape,
  options: CanaryRuns & { readonly mostBytes: number },
): Promise<readonly CanaryTask[]> {
  if (options.runIds.length === 0) return [];
  const rows = await query<CanaryTaskRow>(canaryTasksStatement(shape, options));
  return rows.map(canaryTask);
}

export async function hasRun(query: Query, dagId: string): Promise<boolean> {
  const [row] = await query<{ isThere: boolean }>(canaryRunStatement(dagId));
  return row?.isThere === true;
}
