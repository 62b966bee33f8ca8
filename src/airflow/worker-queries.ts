import type { Statement } from '../postgres/client.ts';
import type { Shape } from './shape.ts';
import { taskInstanceAt } from './task-instance-at.ts';

/** Names a task instance: by its id from 3.4 on, by its place before. */
export interface TaskInstanceName {
  readonly taskInstanceId: string | null;
  readonly dagId: string;
  readonly runId: string;
  readonly taskId: string;
  readonly mapIndex: number;
}

/** The columns that the worker statements need. `executor` is null before 2.10 and for the default executor. */
const columnsOf = (shape: Shape) => [
  'queue',
  ...(shape.hasExecutor ? ['executor'] : []),
  'hostname',
  'operator',
  'state',
  'updated_at',
  'start_date',
];

const workerColumns = (shape: Shape) =>
  `ti.queue, ${shape.hasExecutor ? 'ti.executor' : 'NULL::text AS executor'}, ti.hostname, ti.operator,
        CASE WHEN coalesce(ti.state, '') NOT IN ('running', 'restarting', 'deferred')
          THEN (extract(epoch FROM ti.updated_at) * 1000)::float8 END AS "idleSince",
        (extract(epoch FROM ti.start_date) * 1000)::float8 AS "startedAt"`;

/** Finds where the task instances at some places ran, {@link WorkerAnswer}. */
export function workersAtStatement(shape: Shape, places: readonly TaskInstanceName[]): Statement {
  const at = { dagId: 'w.dag_id', runId: 'w.run_id', taskId: 'w.task_id', mapIndex: 'w.map_index' };
  return {
    name: 'workers_at',
    text: /* SQL */ `
      SELECT NULL::text AS "taskInstanceId", w.dag_id AS "dagId", w.run_id AS "runId", w.task_id AS "taskId",
        w.map_index AS "mapIndex", ${workerColumns(shape)}
      FROM unnest($1::text[], $2::text[], $3::text[], $4::int[]) AS w(dag_id, run_id, task_id, map_index)
      JOIN ${taskInstanceAt(shape, { at, columns: columnsOf(shape) })} ti ON true`,
    values: [
      places.map(({ dagId }) => dagId),
      places.map(({ runId }) => runId),
      places.map(({ taskId }) => taskId),
      places.map(({ mapIndex }) => mapIndex),
    ],
  };
}

/** Finds where some task instances ran, earlier tries included. */
export function workersStatement(shape: Shape, taskInstanceIds: readonly string[]): Statement {
  return {
    name: 'workers',
    text: /* SQL */ `
      SELECT ti.id::text AS "taskInstanceId", ti.dag_id AS "dagId", ti.run_id AS "runId", ti.task_id AS "taskId",
        ti.${shape.mapIndexColumn} AS "mapIndex", ${workerColumns(shape)}
      FROM unnest($1::uuid[]) AS w(id) JOIN task_instance ti ON ti.id = w.id`,
    values: [taskInstanceIds],
  };
}

/** The answer of the statements for each task instance. */
export interface WorkerAnswer extends Worker, TaskInstanceName {
  /** When the task instance last changed, epoch ms; null while it is at work. */
  readonly idleSince: number | null;
  /** When its try began, epoch ms; null: the try has not begun. */
  readonly startedAt: number | null;
}

/** The place where the task instance of a row ran. */
export interface Worker {
  readonly queue: string | null;
  readonly executor: string | null;
  readonly hostname: string | null;
  readonly operator: string | null;
}
