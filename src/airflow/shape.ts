/** A column of one of Airflow's tables, from the catalogue. */
export interface CatalogueColumn {
  readonly table: string;
  readonly column: string;
  readonly type: string;
  /** Whether the role may read it. */
  readonly mayRead: boolean;
  /** Whether row-level security may hide rows of its table from the role. */
  readonly hidesRows: boolean;
}

/** One table that holds XCom rows. */
export interface XComSource {
  readonly table: 'xcom' | 'xcom_v1' | 'xcom_v2';
  /** `bytea`: JSON text or a pickle (Airflow 2). `jsonb`: native JSON (Airflow 3). */
  readonly value: 'bytea' | 'jsonb';
  /** The owner that the rows hang on: the run itself, or (xcom_v2) the task instance. */
  readonly keyedBy: 'dag_run' | 'task_instance';
}

/** The shape of one Airflow metadata database, recognised from its catalogue. */
export interface Shape {
  /** Releases that have this shape, e.g. `2.10-2.11`; the label `airflow` of `backend_info`. */
  readonly airflow: string;
  readonly major: 2 | 3;
  /** Before 2.9 the object storage backend does not exist. */
  readonly tooOld: boolean;
  /** The label `schema` of `backend_info`. */
  readonly name: string;
  readonly sources: readonly XComSource[];
  /** `task_instance.map_index`, which 3.4 calls `region_index`. */
  readonly mapIndexColumn: 'map_index' | 'region_index';
  /** Whether `task_instance.executor` is there and may be read. */
  readonly hasExecutor: boolean;
  /** From 3.4 on earlier tries keep their task instance and rows; `working_set` marks the current one. */
  readonly keepsTries: boolean;
  /** Whether the owners of the rows from before 3.4 may be read: their task instances, as Airflow finds them. */
  readonly knowsOwners: boolean;
  readonly hasRunAfter: boolean;
  /** Columns that the role may not read and that are treated as if they were not there. */
  readonly unread: readonly string[];
}

/**
 * Whether a row may lack the connection of the path that it was written below: Airflow 2.9.0 and 2.9.1 leave it out of
 * every row, and have the tables of all of 2.9.
 */
export function mayLackConnection({ airflow }: Shape): boolean {
  return airflow === '2.9';
}

/**
 * Whether nobody can tell of a row of `xcom_v1` if a task still reads it: from Airflow 3.4 on, the role may not read
 * whose row it is.
 */
export function isOwnerUnread({ keepsTries, knowsOwners }: Shape): boolean {
  return keepsTries && !knowsOwners;
}

export interface UnknownShape {
  readonly unsupported: string;
}

/** The tables whose columns {@link recogniseShape} needs. */
export const SHAPE_TABLES = ['xcom', 'xcom_v1', 'xcom_v2', 'dag_run', 'task_instance'] as const;

/**
 * Names the task instance of each row of `xcom_v1` from 3.4 on. Without it, nobody knows if a task still reads the row.
 */
const OWNERS = {
  table: 'legacy_task_data_owner',
  columns: ['dag_id', 'run_id', 'task_id', 'map_index', 'task_instance_id'],
} as const;

/** The tables whose columns are read from the catalogue. A table that is not needed may be missing or not be granted. */
export const CATALOGUE_TABLES = [...SHAPE_TABLES, OWNERS.table] as const;

/**
 * The columns that the statements read, where they are there. A test compares them with the grants of
 * docs/sql/role.sql.
 */
const COLUMNS_READ = {
  dag_run: ['id', 'dag_id', 'run_id', 'state', 'queued_at', 'start_date', 'end_date', 'run_after'],
  task_instance: [
    'dag_id',
    'run_id',
    'task_id',
    'map_index',
    'region_id',
    'region_index',
    'working_set',
    'state',
    'start_date',
    'updated_at',
    'queue',
    'executor',
    'hostname',
    'operator',
  ],
  xcom: ['ctid', 'xmin', 'dag_run_id', 'task_id', 'map_index', 'key', 'value', 'timestamp'],
  xcom_v1: ['ctid', 'xmin', 'dag_run_id', 'task_id', 'map_index', 'key', 'value', 'timestamp'],
  xcom_v2: ['xmin', 'id', 'task_instance_id', 'key', 'value', 'timestamp'],
} as const satisfies Record<(typeof SHAPE_TABLES)[number], readonly string[]>;

/**
 * Came with a release between two that share their tables otherwise, so it is often not granted. It only names workers.
 */
const EXECUTOR = 'task_instance.executor';

const RUN_KEYED = ['dag_run_id', 'task_id', 'map_index', 'key', 'dag_id', 'run_id', 'value', 'timestamp'];
const TASK_KEYED = ['id', 'task_instance_id', 'key', 'value', 'timestamp'];

/**
 * Recognises the shape by features, never by the alembic revision: patch releases add revisions, and
 * managed Airflows carry their own. Features: `xcom.value` is jsonb from 3.0, `task_instance.executor`
 * came with 2.10, `task_instance.rendered_map_index` with 2.9, `xcom.dag_result` with 3.3, `xcom_v2` and
 * `task_instance.region_index` with 3.4.
 */
