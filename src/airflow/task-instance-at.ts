import type { Shape } from './shape.ts';

/** The place of a task instance; each part is an SQL expression. */
export interface PlaceExpressions {
  readonly dagId: string;
  readonly runId: string;
  readonly taskId: string;
  readonly mapIndex: string;
}

/** The `region_id` that Airflow 3.4 gives to everything outside a region, so to every row of `xcom_v1`. */
const NO_REGION = `'00000000-0000-0000-0000-000000000000'::uuid`;

/**
 * A lateral item with the current task instance of a place, or with nothing.
 *
 * The query takes the first task instance from the place on, in the order of the unique key. If its place differs, the
 * place has no task instance. With equality alone, Postgres would take the index on the run and read all task instances
 * that a mapped task has in the run.
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
