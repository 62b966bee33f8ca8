import type { Statement } from '../postgres/client.ts';
import type { Shape } from './shape.ts';

/** The key under which a task of the canary leaves its report. */
export const REPORT_KEY = 'canary_report';
/** Rows that are given at most: eight runs of fifty pools are 1,200. */
const MOST_ROWS = 1_500;

/** A task of the canary, and the report that it left: anybody who writes DAGs may have written that. */
export interface CanaryTask {
  readonly dagRunId: number;
  /** When its run began, epoch ms; null: it has not. */
  readonly runAt: number | null;
  readonly taskId: string;
  readonly state: string | null;
  /** Null: it has left no report. */
  readonly report: {
    /** With the run and the task it names one version of the row. */
    readonly version: string;
    /** By the clock of the worker or the server, epoch ms. */
    readonly at: number;
    /** '': it is no text. Null: it is longer than was asked for. */
    readonly text: string | null;
  } | null;
}

/** As the statement answers. */
export interface CanaryTaskRow extends Omit<CanaryTask, 'report'> {
  readonly version: string | null;
  readonly at: number | null;
  /** Bytes where the column has those: what is no text makes Postgres fail when it is asked to convert it. */
  readonly value: string | Uint8Array | null;
}

/**
 * The tasks of some runs with their reports, those of retries that are over left out. A value that is long is not
 * unpacked, and one that turns out to be long does not leave the database.
 */
export function canaryTasksStatement(
  shape: Shape,
  { runIds, mostBytes }: { readonly runIds: readonly number[]; readonly mostBytes: number },
): Statement {
  // New rows are in the newest table alone.
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
      WHERE r.id = ANY($1::int[]) LIMIT ${MOST_ROWS}`,
    values: [runIds, mostBytes],
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
