import { SHAPE_TABLES } from './shape.ts';
import type { Shape, XComSource } from './shape.ts';
import { valueColumns } from './value-columns.ts';
import type { Depth } from './value-columns.ts';

/** A statement with its parameters: SQL is a value, so that tests can explain every one of them. */
export interface Statement {
  readonly name: string;
  readonly text: string;
  readonly values: readonly unknown[];
}

/** What the catalogue says of the tables as a whole. */
export interface Tables {
  /** Changes when a migration adds a column, renames a table or puts another in its place. */
  readonly columns: string;
  /** Which database and which tables these are: others, and also the same put back from a dump, have another text. */
  readonly origin: string;
  /** Changes when a table is written anew, which may give every row another version. */
  readonly files: string;
  /** False: a table was written anew after this transaction began, which then sees none of its rows. */
  readonly isCurrent: boolean;
  /** False: a table has no index yet, as while a dump is put back, which fills all tables before it makes the first one. */
  readonly isIndexed: boolean;
  readonly mayNameSystem: boolean;
}

/** Tables of this name in another schema, further on in the search path, are another Airflow's. */
const IN_ONE_SCHEMA = `relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('dag_run'))`;

/** Touches an eighth of the pages that {@link catalogueStatement} does. */
export function tablesStatement(): Statement {
  return {
    name: 'tables',
    text: /* SQL */ `
      SELECT coalesce(string_agg(concat_ws(' ', oid, relname, relnatts), ', ' ORDER BY oid), '') AS "columns",
        concat_ws(', ', (SELECT oid FROM pg_database WHERE datname = current_database()),
          string_agg(oid::text, ', ' ORDER BY oid)) AS "origin",
        coalesce(string_agg(relfilenode::text, ', ' ORDER BY oid), '') AS "files",
        coalesce(bool_and(relfilenode = coalesce(pg_relation_filenode(oid), 0)), true) AS "isCurrent",
        coalesce(bool_and(relhasindex OR relkind NOT IN ('r', 'p')), true) AS "isIndexed",
        has_function_privilege('pg_control_system()', 'EXECUTE') AS "mayNameSystem"
      FROM pg_class WHERE oid = ANY(ARRAY(SELECT to_regclass(name)::oid FROM unnest($1::text[]) name))
        AND ${IN_ONE_SCHEMA}`,
    values: [[...SHAPE_TABLES]],
  };
}

/** Which cluster it is: two that are made alike give their tables the same numbers. */
export function systemStatement(): Statement {
  return {
    name: 'system',
    text: 'SELECT system_identifier::text AS "system" FROM pg_control_system()',
    values: [],
  };
}

/**
 * How many rows Postgres says were inserted or updated, those of transactions that were rolled back among them. It
 * touches no page. A standby counts for itself, a view or a table in partitions not at all, and nothing does
 * without `track_counts`.
 */
export function writesStatement(tables: readonly string[]): Statement {
  return {
    name: 'writes',
    text: /* SQL */ `
      SELECT name AS "table", (pg_stat_get_tuples_inserted(oid) + pg_stat_get_tuples_updated(oid))::float8 AS "writes"
      FROM (SELECT name, to_regclass(name)::oid AS oid FROM unnest($1::text[]) name) AS known
      WHERE pg_relation_filenode(oid) IS NOT NULL AND NOT pg_is_in_recovery() AND current_setting('track_counts')::boolean`,
    values: [[...tables]],
  };
}

/** pg_catalog rather than information_schema: the latter hides what the role may not read. */
export function catalogueStatement(): Statement {
  return {
    name: 'catalogue',
    text: /* SQL */ `
      SELECT c.relname::text AS "table", a.attname::text AS "column", format_type(a.atttypid, NULL) AS "type"
      FROM unnest($1::text[]) AS wanted(name)
      JOIN pg_class c ON c.oid = to_regclass(wanted.name) AND c.${IN_ONE_SCHEMA}
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped`,
    values: [[...SHAPE_TABLES]],
  };
}

/**
 * The instant of the transaction: its clock, and the oldest transaction that is still open. Rows whose xmin
 * is not older than that one may be invisible now and appear later; the next reading starts there, so no
 * writer's clock and no late commit can hide a row.
 */
export function instantStatement(): Statement {
  return {
    name: 'instant',
    text: /* SQL */ `
      SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS "now",
        (pg_snapshot_xmin(pg_current_snapshot())::text::bigint & 4294967295)::text AS "horizon",
        (SELECT coalesce(max(id), 0) FROM dag_run) AS "lastRunId",
        to_regproc('pg_column_compression') IS NOT NULL AS "knowsCompression"`,
    values: [],
  };
}

const RUN_COLUMNS = `id, dag_id AS "dagId", run_id AS "runId", state,
        (extract(epoch FROM end_date) * 1000)::float8 AS "endedAt"`;

