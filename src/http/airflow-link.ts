/** The parts of an address into Airflow's interface. */
export interface TaskPlace {
  readonly dagId: string;
  readonly runId: string;
  readonly taskId: string;
  /** Negative: the task is not mapped. */
  readonly mapIndex: number;
}

/** Servers on the way refuse longer request lines: gunicorn, which serves Airflow 2, accepts 4,094 bytes. */
const MAX_LENGTH = 2_000;

/**
 * The address of a task instance's XComs in Airflow's own interface, whose paths changed with release 3. Null when
 * there is no such address: no base, an unknown release, or a name that no address can hold. `airflow`: the recognised
 * release, e.g. `2.9`; empty when it is not known.
 *
 * Release 2: `RUN_ID`, `TASK_ID`, `MAP_INDEX` in airflow/www/static/js/dag/useSelection.ts and `tabToIndex` in
 * dag/details/index.tsx, the same in 2.9.3, 2.10.5 and 2.11.2. Release 3: airflow/ui/src/router.tsx of 3.0.6, and the
 * same routes in airflow/ui/dist of 3.1 to 3.4.
 */
export function airflowLink(
  task: TaskPlace,
  options: { readonly baseUrl: string; readonly airflow: string },
): string | null {
  const { baseUrl, airflow } = options;
  if (!/^https?:\/\//i.test(baseUrl) || !/^[23]\b/.test(airflow)) return null;
  const base = baseUrl.replace(/\/+$/, '');
  const parts = [task.dagId, task.runId, task.taskId].map(encoded);
  const [dag, run, id] = parts;
  if (dag == null || run == null || id == null) return null;
  const mapped = task.mapIndex >= 0;
  const link = airflow.startsWith('2')
    ? `${base}/dags/${dag}/grid?dag_run_id=${run}&task_id=${id}${mapped ? `&map_index=${task.mapIndex}` : ''}&tab=xcom`
    : `${base}/dags/${dag}/runs/${run}/tasks/${id}${mapped ? `/mapped/${task.mapIndex}` : ''}/xcom`;
  return link.length > MAX_LENGTH ? null : link;
}

/** The name as one part of a path; null when a path cannot hold it. */
function encoded(name: string): string | null {
  // A browser takes these for steps in the path, however they are encoded
  // (https://url.spec.whatwg.org/#double-dot-path-segment).
  if (name === '' || name === '.' || name === '..') return null;
  try {
    return encodeURIComponent(name);
  } catch {
    // The name contains half a surrogate pair.
    return null;
  }
}
