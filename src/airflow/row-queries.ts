import { fromSource, selectRows } from './queries.ts';
import type { Statement } from './queries.ts';
import type { Shape, XComSource } from './shape.ts';
import { taskInstanceAt } from './task-instance-at.ts';

/** Names one row: from 3.4 on its task instance and key do, before the run, the task, its map index and the key. */
export interface RowId {
  readonly taskInstanceId: string | null;
  readonly dagRunId: number;
  readonly taskId: string;
  readonly mapIndex: number;
  readonly key: string;
}

/** `FROM …` for exactly these rows, by the primary key or, in `xcom_v2`, the unique one. */
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

/** The same columns with the value unpacked: for rows whose stored size does not decide. */
export function measureStatement(shape: Shape, source: XComSource, rows: readonly RowId[]): Statement {
  const { from, values } = theseRows(source, rows);
  return {
    name: `measure_${source.table}`,
    text: selectRows(shape, source, { from, deep: true }),
    values,
  };
}

/**
 * How long a try that has begun may take to purge what the one before it pushed. Airflow 2 deletes all objects of the
 * task instance before it commits that the rows are gone (`XCom.clear`), Airflow 3 a row after its object.
 */
const PURGE = "interval '10 minutes'";

/** Whether these rows are still there, in which version, of an earlier try, or of a task instance that may be purging. */
export function versionsStatement(shape: Shape, source: XComSource, rows: readonly RowId[]): Statement {
  const { from, values } = theseRows(source, rows);
  const { place, runId } = fromSource(shape, source);
  const at = { dagId: 'r.dag_id', runId: 'r.run_id', taskId: 'x.task_id', mapIndex: 'x.map_index' };
  const join =
    source.keyedBy === 'task_instance'
      ? ''
      : `JOIN dag_run r ON r.id = x.dag_run_id
      LEFT JOIN ${taskInstanceAt(shape, { at, columns: ['state', 'start_date'] })} ti ON true`;
  return {
    name: `versions_${source.table}`,
    text: /* SQL */ `
      SELECT ${runId} AS "dagRunId", ${place.taskId} AS "taskId", ${place.mapIndex} AS "mapIndex", x.key,
        ${source.keyedBy === 'task_instance' ? 'ti.id::text' : 'NULL::text'} AS "taskInstanceId",
        x.xmin::text AS "version",
        ${source.keyedBy === 'task_instance' ? 'ti.working_set IS NOT TRUE' : 'false'} AS "archived",
        coalesce(ti.state = 'running' AND ti.start_date > now() - ${PURGE}, false) AS "purging"
      FROM ${from} ${join}`,
    values,
  };
}
