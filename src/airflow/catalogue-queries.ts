import type { Statement } from '../postgres/client.ts';
import { SHAPE_TABLES } from './shape.ts';

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

/** What Postgres has counted of a table; rows of transactions that were rolled back are among them. */
export interface TableCounts {
  readonly table: string;
  /** Rows that were inserted or updated. */
  readonly writes: number;
  /** Rows that were deleted or updated. */
  readonly changes: number;
}

/**
 * Reads these counts without touching a page. A standby counts for itself, a view or a table in partitions not at all,
 * and nothing does without `track_counts`.
 */
export function tableCountsStatement(tables: readonly string[]): Statement {
  return {
    name: 'table_counts',
    text: /* SQL */ `
      SELECT name AS "table", (pg_stat_get_tuples_inserted(oid) + pg_stat_get_tuples_updated(oid))::float8 AS "writes",
        (pg_stat_get_tuples_deleted(oid) + pg_stat_get_tuples_updated(oid))::float8 AS "changes"
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

/** How many rows were ever written, by table, as Postgres counts them; of a table that it does not count, no entry. */
export type Writes = Readonly<Record<string, number>>;