/**
 * Runs that can have new rows: running, queued, or younger than any seen. Each branch has its literal: the indexes on
 * the state are partial in some installations, and a parameter misses them.
 */
export function activeRunsStatement(options: { after: number }): Statement {
  return {
    name: 'active_runs',
    text: /* SQL */ `
      SELECT ${RUN_COLUMNS} FROM dag_run WHERE state = 'running'
      UNION SELECT ${RUN_COLUMNS} FROM dag_run WHERE state = 'queued'
      UNION SELECT ${RUN_COLUMNS} FROM dag_run WHERE id > $1::bigint`,
    values: [options.after],
  };
}

export function runsStatement(ids: readonly number[]): Statement {
  return {
    name: 'runs',
    text: /* SQL */ `SELECT ${RUN_COLUMNS} FROM dag_run WHERE id = ANY($1::int[])`,
    values: [ids],
  };
}

/** One page of runs from the youngest back, for the first reading of a window. */
export function recentRunsStatement(
  shape: Shape,
  options: { below: number; sinceMs: number; limit: number },
): Statement {
  const moments = ['queued_at', 'start_date', 'end_date', ...(shape.hasRunAfter ? ['run_after'] : [])];
  return {
    name: 'recent_runs',
    text: /* SQL */ `
      SELECT ${RUN_COLUMNS},
        coalesce(greatest(${moments.join(', ')}) >= to_timestamp($2::float8 / 1000), true) AS "recent"
      FROM dag_run WHERE id < $1::bigint ORDER BY id DESC LIMIT $3::int`,
    values: [options.below, options.sinceMs, options.limit],
  };
}

/** From and join of one source, so that every statement has `x` (the row) and the columns of its place. */
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

/** Fresh rows of one run that are named by their place at most; more are read by another look at the run. */
const PLACES_A_RUN = 1_000;

/**
 * Rows of runs that are live together lie on the same pages: an index scan looks at a page again for each row, a bitmap
 * scan once. Postgres believes that a run's rows lie together, as their index does, and has to be kept from the former.
 */
export function pageByPageStatement(on: boolean): Statement {
  return {
    name: 'page_by_page',
    text: `SELECT set_config('enable_indexscan', $1, true)`,
    values: [on ? 'off' : 'on'],
  };
}

/** What {@link countsStatement} gives for each run that holds rows. */
export interface RunCounts {
  readonly dagRunId: number;
  readonly rows: number;
  /** Rows since the horizon. */
  readonly fresh: number;
  /** Where these are (`ctid`); null when there are too many to name. */
  readonly places: readonly string[] | null;
}

/**
 * How many rows each run holds in a table that hangs on the run, and where those are that are new since `horizon`: one
 * look at each row. Another number than what is remembered means that rows were deleted.
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

/** What a row of `x` says without anything else; the value of a long or compressed one is looked into if `deep`. */
export function ownColumns(source: XComSource, options: Depth): { columns: string; join: string } {
  const { columns, join } = valueColumns(source, options);
  return {
    join,
    columns: `x.key, x.xmin::text AS "version", (extract(epoch FROM x.timestamp) * 1000)::float8 AS "at",
      ${columns}`,
  };
}

/** `SELECT … FROM …` with all that is known of a row. */
export function selectRows(shape: Shape, source: XComSource, options: { from: string } & Depth): string {
  const { place, runId } = fromSource(shape, source);
  const { columns, join } = ownColumns(source, options);
  return `SELECT ${runId} AS "dagRunId", ${place.taskId} AS "taskId", ${place.mapIndex} AS "mapIndex",
      ${source.keyedBy === 'task_instance' ? 'ti.id::text' : 'NULL::text'} AS "taskInstanceId",
      ${columns}
      FROM ${options.from} ${join}`;
}

/**
 * Rows of some runs that are new since `horizon`; all of them without one. `pages`: only those that lie there, from the
 * first to the last, which Postgres reads one after the other (from 14 on).
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

/** Rows by the places that {@link countsStatement} gave in the same snapshot. */
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

/** The rows of a statement by and by: opens it under a name of the transaction. */
export function openCursorStatement(cursor: string, { name, text, values }: Statement): Statement {
  return { name: `open_${name}`, text: `DECLARE ${cursor} NO SCROLL CURSOR FOR ${text}`, values };
}

export function fetchStatement(cursor: string, rows: number): Statement {
  return { name: 'fetch', text: `FETCH ${rows} FROM ${cursor}`, values: [] };
}

export function closeCursorStatement(cursor: string): Statement {
  return { name: 'close', text: `CLOSE ${cursor}`, values: [] };
}

/** What fails after it can be taken back without the transaction. */
export function savepointStatement(): Statement {
  return { name: 'savepoint', text: 'SAVEPOINT before', values: [] };
}

export function backToSavepointStatement(): Statement {
  return { name: 'back_to_savepoint', text: 'ROLLBACK TO SAVEPOINT before', values: [] };
}
