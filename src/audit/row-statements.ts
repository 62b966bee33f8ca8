import { REFERENCE_HINT } from '../airflow/reference.ts';
import { BY_OWNER } from '../airflow/row-queries.ts';
import type { Statement } from '../postgres/client.ts';
import type { RowSource } from './row-sources.ts';

/** A value that may name an object, with other columns of its row. */
export interface NamingRow {
  readonly owner: string;
  readonly dagId: string | null;
  readonly runId: string | null;
  readonly taskId: string | null;
  /** Epoch ms, on the writer's clock. */
  readonly at: number;
  readonly text: string | null;
  readonly raw: Uint8Array | null;
}

/**
 * The bounds of a chunk: values of the key, runs, or the numbers of pages. The chunk excludes the first bound and
 * includes the second; of pages it includes the first and excludes the second.
 */
export interface Bounds {
  readonly after: readonly string[] | null;
  readonly upTo: readonly string[] | null;
}

/** Longer values are never references. */
const LONGEST = 4096;
/** The state stores of 3.3 name an object in this form: {"__airflow_state_ref__": "s3://…"}. */
const STATE_HINT = '://';

/** The key of the last of the next `rows` rows; none when fewer are left. The index alone answers this. */
export function boundStatement(
  source: RowSource,
  { after, rows }: { readonly after: Bounds['after']; readonly rows: number },
): Statement {
  const key = source.key ?? [];
  const columns = key.map(({ column }) => `x.${column}`).join(', ');
  const named = key.map(({ column }) => `x.${column}::text AS "${column}"`).join(', ');
  return {
    name: `audit_bound_${source.table}`,
    text: /* SQL */ `
      SELECT ${named} FROM ${quoted(source.table)} x
      ${after === null ? '' : `WHERE ${comparison(source, '>', 1)}`}
      ORDER BY ${columns} OFFSET ${rows - 1} LIMIT 1`,
    values: after ?? [],
  };
}

/** The next run that has rows, and the last run that has rows: two looks at the index. */
export function nextRunsStatement(source: RowSource, after: string): Statement {
  return {
    name: `audit_runs_${source.table}`,
    text: /* SQL */ `
      SELECT min(x.dag_run_id) AS "first", (SELECT max(dag_run_id) FROM ${quoted(source.table)}) AS "last"
      FROM ${quoted(source.table)} x WHERE x.dag_run_id > $1::int`,
    values: [after],
  };
}

/** Pages of a table and its indexes that this transaction has looked at; 0 when Postgres counts nothing. */
export function pagesStatement(source: RowSource): Statement {
  return {
    name: 'audit_pages',
    text: /* SQL */ `
      SELECT coalesce(sum(pg_stat_get_xact_blocks_fetched(oid)), 0)::float8 AS "pages" FROM (
        SELECT to_regclass($1)::oid AS oid UNION ALL
        SELECT indexrelid FROM pg_index WHERE indrelid = to_regclass($1)) AS relation`,
    values: [quoted(source.table)],
  };
}

/** The values that may name objects, from rows between two keys, of some runs, or on some pages. */
export function namingStatement(source: RowSource, { after, upTo }: Bounds): Statement {
  return {
    name: `audit_rows_${source.table}`,
    text: naming(source, conditionsOf(source, { after, upTo })),
    values: [...(after ?? []), ...(upTo ?? [])],
  };
}

const RANGE_OF_PAGES = `x.ctid >= format('(%s,0)', $1::text)::tid AND x.ctid < format('(%s,0)', $2::text)::tid`;
/**
 * Before version 14 the server would read the whole table for a range. So each place that a page can have is named: a
 * row has 24 bytes at least and a pointer of 4.
 */
const ROWS_OF_PAGES = `x.ctid = ANY(ARRAY(
  SELECT format('(%s,%s)', page, place)::tid
  FROM generate_series($1::bigint, $2::bigint - 1) page,
    generate_series(1, current_setting('block_size')::int / 28) place))`;

function conditionsOf(source: RowSource, { after, upTo }: Bounds): string[] {
  if (source.key === null) return [source.hasRangeScan ? RANGE_OF_PAGES : ROWS_OF_PAGES];
  if (source.isByRun) return ['x.dag_run_id > $1::int', 'x.dag_run_id <= $2::int'];
  return [
    ...(after === null ? [] : [comparison(source, '>', 1)]),
    ...(upTo === null ? [] : [comparison(source, '<=', (after?.length ?? 0) + 1)]),
  ];
}

/**
 * The same for the rows of these runs, task instances or assets, without rows that Airflow no longer reads: from 3.4 on
 * an earlier try keeps its rows. If the role may not read whose rows they are, they are all here.
 */
