import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { PostgresWriter } from '../postgres/writer.ts';
import type { ObjectStore } from '../s3/client.ts';
import { insertRun, insertTaskInstance, setRunState, setState } from './dag-run.ts';
import type { Queue } from './dags.ts';
import { QUEUES } from './dags.ts';
import type { StorageBase, TaskPlace, XComBackend } from './xcom-backend.ts';
import { basePath, createXComBackend } from './xcom-backend.ts';

/**
 * A small version of the DAG that `airflow-xcom-exporter canary` prints. It leaves the same in the database and the
 * bucket.
 */

const DAG_ID = 'airflow_xcom_canary';
/**
 * The interval between runs that the reports promise. Runs come sooner, so that a slow machine does not make them late.
 */
const INTERVAL_SECONDS = 30;
const BACKEND = 'airflow.providers.common.io.xcom.backend.XComObjectStorageBackend';
const VERSIONS = {
  python: '3.12.1',
  airflow: '3.3.2',
  common_io: '1.9.0',
  amazon: '9.36.0',
  universal_pathlib: '0.3.10',
  fsspec: '2026.9.0',
  s3fs: '2026.9.0',
};
const TASKS = Object.fromEntries(QUEUES.map((queue) => [queue, queue]));
const never = -1;

export interface CanaryOptions {
  readonly database: PostgresWriter;
  readonly objects: ObjectStore;
  readonly base: StorageBase;
  readonly log: Logger;
  /** The current threshold in bytes of a worker of the queue. */
  readonly threshold: (queue: Queue) => number;
  readonly secondsBetweenRuns: number;
}

interface World extends CanaryOptions {
  readonly backend: XComBackend;
  readonly signal: AbortSignal;
}

export interface DemoCanary {
  /** No run reports during the change, and earlier reports are gone by then, so nobody sees half of a change. */
  readonly silentWhile: (change: () => Promise<void>) => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** Runs the canary again and again until it is stopped; each run's predecessor is deleted. */
export function startCanary(options: CanaryOptions): DemoCanary {
  const { database, log, secondsBetweenRuns } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  const world = { ...options, signal, backend: createXComBackend({ ...options, signal }) };
  const isStopping = (): boolean => signal.aborted;

  /** The current run or change; the next one waits for it. */
  let turn = Promise.resolve();

  async function inTurn(act: () => Promise<void>): Promise<void> {
    const mine = turn.then(act);
    turn = mine.catch(() => undefined);
    await mine;
  }

  async function runAnew(): Promise<void> {
    const run = await runCanary(world);
    await database.query(/* SQL */ 'DELETE FROM dag_run WHERE dag_id = $1 AND id < $2', [DAG_ID, run]);
  }

  async function keepOn(): Promise<void> {
    while (!isStopping()) {
      try {
        await inTurn(runAnew);
      } catch (error) {
        if (!isStopping()) log.warn({ err: error }, 'the canary of the demo could not run');
      }
      await delay(secondsBetweenRuns * 1_000, undefined, { signal }).catch(() => undefined);
    }
  }

  const running = keepOn();
  return {
    silentWhile: (change) =>
      inTurn(async () => {
        await database.query(/* SQL */ 'DELETE FROM dag_run WHERE dag_id = $1', [DAG_ID]);
        await change();
      }),
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}

/** One run over all queues; resolves with the id of its row. */
async function runCanary(world: World): Promise<number> {
  const { database } = world;
  const logicalDate = new Date().toISOString().replace(/Z$/, '+00:00');
  const run = { dagId: DAG_ID, runId: `scheduled__${logicalDate}` };
  const dagRunId = await insertRun(database, { ...run, logicalDate });
  const outcomes = await Promise.all(
    QUEUES.map((queue) => look(world, queue, { ...run, dagRunId, taskId: `look_${queue}`, mapIndex: -1 })),
  );
  await setRunState(database, dagRunId, outcomes.every(Boolean) ? 'success' : 'failed');
  return dagRunId;
}

interface Step {
  readonly operation: 'push' | 'pull' | 'delete';
  readonly ok: boolean;
  readonly seconds: number;
  readonly got?: 'equal' | 'other';
  readonly error?: { readonly class: string };
}

/** Pushes a value just above the threshold, pulls it, and reports. True: every step worked. */
async function look(
  { database, backend, base, threshold, signal }: World,
  queue: Queue,
  place: TaskPlace,
): Promise<boolean> {
  const task = {
    taskId: place.taskId,
    queue,
    operator: '_PythonDecoratedOperator',
    customOperatorName: '@task',
  };
  await insertTaskInstance(database, { task, place });
  const own = threshold(queue);
  const value = `xcom-canary ${place.runId} `.padEnd(Math.max(own + 64, 1_000), 'x');

  async function attempt(operation: Step['operation'], step: () => Promise<object>): Promise<Step> {
    const started = performance.now();
    const tell = (more: object, ok: boolean): Step => ({
      operation,
      ok,
      seconds: (performance.now() - started) / 1_000,
      ...more,
    });
    try {
      const more = await step();
      return tell(more, !('got' in more) || more.got === 'equal');
    } catch (error) {
      // Stopping the demo is no fault of the storage.
      if (signal.aborted) throw error;
      return tell({ error: { class: 'builtins.PermissionError' } }, false);
    }
  }

  let form: 'value' | 'reference' | null = null;
  const push = await attempt('push', async () => {
    const written = await backend.push(place, { key: 'canary_payload', value, threshold: own });
    form = written.objectKey === null ? 'value' : 'reference';
    return {};
  });
  const pull = async () => ({
    got: (await backend.pull(place, 'canary_payload')) === value ? 'equal' : 'other',
  });
  const operations = [
    push,
    ...(push.ok ? [await attempt('pull', pull)] : []),
    await attempt('delete', () => backend.purge(place).then(() => ({}))),
  ];
  const isWell = operations.every(({ ok }) => ok);
  const report = {
    canary: 1,
    step: 'look',
    pool: queue,
    pools: TASKS,
    interval: INTERVAL_SECONDS,
    ok: isWell,
    operations,
    settings: {
      backend: BACKEND,
      object_storage: true,
      path: basePath(base),
      threshold: String(own),
      threshold_bytes: String(own),
      compression: '',
      versions: VERSIONS,
    },
    payload: { bytes: value.length + 2, form },
    warm_up_seconds: null,
  };
  // Written past the backend, as the DAG does it.
  await backend.push(place, { key: 'canary_report', value: report, threshold: never });
  await setState(database, place, isWell ? 'success' : 'failed');
  return isWell;
}
