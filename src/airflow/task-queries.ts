import type { Statement } from '../postgres/client.ts';
import { IS_FRESH, ownColumns } from './row-queries.ts';
import type { Shape, XComSource } from './shape.ts';
import type { TaskInstanceName } from './worker-queries.ts';

/** From one id to another, both included. */
export interface IdRange {
  readonly first: string;
  readonly last: string;
}

/**
 * All ids that were made between two moments, both included, epoch ms. Rows of `xcom_v2` and their task instances, which
 * are all that they name, have UUIDs of version 7, which begin with the millisecond of their making (`uuid6.uuid7` in
 * Airflow's models/xcom.py and models/taskinstance.py; those from before Airflow 3 got theirs by the time of queueing).
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
 * Pairs of ids, for something lateral with `OFFSET 0` beside them: Postgres expects many rows between any two ids that
 * it does not know yet, and has to be kept from reading the table once for all pairs.
 */
function fromRanges(first: string, last: string): string {
  return `unnest(${first}::uuid[], ${last}::uuid[]) AS w(first, last)`;
}

function idsOf(ranges: readonly IdRange[]): string[][] {
  return [ranges.map(({ first }) => first), ranges.map(({ last }) => last)];
}

/** How long a moment is: ten of the twelve digits of the time in an id. */
export const MOMENT_MS = 256;

/** How many task instances of one run were made in one moment. */
export interface Moment {
  /** The first characters of their ids. */
  readonly moment: string;
  readonly made: number;
}

/** When the task instances of some runs were made, earlier tries among them: one look at each. */
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

/** What is new. */
export interface Since {
  /** Ids that were made before are of no interest, epoch ms. */
  readonly sinceMs: number;
  readonly horizon: string;
}

/** Rows that are new since the horizon, found by the time in their ids. */
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

/** All rows of some task instances that are as young as `from`, epoch ms. */
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

/** What {@link sweepStatement} gives. */
export interface SweptRow extends TaskRowId {
  readonly version: string;
  /** {@link newRowsStatement} gives it as well. */
  readonly isNew: boolean;
}

/** The versions of all rows of some task instances that are as young as `from`, epoch ms. */
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

/** Where a task instance belongs. */
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
