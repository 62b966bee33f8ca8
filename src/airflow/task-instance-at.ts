import type { Shape } from './shape.ts';

/** Where a task instance belongs, each part an SQL expression. */
export interface PlaceExpressions {
  readonly dagId: string;
  readonly runId: string;
  readonly taskId: string;
  readonly mapIndex: string;
}

/** What Airflow 3.4 gives as `region_id` to all that is in no region, as every row of `xcom_v1` is. */
const NO_REGION = `'00000000-0000-0000-0000-000000000000'::uuid`;

/**
 * A lateral item with the current task instance of a place, or nothing.
 *
 * The first one from the place on, in the order of the unique key, is that of the place or there is none: asked for by
 * equality alone, Postgres takes the index on the run and reads all that a mapped task has there.
 */
export function taskInstanceAt(
  shape: Shape,
  { at, columns }: { at: PlaceExpressions; columns: readonly string[] },
): string {
  const names = [
    'dag_id',
    'task_id',
    'run_id',
    ...(shape.keepsTries ? ['region_id'] : []),
    shape.mapIndexColumn,
  ];
  const values = [at.dagId, at.taskId, at.runId, ...(shape.keepsTries ? [NO_REGION] : []), at.mapIndex];
  const key = [...names, ...(shape.keepsTries ? ['working_set'] : [])].join(', ');
  const place = [...values, ...(shape.keepsTries ? ['true'] : [])].join(', ');
  return `LATERAL (SELECT * FROM (SELECT ${[key, ...columns].join(', ')} FROM task_instance
        WHERE (${key}) >= (${place}) ORDER BY ${key} LIMIT 1) first WHERE (${key}) = (${place}))`;
}
