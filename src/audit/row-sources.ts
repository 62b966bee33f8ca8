import type { Statement } from '../postgres/client.ts';

/** A table whose rows may name objects. */
export interface RowSource {
  readonly table: string;
  /** `archive`: nothing in Airflow reads the table, but the objects that it names must stay all the same. */
  readonly kind: 'xcom' | 'archive' | 'state';
  readonly value: 'bytea' | 'jsonb' | 'text';
  /** The columns of its primary key; null when it has none, like the tables that `airflow db clean` leaves. */
  readonly key: readonly KeyColumn[] | null;
  /** Whether an index begins with the run. Rows of runs that were live together lie on the same pages. */
  readonly isByRun: boolean;
  /** The column that says what a row belongs to: rows are read again by it. Null when there is no such column. */
  readonly owner: 'dag_run_id' | 'task_instance_id' | 'asset_id' | null;
  /**
   * How to tell a row of an earlier try, which 3.4 keeps and does not read: by its task instance, by the owner of a row
   * from before 3.4, or not, as the role may not read the owners. `none`: earlier tries leave no rows.
   */
  readonly tries: 'none' | 'by_task_instance' | 'by_owner' | 'not_told';
  readonly hasPlace: boolean;
  readonly at: 'timestamp' | 'updated_at';
  /** Pages per row, as Postgres estimates them. */
  readonly density: number;
  readonly pages: number;
  /** Whether the server reads some pages alone by their numbers: Postgres 14 and later. */
  readonly hasRangeScan: boolean;
  /** The number of the table's file, which changes when the table is written anew. */
  readonly file: string;
  readonly mayRead: boolean;
}

interface KeyColumn {
  readonly column: string;
  readonly type: 'int' | 'text' | 'uuid';
}

/** A column of a table, as {@link sourcesStatement} returns it. */
export interface SourceColumn {
  readonly table: string;
  readonly column: string;
  readonly type: string;
  readonly mayRead: boolean;
  readonly pages: number;
  readonly rows: number;
  readonly file: string;
  /** `r`: a plain table; `p`: a partitioned one; `v`: a view. */
  readonly kind: string;
  /** The version of the server, as 130021 for 13.21. */
  readonly version: number;
}

const RUN_KEY: readonly KeyColumn[] = [
  { column: 'dag_run_id', type: 'int' },
  { column: 'task_id', type: 'text' },
  { column: 'map_index', type: 'int' },
  { column: 'key', type: 'text' },
];

/**
 * The tables in the order in which the audit reads them. A row that moves goes to a later table: 3.4 writes to
 * `xcom_v2`, an upgrade and `airflow db clean` fill archives. So the audit sees every object that was named at the
 * start, whichever table its row is in by then.
 */
const LIVE: Readonly<Record<string, { kind: 'xcom' | 'state'; key: readonly KeyColumn[] }>> = {
  xcom: { kind: 'xcom', key: RUN_KEY },
  xcom_v1: { kind: 'xcom', key: RUN_KEY },
  xcom_v2: { kind: 'xcom', key: [{ column: 'id', type: 'uuid' }] },
  task_state_store: { kind: 'state', key: [{ column: 'id', type: 'int' }] },
  asset_state_store: {
    kind: 'state',
    key: [
      { column: 'asset_id', type: 'int' },
      { column: 'key', type: 'text' },
    ],
  },
};

/**
 * Archives: the upgrade to Airflow 3 leaves `_xcom_archive`, and `airflow db clean` leaves
 * `_airflow_deleted__<table>__<time>[__b<batch>]`.
 */
const ARCHIVES = '^(_xcom_archive$|_airflow_deleted__.*(xcom|state_store))';
/** Names the task instance of each row of `xcom_v1`, which is from before 3.4. */
const OWNERS = 'legacy_task_data_owner';
const OWNER_COLUMNS = ['dag_id', 'run_id', 'task_id', 'map_index', 'task_instance_id'];
const COLUMNS = [
  'dag_run_id',
  'task_instance_id',
  'id',
  'asset_id',
  'dag_id',
  'run_id',
  'task_id',
  'map_index',
  'key',
  'value',
  'timestamp',
  'updated_at',
];