export function ownersStatement(source: RowSource, owners: readonly string[]): Statement {
  const type = source.owner === 'task_instance_id' ? 'uuid' : 'int';
  const { join, current } = TRIES[source.tries];
  const owned = `x.${source.owner ?? ''} = ANY($1::${type}[])`;
  return {
    name: `audit_owners_${source.table}`,
    text: naming(source, [owned, ...current], join),
    values: [owners],
  };
}

const TRIES: Readonly<Record<RowSource['tries'], { join: string; current: readonly string[] }>> = {
  none: { join: '', current: [] },
  not_told: { join: '', current: [] },
  by_task_instance: {
    join: '',
    current: ['EXISTS (SELECT FROM task_instance ti WHERE ti.id = x.task_instance_id AND ti.working_set)'],
  },
  by_owner: { join: BY_OWNER.join, current: [`(${BY_OWNER.archived}) IS NOT TRUE`] },
};

/** A value is unpacked only when it is short, and leaves the database only when it is shaped as a reference. */
function naming(source: RowSource, conditions: readonly string[], join = ''): string {
  const place = (column: string) => (source.hasPlace ? `x.${column}` : 'NULL::text');
  const { value, matches } = VALUES[source.value];
  return /* SQL */ `
      SELECT * FROM (
        SELECT ${source.owner === null ? `''` : `x.${source.owner}::text`} AS "owner",
          ${place('dag_id')} AS "dagId", ${place('run_id')} AS "runId", ${place('task_id')} AS "taskId",
          (extract(epoch FROM x.${source.at}) * 1000)::float8 AS "at", ${value}
        FROM ${quoted(source.table)} x ${join}
        ${conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`} OFFSET 0) v
      WHERE ${matches}`;
}

const VALUES: Readonly<Record<RowSource['value'], { value: string; matches: string }>> = {
  jsonb: {
    value: `CASE WHEN pg_column_size(x.value) <= ${LONGEST} AND jsonb_typeof(x.value) = 'string'
            THEN x.value #>> '{}' END AS "text", NULL::bytea AS "raw"`,
    matches: `octet_length(v."text") <= ${LONGEST} AND v."text" ~ $hint$${REFERENCE_HINT}$hint$`,
  },
  bytea: {
    value: `NULL::text AS "text", CASE WHEN octet_length(x.value) BETWEEN 20 AND ${LONGEST}
            AND get_byte(x.value, 0) IN (34, 128) THEN x.value END AS "raw"`,
    matches: `encode(v."raw", 'escape') ~ '://.*-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}'`,
  },
  text: {
    value: `CASE WHEN octet_length(x.value) <= ${LONGEST} THEN x.value END AS "text", NULL::bytea AS "raw"`,
    matches: `strpos(v."text", '${STATE_HINT}') > 0`,
  },
};

/** Compares row-wise, which a btree answers with one range. */
function comparison(source: RowSource, operator: '>' | '<=', first: number): string {
  const key = source.key ?? [];
  const left = key.map(({ column }) => `x.${column}`).join(', ');
  const right = key.map(({ type }, index) => `$${first + index}::${type}`).join(', ');
  return `(${left}) ${operator} (${right})`;
}

/** Quotes the name of a table. Names of archives come from the catalogue; Airflow itself chose them. */
function quoted(table: string): string {
  return `"${table.replaceAll('"', '""')}"`;
}

/** Tells which database of its cluster this is, and whether the role may ask which cluster it is. */
export function auditOriginStatement(): Statement {
  return {
    name: 'audit_origin',
    text: /* SQL */ `
      SELECT concat_ws(' ', (SELECT oid FROM pg_database WHERE datname = current_database()), current_database(),
        to_regclass('dag_run')::oid) AS "origin",
        has_function_privilege('pg_control_system()', 'EXECUTE')
          AND has_function_privilege('pg_control_checkpoint()', 'EXECUTE') AS "mayNameSystem"`,
    values: [],
  };
}

/** Those of these task instances that are still there: if one pushes again, the value goes to the same key. */
export function taskInstancesStatement(ids: readonly string[]): Statement {
  return {
    name: 'audit_task_instances',
    text: 'SELECT id::text AS "id" FROM task_instance WHERE id = ANY($1::uuid[])',
    values: [ids],
  };
}

/** The next dag after `after`. Repeated calls skip through an index, with one look for each dag. */
export function nextDagStatement(after: string): Statement {
  return {
    name: 'audit_next_dag',
    text: 'SELECT dag_id AS "dagId" FROM dag_run WHERE dag_id > $1 ORDER BY dag_id LIMIT 1',
    values: [after],
  };
}
