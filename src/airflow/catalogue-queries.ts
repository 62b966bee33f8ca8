import type { Statement } from '../postgres/client.ts';
import { CATALOGUE_TABLES, SHAPE_TABLES } from './shape.ts';

/** The state of Airflow's tables as a whole, from the catalogue. */
export interface Tables {
  /** Changes when a migration adds a column, renames a table or puts another in its place. */
  readonly columns: string;
  /** Names the database and the tables. Other tables, or the same ones restored from a dump, have another text. */
  readonly origin: string;
  /** Changes when a table is rewritten, which may give every row another version. */
  readonly files: string;
  /** False: a table was rewritten after this transaction began, so the transaction sees none of the table's rows. */
  readonly isCurrent: boolean;
  /** False: a table has no index yet. A restore from a dump fills all tables before it creates the first index. */
  readonly isIndexed: boolean;
  readonly mayNameSystem: boolean;
}

/** A table of the same name in another schema, later in the search path, belongs to another Airflow. */
const IN_ONE_SCHEMA = `relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('dag_run'))`;

/** Touches an eighth of the pages that {@link catalogueStatement} touches. */
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
        has_function_privilege('pg_control_system()', 'EXECUTE')
          AND has_function_privilege('pg_control_checkpoint()', 'EXECUTE') AS "mayNameSystem"
      FROM pg_class WHERE oid = ANY(ARRAY(SELECT to_regclass(name)::oid FROM unnest($1::text[]) name))
        AND ${IN_ONE_SCHEMA}`,
    values: [[...SHAPE_TABLES]],
  };
}

export interface System {
  readonly system: string;
  readonly timeline: number;
}

/**
 * Identifies the cluster: two clusters that are set up alike give their tables the same oids. A copy that is put back as
 * of an earlier moment begins a new timeline, as a standby does that becomes the primary.
 */
export function systemStatement(): Statement {
  return {
    name: 'system',
    text: /* SQL */ `
      SELECT system_identifier::text AS "system", timeline_id AS "timeline"
      FROM pg_control_system(), pg_control_checkpoint()`,
    values: [],
  };
}

/** Postgres' counts for one table. They include rows of transactions that were rolled back. */
export interface TableCounts {
  readonly table: string;
  /** Rows that were inserted or updated. */
  readonly writes: number;
  /** Rows that were deleted or updated. */
  readonly changes: number;
}

/**
 * Reads these counts without touching a page. No counts come from a standby, which counts for itself, for a view or a
 * partitioned table, or without `track_counts`.
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

/**
 * Uses pg_catalog because information_schema hides columns that the role may not read. The system columns are among
 * the columns, because they need a grant like any other.
 */
export function catalogueStatement(): Statement {
  return {
    name: 'catalogue',
    text: /* SQL */ `
      SELECT c.relname::text AS "table", a.attname::text AS "column", t.typname::text AS "type",
        has_column_privilege(c.oid, a.attnum, 'SELECT') AS "mayRead", row_security_active(c.oid) AS "hidesRows"
      FROM unnest($1::text[]) AS wanted(name)
      JOIN pg_class c ON c.oid = to_regclass(wanted.name) AND c.${IN_ONE_SCHEMA}
      JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
      JOIN pg_type t ON t.oid = a.atttypid`,
    values: [[...CATALOGUE_TABLES]],
  };
}

/**
 * The clock at this transaction, and the oldest transaction that is still open (the horizon). A row whose xmin is not
 * older than the horizon may be invisible now and appear later. The next reading starts at the horizon, so no
 * writer's clock and no late commit can hide a row.
 */
export function instantStatement(): Statement {
  return {
    name: 'instant',
    text: /* SQL */ `
      SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS "now",
        (txid_snapshot_xmin(txid_current_snapshot()) & 4294967295)::text AS "horizon",
        (SELECT coalesce(max(id), 0) FROM dag_run) AS "lastRunId",
        to_regproc('pg_column_compression') IS NOT NULL AS "knowsCompression"`,
    values: [],
  };
}

/**
 * How many rows were ever written, by table, as Postgres counts them. A table that Postgres does not count is absent.
 */
export type Writes = Readonly<Record<string, number>>;
