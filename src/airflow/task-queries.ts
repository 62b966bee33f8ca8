import { IS_FRESH, ownColumns } from './queries.ts';
import type { Statement } from './queries.ts';
import type { Shape, XComSource } from './shape.ts';

/**
 * Rows of `xcom_v2` name nothing but their task instance. Both have a UUID of version 7 as their id, which begins with
 * the moment of its making in milliseconds (`uuid6.uuid7` in Airflow's models/xcom.py and models/taskinstance.py).
 */
export interface Since {
  /** Ids of rows that were made before, epoch ms, are of no interest. */
  readonly sinceMs: number;
  readonly horizon: string;
}

const firstId = (ms: number) => `${Math.floor(ms).toString(16).padStart(12, '0')}${'0'.repeat(20)}`;
const lastId = (ms: number) =>
  Number.isFinite(ms) ? `${Math.floor(ms).toString(16).padStart(12, '0')}${'f'.repeat(20)}` : 'f'.repeat(32);

/** Names one row of `xcom_v2`. */
export interface TaskRowId {
  readonly taskInstanceId: string;
  readonly key: string;
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
    values: [firstId(options.sinceMs), options.horizon],
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

/** What {@link sweepStatement} gives. */
export interface SweptRow extends TaskRowId {
  readonly version: string;
  /** {@link newRowsStatement} gives it as well. */
  readonly isNew: boolean;
}

/** The versions of all rows of the task instances that were made between two moments, epoch ms, both included. */
export function sweepStatement(
  source: XComSource,
  options: Since & { fromMs: number; toMs: number },
): Statement {
  return {
    name: `sweep_${source.table}`,
    text: /* SQL */ `
      SELECT x.task_instance_id::text AS "taskInstanceId", x.key, x.xmin::text AS "version",
        x.id >= $1::uuid AND ${IS_FRESH} AS "isNew"
      FROM ${source.table} x
      WHERE x.task_instance_id >= $3::uuid AND x.task_instance_id <= $4::uuid`,
    values: [firstId(options.sinceMs), options.horizon, firstId(options.fromMs), lastId(options.toMs)],
  };
}

/** Where a task instance belongs. */
export interface TaskPlace {
  readonly taskInstanceId: string;
  readonly dagId: string;
  readonly runId: string;
  readonly taskId: string;
  readonly mapIndex: number;
}

/**
 * Where the task instances from one id to another belong, for each pair of ids, both included. Postgres expects many of
 * any two ids that it does not know yet, and has to be kept from reading the table once for all pairs.
 */
export function taskPlacesStatement(
  shape: Shape,
  ranges: readonly { readonly first: string; readonly last: string }[],
): Statement {
  return {
    name: 'task_places',
    text: /* SQL */ `
      SELECT ti.id::text AS "taskInstanceId", ti.dag_id AS "dagId", ti.run_id AS "runId", ti.task_id AS "taskId",
        ti.map_index AS "mapIndex"
      FROM unnest($1::uuid[], $2::uuid[]) AS w(first, last)
      CROSS JOIN LATERAL (SELECT id, dag_id, run_id, task_id, ${shape.mapIndexColumn} AS map_index
        FROM task_instance WHERE id >= w.first AND id <= w.last OFFSET 0) ti`,
    values: [ranges.map(({ first }) => first), ranges.map(({ last }) => last)],
  };
}
