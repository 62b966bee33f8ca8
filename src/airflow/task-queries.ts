import type { Statement } from '../postgres/client.ts';
import { IS_FRESH, ownColumns } from './row-queries.ts';
import type { Shape, XComSource } from './shape.ts';
import type { TaskInstanceName } from './worker-queries.ts';

/** A range of ids, both ends included. */
export interface IdRange {
  readonly first: string;
  readonly last: string;
}

/**
 * The range of all ids made between two moments, both included, epoch ms. Rows of `xcom_v2` name only their task
 * instance. Rows and task instances have UUIDs of version 7, which begin with the millisecond of their making
 * (`uuid6.uuid7` in Airflow's models/xcom.py and models/taskinstance.py). Task instances from before Airflow 3 got ids
 * by the time of queueing.
 */
export function idsMade(fromMs: number, toMs: number): IdRange {
  return {
    first: `${madeAt(fromMs)}-0000-0000-000000000000`,
    last: `${madeAt(Math.min(toMs, 2 ** 48 - 1))}-ffff-ffff-ffffffffffff`,
  };
}

function madeAt(ms: number): string {
  const hex = Math.floor(ms).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}`;
}

/**
 * Pairs of ids, to be joined to a lateral subquery with `OFFSET 0`. Postgres expects many rows between two ids that it
 * does not know yet; without the subquery, Postgres would read the whole table once for all pairs.
 */
function fromRanges(first: string, last: string): string {
  return `unnest(${first}::uuid[], ${last}::uuid[]) AS w(first, last)`;
}

function idsOf(ranges: readonly IdRange[]): string[][] {
  return [ranges.map(({ first }) => first), ranges.map(({ last }) => last)];
}

/** How long a moment is: an id has twelve hex digits of time, and a moment is the first ten. */
export const MOMENT_MS = 256;

/** How many task instances of one run were made in one moment. */
export interface Moment {
  /** The first characters of their ids. */
  readonly moment: string;
  readonly made: number;
}

/** Finds when the task instances of some runs were made, earlier tries included. Postgres looks at each one once. */
export function momentsStatement(runIds: readonly number[]): Statement {
  return {
    name: 'moments',
    text: /* SQL */ `
      SELECT ti.moment, ti.made FROM dag_run r CROSS JOIN LATERAL (
        SELECT left(id::text, 11) AS moment, count(*)::int AS made
        FROM task_instance WHERE dag_id = r.dag_id AND run_id = r.run_id GROUP BY 1 OFFSET 0) ti
      WHERE r.id = ANY($1::int[])`,
    values: [runIds],
  };
}

/** Names one row of `xcom_v2`. */
export interface TaskRowId {
  readonly taskInstanceId: string;
  readonly key: string;
}

/** The bounds of what counts as new. */
export interface Since {
  /** Ids made before this moment are ignored, epoch ms. */
  readonly sinceMs: number;
  readonly horizon: string;
}

/** Reads the rows that are new since the horizon, by the time in their ids. */
export function newRowsStatement(
  source: XComSource,
  options: Since & { knowsCompression: boolean },
): Statement {
  const { columns, join } = ownColumns(source, { ...options, deep: false });
  return {
    name: `new_rows_${source.table}`,
    text: /* SQL */ `
      SELECT x.task_instance_id::text AS "taskInstanceId", ${columns}
      FROM ${source.table} x ${join}
      WHERE x.id >= $1::uuid AND ${IS_FRESH}`,
    values: [idsMade(options.sinceMs, Infinity).first, options.horizon],
  };
}

export function taskRowsStatement(
  source: XComSource,
  { rows, knowsCompression }: { rows: readonly TaskRowId[]; knowsCompression: boolean },
): Statement {
  const { columns, join } = ownColumns(source, { knowsCompression, deep: false });
  return {
    name: `task_rows_${source.table}`,
    text: /* SQL */ `
      SELECT x.task_instance_id::text AS "taskInstanceId", ${columns}
      FROM unnest($1::uuid[], $2::text[]) AS w(task_instance_id, key)
      JOIN ${source.table} x ON x.task_instance_id = w.task_instance_id AND x.key = w.key ${join}`,
    values: [rows.map(({ taskInstanceId }) => taskInstanceId), rows.map(({ key }) => key)],
  };
}

/** Reads all rows of some task instances that are not older than `from`, epoch ms. */
export function rowsOfTasksStatement(
  source: XComSource,
  options: { from: number; ranges: readonly IdRange[]; knowsCompression: boolean },
): Statement {
  const { columns, join } = ownColumns(source, { ...options, deep: false });
  return {
    name: `rows_of_tasks_${source.table}`,
    text: /* SQL */ `
      SELECT x.task_instance_id::text AS "taskInstanceId", ${columns}
      FROM ${fromRanges('$2', '$3')} CROSS JOIN LATERAL (
        SELECT x.xmin, x.task_instance_id, x.key, x.value, x.timestamp
        FROM ${source.table} x WHERE x.task_instance_id >= w.first AND x.task_instance_id <= w.last
          AND x.timestamp >= to_timestamp($1::float8 / 1000) OFFSET 0) x ${join}`,
    values: [options.from, ...idsOf(options.ranges)],
  };
}

/** The answer of {@link sweepStatement} for one row. */
export interface SweptRow extends TaskRowId {
  readonly version: string;
  /** Whether {@link newRowsStatement} gives this row as well. */
  readonly isNew: boolean;
}

/** Reads the versions of all rows of some task instances that are not older than `from`, epoch ms. */
export function sweepStatement(
  source: XComSource,
  { sinceMs, horizon, from, ranges }: Since & { from: number; ranges: readonly IdRange[] },
): Statement {
  return {
    name: `sweep_${source.table}`,
    text: /* SQL */ `
      SELECT x.task_instance_id::text AS "taskInstanceId", x.key, x.version, x."isNew"
      FROM ${fromRanges('$4', '$5')} CROSS JOIN LATERAL (
        SELECT x.task_instance_id, x.key, x.xmin::text AS version, x.id >= $1::uuid AND ${IS_FRESH} AS "isNew"
        FROM ${source.table} x WHERE x.task_instance_id >= w.first AND x.task_instance_id <= w.last
          AND x.timestamp >= to_timestamp($3::float8 / 1000) OFFSET 0) x`,
    values: [idsMade(sinceMs, Infinity).first, horizon, from, ...idsOf(ranges)],
  };
}

/** The place of a task instance. */
export type TaskPlace = TaskInstanceName & Pick<TaskRowId, 'taskInstanceId'>;

export function taskPlacesStatement(shape: Shape, ranges: readonly IdRange[]): Statement {
  return {
    name: 'task_places',
    text: /* SQL */ `
      SELECT ti.id::text AS "taskInstanceId", ti.dag_id AS "dagId", ti.run_id AS "runId", ti.task_id AS "taskId",
        ti.map_index AS "mapIndex"
      FROM ${fromRanges('$1', '$2')} CROSS JOIN LATERAL (
        SELECT id, dag_id, run_id, task_id, ${shape.mapIndexColumn} AS map_index
        FROM task_instance WHERE id >= w.first AND id <= w.last OFFSET 0) ti`,
    values: idsOf(ranges),
  };
}