export function sourcesStatement(): Statement {
  return {
    name: 'audit_sources',
    text: /* SQL */ `
      SELECT c.relname::text AS "table", a.attname::text AS "column", t.typname::text AS "type",
        has_column_privilege(c.oid, a.attnum, 'SELECT') AS "mayRead",
        (coalesce(pg_relation_size(c.oid), 0) / current_setting('block_size')::int)::float8 AS "pages",
        c.reltuples::float8 AS "rows", coalesce(pg_relation_filenode(c.oid), 0)::text AS "file",
        c.relkind::text AS "kind", current_setting('server_version_num')::int AS "version"
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        JOIN pg_type t ON t.oid = a.atttypid
      WHERE c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('dag_run'))
        AND c.relkind IN ('r', 'p', 'v') AND (c.relname = ANY($1::text[]) OR c.relname ~ $2)
        AND a.attname = ANY($3::text[])
      ORDER BY c.relname`,
    values: [[...Object.keys(LIVE), OWNERS], ARCHIVES, COLUMNS],
  };
}

/** @throws {Error} when one of the tables cannot be read, because the objects that it names would look orphaned. */
export function rowSources(columns: readonly SourceColumn[]): {
  readonly live: readonly RowSource[];
  readonly archives: readonly RowSource[];
} {
  const byTable = new Map<string, SourceColumn[]>();
  for (const column of columns) byTable.set(column.table, [...(byTable.get(column.table) ?? []), column]);
  const owners = byTable.get(OWNERS) ?? [];
  byTable.delete(OWNERS);
  const release = {
    keepsTries: byTable.has('xcom_v2'),
    knowsOwners: OWNER_COLUMNS.every(
      (name) => owners.find(({ column }) => column === name)?.mayRead === true,
    ),
  };
  const live = Object.keys(LIVE).flatMap((table) => {
    const found = byTable.get(table);
    return found === undefined ? [] : [rowSource(table, found, release)];
  });
  const archives = [...byTable]
    .filter(([table]) => !Object.hasOwn(LIVE, table))
    .map(([table, found]) => rowSource(table, found, release));
  // The numbers of pages are of one file, and Airflow makes archives of one file.
  const parted = archives.find(({ key, isPlain }) => key === null && !isPlain);
  if (parted !== undefined)
    throw new Error(
      `Cannot read the table ${parted.table}: it is a view or has partitions, and Airflow makes neither; move its rows to a plain table of this name, or give it another name if no object that it names is to stay`,
    );
  const denied = [...live, ...archives].filter(({ mayRead }) => !mayRead).map(({ table }) => table);
  if (denied.length > 0)
    throw new Error(
      `Cannot read ${denied.join(', ')}: the role may not; docs/sql/audit-role.sql grants what the audit needs`,
    );
  return { live, archives };
}

function rowSource(
  table: string,
  columns: readonly SourceColumn[],
  { keepsTries, knowsOwners }: { readonly keepsTries: boolean; readonly knowsOwners: boolean },
): RowSource & { readonly isPlain: boolean } {
  const find = (name: string) => columns.find(({ column }) => column === name);
  const known = Object.hasOwn(LIVE, table) ? LIVE[table] : undefined;
  const key = known?.key ?? (table === '_xcom_archive' ? RUN_KEY : null);
  const at = find('timestamp') === undefined ? 'updated_at' : 'timestamp';
  const owner =
    (['task_instance_id', 'dag_run_id', 'asset_id'] as const).find((name) => find(name) !== undefined) ??
    null;
  const place = ['dag_id', 'run_id', 'task_id'];
  const hasPlace = place.every((name) => find(name) !== undefined);
  const value = find('value')?.type;
  if ((value !== 'bytea' && value !== 'jsonb' && value !== 'text') || find(at) === undefined)
    throw new Error(`Cannot read the table ${table}: it has not the columns that any known Airflow gives it`);
  const reads = [
    'value',
    at,
    ...(owner === null ? [] : [owner]),
    ...(hasPlace ? place : []),
    ...(key ?? []).map(({ column }) => column),
  ];
  const [{ pages, rows, file, kind, version } = { pages: 0, rows: 0, file: '', kind: '', version: 0 }] =
    columns;
  const byOwner = knowsOwners ? 'by_owner' : 'not_told';
  // From 3.4 on a table or view of this name is somebody's own.
  const isOthers = table === 'xcom' && keepsTries;
  return {
    table,
    kind: known === undefined || isOthers ? 'archive' : known.kind,
    value,
    key,
    isByRun: key?.[0]?.column === 'dag_run_id',
    owner,
    tries:
      owner === 'task_instance_id'
        ? 'by_task_instance'
        : table === 'xcom_v1' && keepsTries
          ? byOwner
          : 'none',
    hasPlace,
    at,
    // Without statistics, this assumes the most pages that a row can touch.
    density: rows > 0 ? Math.min(1, pages / rows) : 1,
    pages,
    hasRangeScan: version >= 140_000,
    isPlain: kind === 'r',
    file,
    mayRead: reads.every((name) => find(name)?.mayRead === true),
  };
}