export function recogniseShape(columns: readonly CatalogueColumn[]): Shape | UnknownShape {
  const types = new Map(columns.map(({ table, column, type }) => [`${table}.${column}`, type]));
  const has = (table: string, ...names: readonly string[]) =>
    names.every((name) => types.has(`${table}.${name}`));

  if (columns.length === 0)
    return {
      unsupported: 'no table of Airflow is there, or the role sees none in the schemas of its search_path',
    };
  if (!has('dag_run', 'id', 'dag_id', 'run_id', 'state'))
    return { unsupported: 'table dag_run lacks a column of every known release' };
  if (!has('task_instance', 'dag_id', 'run_id', 'task_id'))
    return { unsupported: 'there is no table task_instance' };

  const sources: XComSource[] = [];
  // If xcom_v2 exists, Airflow writes new rows there, and a table or view named xcom is somebody's own.
  for (const table of types.has('xcom_v2.key') ? (['xcom_v1'] as const) : (['xcom', 'xcom_v1'] as const)) {
    if (!types.has(`${table}.key`)) continue;
    const value = types.get(`${table}.value`);
    if (!has(table, ...RUN_KEYED))
      return { unsupported: `table ${table} lacks a column of every known release` };
    if (value !== 'bytea' && value !== 'jsonb')
      return { unsupported: `${table}.value has the type ${value ?? 'none'}, neither bytea nor jsonb` };
    sources.push({ table, value, keyedBy: 'dag_run' });
  }
  if (types.has('xcom_v2.key')) {
    const value = types.get('xcom_v2.value');
    if (!has('xcom_v2', ...TASK_KEYED) || !has('task_instance', 'id'))
      return { unsupported: 'table xcom_v2 lacks a column of every known release' };
    if (value !== 'jsonb') return { unsupported: `xcom_v2.value has the type ${value ?? 'none'}, not jsonb` };
    sources.push({ table: 'xcom_v2', value, keyedBy: 'task_instance' });
  }
  const [first] = sources;
  if (first === undefined) return { unsupported: 'there is no table xcom, xcom_v1 or xcom_v2' };
  const mapIndexColumn = has('task_instance', 'map_index')
    ? 'map_index'
    : has('task_instance', 'region_index')
      ? 'region_index'
      : null;
  if (mapIndexColumn === null)
    return { unsupported: 'table task_instance has neither map_index nor region_index' };

  const v2 = sources.some(({ table }) => table === 'xcom_v2');
  const major = first.value === 'bytea' ? 2 : 3;
  const tooOld = major === 2 && !has('task_instance', 'rendered_map_index');
  const refused = columns.filter(({ mayRead }) => !mayRead).map(({ table, column }) => `${table}.${column}`);
  const owners = OWNERS.columns.map((name) => `${OWNERS.table}.${name}`);
  const unreadOwners = owners.filter((name) => refused.includes(name));
  const unread = [
    ...refused.filter((name) => name === EXECUTOR),
    ...(unreadOwners.length === owners.length ? [OWNERS.table] : unreadOwners),
  ];
  const airflow = v2
    ? '3.4'
    : major === 3
      ? has(first.table, 'dag_result')
        ? '3.3'
        : '3.0-3.2'
      : tooOld
        ? 'before 2.9'
        : has('task_instance', 'executor')
          ? '2.10-2.11'
          : '2.9';
  return {
    airflow,
    major,
    tooOld,
    name: sources.map(({ table, value }) => `${table}-${value}`).join('+'),
    sources,
    mapIndexColumn,
    hasExecutor: has('task_instance', 'executor') && !unread.includes(EXECUTOR),
    keepsTries: has('task_instance', 'working_set'),
    knowsOwners: OWNERS.columns.every((name) =>
      columns.some(
        ({ table, column, mayRead, hidesRows }) =>
          table === OWNERS.table && column === name && mayRead && !hidesRows,
      ),
    ),
    hasRunAfter: has('dag_run', 'run_after'),
    unread,
  };
}

/**
 * Names what the role may not read although a statement will need it: whole tables, or single columns. Some statements
 * come only with the first large value, and a quiet database would hide until then that the role cannot read it.
 */
export function refusedBy(columns: readonly CatalogueColumn[], shape: Shape): string[] {
  const { sources, unread } = shape;
  const isByTask = sources.some(({ keyedBy }) => keyedBy === 'task_instance');
  return tablesRead(shape).flatMap((table) => {
    const names: readonly string[] = [
      ...COLUMNS_READ[table],
      ...(table === 'task_instance' && isByTask ? ['id'] : []),
    ];
    const needed = columns.filter((one) => one.table === table && names.includes(one.column));
    const refused = needed.filter(({ mayRead }) => !mayRead).map(({ column }) => `${table}.${column}`);
    return refused.length === needed.length ? [table] : refused.filter((name) => !unread.includes(name));
  });
}

/** Names the tables of which the role may not see every row. */
export function hiddenBy(columns: readonly CatalogueColumn[], shape: Shape): string[] {
  const { sources, keepsTries } = shape;
  const hasOwners = keepsTries && sources.some(({ keyedBy }) => keyedBy === 'dag_run');
  return [...tablesRead(shape), ...(hasOwners ? [OWNERS.table] : [])].filter((name) =>
    columns.some(({ table, hidesRows }) => hidesRows && table === name),
  );
}

function tablesRead({ sources }: Shape) {
  return ['dag_run', 'task_instance', ...sources.map(({ table }) => table)] as const;
}
