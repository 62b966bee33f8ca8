import type { Statement } from '../postgres/client.ts';
import type { Shape } from './shape.ts';

/** The key under which a task of the canary leaves its report. */
export const REPORT_KEY = 'canary_report';
/** How many rows the statement returns at most: eight runs of fifty pools are 1,200. */
const MOST_ROWS = 1_500;

/** A task of the canary and its report. Do not trust the report: anybody who writes DAGs may have written it. */
export interface CanaryTask {
  readonly dagRunId: number;
  /** When the run began, epoch ms; null: the run has not begun. */
  readonly runAt: number | null;
  readonly taskId: string;
  readonly state: string | null;
  /** Null: the task has left no report. */
  readonly report: {
    /** Together with the run and the task, this names one version of the row. */
    readonly version: string;
    /** When the report was written, by the clock of the worker or the server, epoch ms. */
    readonly at: number;
    /** '': the report is not text. Null: the report is longer than the limit. */
    readonly text: string | null;
  } | null;
}

/** A row as the statement returns it. */
export interface CanaryTaskRow extends Omit<CanaryTask, 'report'> {
  readonly version: string | null;
  readonly at: number | null;
  /** Bytes when the column is `bytea`: Postgres would fail to convert bytes that are not text. */
  readonly value: string | Uint8Array | null;
}

/** Some runs of one canary. An id alone may be of another dag: after a reload the database may be another one. */
export interface CanaryRuns {
  readonly dagId: string;
  readonly runIds: readonly number[];
}

/**
 * The tasks of some runs with their reports, without earlier tries. Postgres does not unpack a long value, and a value
 * that turns out to be long after unpacking does not leave the database.
 */
export function canaryTasksStatement(
  shape: Shape,
  { dagId, runIds, mostBytes }: CanaryRuns & { readonly mostBytes: number },
): Statement {
  // New rows are only in the newest table.
  const source = shape.sources.at(-1);
  if (source === undefined) throw new Error('The shape has no table of XComs');
  const isBytea = source.value === 'bytea';
  const row =
    source.keyedBy === 'task_instance'
      ? 'x.task_instance_id = ti.id'
      : `x.dag_run_id = r.id AND x.task_id = ti.task_id AND x.map_index = ti.${shape.mapIndexColumn}`;
  return {
    name: `canary_tasks_${source.table}`,
    text: /* SQL */ `
      SELECT r.id AS "dagRunId", (extract(epoch FROM r.start_date) * 1000)::float8 AS "runAt",
        ti.task_id AS "taskId", ti.state, x.version, x.at,
        CASE WHEN octet_length(x.value) <= $2::int THEN x.value END AS "value"
      FROM dag_run r
      JOIN task_instance ti ON ti.dag_id = r.dag_id AND ti.run_id = r.run_id
        ${shape.keepsTries ? 'AND ti.working_set' : ''}
      LEFT JOIN LATERAL (
        SELECT x.xmin::text AS version, (extract(epoch FROM x.timestamp) * 1000)::float8 AS at,
          CASE WHEN pg_column_size(x.value) <= $2::int THEN ${isBytea ? 'x.value' : 'x.value::text'} END AS value
        FROM ${source.table} x WHERE ${row} AND x.key = '${REPORT_KEY}' OFFSET 0) x ON true
      WHERE r.id = ANY($1::int[]) AND r.dag_id = $3 LIMIT ${MOST_ROWS}`,
    values: [runIds, mostBytes, dagId],
  };
}

/**
 * Whether there is a run of the canary, however old. A deleted DAG has none, and `airflow db clean` keeps the latest
 * scheduled run of each DAG.
 */
export function canaryRunStatement(dagId: string): Statement {
  return {
    name: 'canary_run',
    text: 'SELECT EXISTS (SELECT FROM dag_run WHERE dag_id = $1) AS "isThere"',
    values: [dagId],
  };
}

export function canaryTask({ version, at, value, ...task }: CanaryTaskRow): CanaryTask {
  if (version === null || at === null) return { ...task, report: null };
  return { ...task, report: { version, at, text: value instanceof Uint8Array ? textOf(value) : value } };
}

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return '';
  }
}
