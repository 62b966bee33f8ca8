import type { Statement } from '../postgres/client.ts';
import type { Shape, XComSource } from './shape.ts';
import { taskInstanceAt } from './task-instance-at.ts';
import type { Depth } from './value-columns.ts';
import { valueColumns } from './value-columns.ts';

/** Names one row: by task instance and key from 3.4 on; by run, task, map index and key before. */
export interface RowId {
  readonly taskInstanceId: string | null;
  readonly dagRunId: number;
  readonly taskId: string;
  readonly mapIndex: number;
  readonly key: string;
}

/** The `FROM …` for exactly these rows, through the primary key or, in `xcom_v2`, the unique key. */
function theseRows(source: XComSource, rows: readonly RowId[]): { from: string; values: unknown[] } {
  if (source.keyedBy === 'task_instance')
    return {
      from: `unnest($1::uuid[], $2::text[]) AS w(task_instance_id, key)
      JOIN xcom_v2 x ON x.task_instance_id = w.task_instance_id AND x.key = w.key
      JOIN task_instance ti ON ti.id = w.task_instance_id
      JOIN dag_run r ON r.dag_id = ti.dag_id AND r.run_id = ti.run_id`,
      values: [rows.map(({ taskInstanceId }) => taskInstanceId), rows.map(({ key }) => key)],
    };
  return {
    from: `unnest($1::int[], $2::text[], $3::int[], $4::text[]) AS w(dag_run_id, task_id, map_index, key)
      JOIN ${source.table} x ON x.dag_run_id = w.dag_run_id AND x.task_id = w.task_id
        AND x.map_index = w.map_index AND x.key = w.key`,
    values: [
      rows.map(({ dagRunId }) => dagRunId),
      rows.map(({ taskId }) => taskId),
      rows.map(({ mapIndex }) => mapIndex),
      rows.map(({ key }) => key),
    ],
  };
}

/** Gives the same columns with the value unpacked, for rows whose stored size does not decide. */
export function measureStatement(shape: Shape, source: XComSource, rows: readonly RowId[]): Statement {
  const { from, values } = theseRows(source, rows);
  return {
    name: `measure_${source.table}`,
    text: selectRows(shape, source, { from, deep: true }),
    values,
  };
}

/**
 * How long a new try may take to purge the XComs of the try before it. Airflow 2 deletes all objects of the task
 * instance before it commits that the rows are gone (`XCom.clear`). Airflow 3 deletes each row after its object.
 */
const PURGE = "interval '10 minutes'";

/**
 * Finds which of these rows still exist, with their versions, and whether they belong to an earlier try or to a task
 * instance that may be purging.
 */
export function versionsStatement(shape: Shape, source: XComSource, rows: readonly RowId[]): Statement {
  const { from, values } = theseRows(source, rows);
  const { place, runId } = fromSource(shape, source);
  const { join, archived } = ownerOf(shape, source);
  return {
    name: `versions_${source.table}`,
    text: /* SQL */ `
      SELECT ${runId} AS "dagRunId", ${place.taskId} AS "taskId", ${place.mapIndex} AS "mapIndex", x.key,
        ${source.keyedBy === 'task_instance' ? 'ti.id::text' : 'NULL::text'} AS "taskInstanceId",
        x.xmin::text AS "version",
        ${archived} AS "archived",
        coalesce(ti.state = 'running' AND ti.start_date > now() - ${PURGE}, false) AS "purging"
      FROM ${from} ${join}`,
    values,
  };
}

/**
 * Joins the task instance `ti` that owns a row `x` of `xcom_v1`, and tells whether no task reads the row any more. The
 * rows that Airflow 3.4 took over from before have an owner each, and give way to a new row of the owner under the same
 * key (`_rows` in Airflow's models/xcom.py). No time tells this: a cleared task may not have begun again.
 */
export const BY_OWNER = {
  join: `JOIN dag_run r ON r.id = x.dag_run_id
      LEFT JOIN legacy_task_data_owner o ON o.dag_id = r.dag_id AND o.task_id = x.task_id
        AND o.run_id = r.run_id AND o.map_index = x.map_index
      LEFT JOIN task_instance ti ON ti.id = o.task_instance_id`,
  archived: `ti.working_set IS NOT TRUE
      OR EXISTS (SELECT FROM xcom_v2 y WHERE y.task_instance_id = ti.id AND y.key = x.key)`,
} as const;

/** Joins the task instance `ti` that a row belongs to, and tells whether no task reads the row any more; NULL: not known. */
function ownerOf(shape: Shape, { keyedBy }: XComSource): { join: string; archived: string } {
  if (keyedBy === 'task_instance') return { join: '', archived: 'ti.working_set IS NOT TRUE' };
  if (!shape.keepsTries) {
    const at = { dagId: 'r.dag_id', runId: 'r.run_id', taskId: 'x.task_id', mapIndex: 'x.map_index' };
    const instance = taskInstanceAt(shape, { at, columns: ['state', 'start_date'] });
    return {
      join: `JOIN dag_run r ON r.id = x.dag_run_id LEFT JOIN ${instance} ti ON true`,
      archived: 'false',
    };
  }
  if (!shape.knowsOwners) return { join: 'LEFT JOIN task_instance ti ON false', archived: 'NULL::boolean' };
  return BY_OWNER;
}

/** The `FROM` and joins of one source: they give every statement `x` (the row) and the columns of its place. */
export function fromSource(
  shape: Shape,
  source: XComSource,
): { from: string; place: { taskId: string; mapIndex: string }; runId: string } {
  if (source.keyedBy === 'dag_run')
    return {
      from: `${source.table} x`,
      place: { taskId: 'x.task_id', mapIndex: 'x.map_index' },
      runId: 'x.dag_run_id',
    };
  return {
    from: `dag_run r
      JOIN task_instance ti ON ti.dag_id = r.dag_id AND ti.run_id = r.run_id
      JOIN ${source.table} x ON x.task_instance_id = ti.id`,
    place: { taskId: 'ti.task_id', mapIndex: `ti.${shape.mapIndexColumn}` },
    runId: 'r.id',
  };
}

/**
 * Whether a row may not have been visible at the horizon `$2`. Transaction ids are compared modulo 2^32, as Postgres
 * does.
 */
export const IS_FRESH = '((x.xmin::text::bigint - $2::bigint) & 4294967295) < 2147483648';

/** How many fresh rows of one run are named by their place at most; for more, the run is looked at again. */
const PLACES_A_RUN = 1_000;

/** The answer of {@link countsStatement} for each run that holds rows. */
export interface RunCounts {
  readonly dagRunId: number;
  readonly rows: number;
  /** How many rows are new since the horizon. */
  readonly fresh: number;
  /** The places (`ctid`) of the fresh rows; null when there are none or too many to name. */
  readonly places: readonly string[] | null;
}

/**
 * Counts the rows of each run, in a table whose rows hang on the run, and gives the places of those that are new since
 * `horizon`. Postgres looks at each row once. A number other than the remembered one means that rows were deleted.
 */
export function countsStatement(
  shape: Shape,
  source: XComSource,
  options: { runIds: readonly number[]; horizon: string },
): Statement {
  const { from, runId } = fromSource(shape, source);
  return {
    name: `counts_${source.table}`,
    text: /* SQL */ `
      SELECT ${runId} AS "dagRunId", count(*)::int AS "rows", (count(*) FILTER (WHERE ${IS_FRESH}))::int AS "fresh",
        CASE WHEN count(*) FILTER (WHERE ${IS_FRESH}) BETWEEN 1 AND ${PLACES_A_RUN}
          THEN array_agg(x.ctid::text) FILTER (WHERE ${IS_FRESH}) END AS "places"
      FROM ${from}
      WHERE ${runId} = ANY($1::int[]) GROUP BY 1`,
    values: [options.runIds, options.horizon],
  };
}

/** The columns that a row of `x` gives by itself. A long or compressed value is unpacked only if `deep`. */
export function ownColumns(source: XComSource, options: Depth): { columns: string; join: string } {
  const { columns, join } = valueColumns(source, options);
  return {
    join,
    columns: `x.key, x.xmin::text AS "version", (extract(epoch FROM x.timestamp) * 1000)::float8 AS "at",
      ${columns}`,
  };
}

/** The `SELECT … FROM …` with all columns of a row. */
export function selectRows(shape: Shape, source: XComSource, options: { from: string } & Depth): string {
  const { place, runId } = fromSource(shape, source);
  const { columns, join } = ownColumns(source, options);
  return `SELECT ${runId} AS "dagRunId", ${place.taskId} AS "taskId", ${place.mapIndex} AS "mapIndex",
      ${source.keyedBy === 'task_instance' ? 'ti.id::text' : 'NULL::text'} AS "taskInstanceId",
      ${columns}
      FROM ${options.from} ${join}`;
}

/**
 * Reads the rows of some runs that are new since `horizon`, or all rows when `horizon` is null. `pages`: only the rows
 * on these pages of the table, first to last; from release 14 on, Postgres reads such pages one after the other.
 */
export function rowsStatement(
  shape: Shape,
  source: XComSource,
  options: {
    runIds: readonly number[];
    horizon: string | null;
    knowsCompression: boolean;
    pages?: { readonly first: number; readonly last: number };
  },
): Statement {
  const { from, runId } = fromSource(shape, source);
  const { runIds, horizon, pages } = options;
  const between = pages === undefined ? [] : [`(${pages.first},0)`, `(${pages.last + 1},0)`];
  return {
    name: `${pages === undefined ? 'rows' : 'rows_between'}_${source.table}`,
    text: /* SQL */ `
      ${selectRows(shape, source, { ...options, from, deep: false })}
      WHERE ${runId} = ANY($1::int[]) AND ($2::bigint IS NULL OR ${IS_FRESH})
        ${pages === undefined ? '' : 'AND x.ctid >= $3::tid AND x.ctid < $4::tid'}`,
    values: [runIds, horizon, ...between],
  };
}

/** Reads rows by the places that {@link countsStatement} gave in the same snapshot. */
export function rowsAtStatement(
  shape: Shape,
  source: XComSource,
  options: { places: readonly string[]; knowsCompression: boolean },
): Statement {
  return {
    name: `rows_at_${source.table}`,
    text: /* SQL */ `
      ${selectRows(shape, source, { ...options, from: `${source.table} x`, deep: false })}
      WHERE x.ctid = ANY($1::tid[])`,
    values: [options.places],
  };
}
