import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { PostgresWriter } from '../postgres/writer.ts';
import type { DagPlan, Queue, TaskPlan } from './dags.ts';
import type { TaskPlace, WrittenXCom, XComBackend } from './xcom-backend.ts';

type RunState = 'running' | 'success' | 'failed';

/** One run of a DAG that plays by itself. */
export interface DagRun {
  readonly dagId: string;
  readonly runId: string;
  /** Whether a task has failed since the run was started or cleared. */
  hasFailed(): boolean;
  /** Epoch ms; null while the run is running. */
  endedAt(): number | null;
  /** The rows of the run that exist now. */
  written(): readonly WrittenXCom[];
  /**
   * Clears all tasks, as Airflow does: the run is running again, its XComs are purged, and the tasks play once more.
   * Resolves when the XComs are gone. The run then stays running for at least `holdSeconds`.
   */
  clear(options: { holdSeconds: number }): Promise<void>;
  /** Resolves when nothing of the run is under way. */
  settled(): Promise<void>;
}

export interface RunWorld {
  readonly database: PostgresWriter;
  readonly backend: XComBackend;
  readonly log: Logger;
  /** The current threshold in bytes of a worker of the queue. */
  readonly threshold: (queue: Queue) => number;
  /** Ends everything. */
  readonly signal: AbortSignal;
}

interface TaskTry {
  readonly task: TaskPlan;
  readonly place: TaskPlace;
}

const retryDelaySeconds = 1;

/** Inserts the run and its task instances, then lets the run play. `now` in epoch ms is its logical date. */
export async function startDagRun(
  plan: DagPlan,
  world: RunWorld,
  { ordinal, now }: { ordinal: number; now: number },
): Promise<DagRun> {
  const { database, backend, log } = world;
  const logicalDate = new Date(now).toISOString().replace(/\.\d+Z$/, '+00:00');
  const runId = `scheduled__${logicalDate}`;
  const dagRunId = await insertRun(database, { dagId: plan.dagId, runId, logicalDate });
  const stages = plan.stages.map((stage) => stage.flatMap((task) => copiesOf(task, { dagRunId, runId })));
  for (const instance of stages.flat()) await insertTaskInstance(database, instance);

  let hasFailed = false;
  let endedAt: number | null = null;
  let written: readonly WrittenXCom[] = [];
  let interrupt = new AbortController();
  let playing = start(0);

  function copiesOf(task: TaskPlan, run: { dagRunId: number; runId: string }): TaskTry[] {
    const indexes = task.copies === 0 ? [-1] : Array.from({ length: task.copies }, (_, index) => index);
    return indexes.map((mapIndex) => ({
      task,
      place: { ...run, dagId: plan.dagId, taskId: task.taskId, mapIndex },
    }));
  }

  /** Only pauses are interrupted. A write that has begun is finished, or it would leave an object without a row. */
  async function pause(seconds: number): Promise<void> {
    await delay(seconds * 1_000, undefined, {
      signal: AbortSignal.any([interrupt.signal, world.signal]),
    });
  }

  function start(holdSeconds: number): Promise<void> {
    return play(holdSeconds).catch((error: unknown) => {
      if (interrupt.signal.aborted || world.signal.aborted) return;
      hasFailed = true;
      endedAt = Date.now();
      log.warn({ dag: plan.dagId, run: runId, err: error }, 'a run of the demo broke off');
    });
  }

  async function play(holdSeconds: number): Promise<void> {
    const until = Date.now() + holdSeconds * 1_000;
    let failed = false;
    for (const stage of stages) {
      if (failed) {
        for (const { place } of stage) await setState(database, place, 'upstream_failed');
        continue;
      }
      // Waits for all tasks before it passes on an interruption of one: nothing may write after the run has ended.
      const outcomes = await Promise.allSettled(stage.map(playTask));
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') throw outcome.reason;
        failed ||= outcome.value === 'failed';
      }
    }
    await pause(Math.max(0, until - Date.now()) / 1_000);
    await setRunState(database, dagRunId, failed ? 'failed' : 'success');
    endedAt = Date.now();
  }

  async function playTask({ task, place }: TaskTry): Promise<'success' | 'failed'> {
    for (let attempt = 1; ; attempt += 1) {
      await startTry(database, { task, place });
      await purge(place);
      await pause(task.seconds);
      const fails = attempt === 1 && task.flaky(ordinal);
      try {
        await pushAll({ task, place }, fails);
      } catch (error) {
        if (world.signal.aborted) throw error;
        log.debug(
          { dag: plan.dagId, run: runId, task: task.taskId, err: error },
          'a task of the demo failed',
        );
        hasFailed = true;
        await setState(database, place, 'failed');
        return 'failed';
      }
      await setState(database, place, fails ? 'up_for_retry' : 'success');
      if (!fails) return 'success';
      await pause(retryDelaySeconds);
    }
  }

  async function pushAll({ task, place }: TaskTry, fails: boolean): Promise<void> {
    const upstream = { ...place, taskId: task.pulls ?? '', mapIndex: -1 };
    const input = task.pulls === null ? null : await backend.pull(upstream, 'return_value');
    const values = task.work({ ordinal, mapIndex: place.mapIndex, input });
    const pushed = fails ? { checkpoint: values['return_value'] } : values;
    const threshold = world.threshold(task.queue);
    for (const [key, value] of Object.entries(pushed)) {
      const xcom = await backend.push(place, { key, value, threshold });
      written = [...written, xcom];
    }
  }

  async function purge(place: TaskPlace): Promise<void> {
    await backend.purge(place);
    written = written.filter((row) => row.taskId !== place.taskId || row.mapIndex !== place.mapIndex);
  }

  return {
    dagId: plan.dagId,
    runId,
    hasFailed: () => hasFailed,
    endedAt: () => endedAt,
    written: () => written,
    clear: async ({ holdSeconds }) => {
      interrupt.abort();
      await playing;
      interrupt = new AbortController();
      hasFailed = false;
      endedAt = null;
      await setRunState(database, dagRunId, 'running');
      // Airflow purges when a task starts again. Here all are purged at once, so that the cure shows at once.
      for (const { place } of stages.flat()) {
        await setState(database, place, null);
        await purge(place);
      }
      playing = start(holdSeconds);
    },
    settled: () => playing,
  };
}

/** Resolves with the id of the run's row. */
export async function insertRun(
  database: PostgresWriter,
  run: { dagId: string; runId: string; logicalDate: string },
): Promise<number> {
  const [row] = await database.query<{ id: number }>(
    /* SQL */ `INSERT INTO dag_run (dag_id, run_id, logical_date, data_interval_start, data_interval_end,
        run_after, queued_at, start_date, created_at, updated_at, last_scheduling_decision, state, run_type,
        triggered_by, conf, clear_number)
      VALUES ($1, $2, $3, $3, $3, $3, now(), now(), now(), now(), now(), 'running', 'scheduled',
        'TIMETABLE', '{}', 0) RETURNING id`,
    [run.dagId, run.runId, run.logicalDate],
  );
  if (row === undefined) throw new Error(`Cannot insert the run ${run.runId}: no id came back`);
  return row.id;
}

export async function insertTaskInstance(
  database: PostgresWriter,
  {
    task,
    place,
  }: {
    readonly task: Pick<TaskPlan, 'queue' | 'operator' | 'customOperatorName'>;
    readonly place: TaskPlace;
  },
): Promise<void> {
  await database.query(
    /* SQL */ `INSERT INTO task_instance (id, task_id, dag_id, run_id, map_index, try_number, max_tries, pool,
        pool_slots, queue, priority_weight, operator, custom_operator_name, executor_config, scheduled_dttm,
        queued_dttm, updated_at, task_display_name, state)
      VALUES ($1, $2, $3, $4, $5, 0, 1, 'default_pool', 1, $6, 1, $7, $8, '\\x80057d942e', now(), now(), now(),
        $2, 'scheduled')`,
    [
      uuid7(Date.now()),
      place.taskId,
      place.dagId,
      place.runId,
      place.mapIndex,
      task.queue,
      task.operator,
      task.customOperatorName === '' ? null : task.customOperatorName,
    ],
  );
}

/** Airflow 3 gives a task instance a new id with each try. */
async function startTry(database: PostgresWriter, { task, place }: TaskTry): Promise<void> {
  const worker = task.queue === 'legacy' ? 0 : (place.dagRunId + Math.max(place.mapIndex, 0)) % 2;
  await database.query(
    /* SQL */ `UPDATE task_instance SET id = $5, state = 'running', try_number = try_number + 1, hostname = $6,
        unixname = 'airflow', pid = $7, start_date = now(), end_date = NULL, duration = NULL,
        last_heartbeat_at = now(), updated_at = now()
      WHERE dag_id = $1 AND task_id = $2 AND run_id = $3 AND map_index = $4`,
    [
      ...keyOf(place),
      uuid7(Date.now()),
      `airflow-worker-${task.queue}-${worker}`,
      1_000 + (place.dagRunId % 30_000),
    ],
  );
}

export async function setState(
  database: PostgresWriter,
  place: TaskPlace,
  state: string | null,
): Promise<void> {
  await database.query(
    /* SQL */ `UPDATE task_instance SET state = $5::text, updated_at = now(),
        end_date = CASE WHEN $5::text IS NULL THEN NULL ELSE now() END,
        duration = CASE WHEN $5::text IS NULL THEN NULL ELSE extract(epoch FROM now() - start_date) END
      WHERE dag_id = $1 AND task_id = $2 AND run_id = $3 AND map_index = $4`,
    [...keyOf(place), state],
  );
}

export async function setRunState(
  database: PostgresWriter,
  dagRunId: number,
  state: RunState,
): Promise<void> {
  const cleared = state === 'running';
  await database.query(
    /* SQL */ `UPDATE dag_run SET state = $2, updated_at = now(), last_scheduling_decision = now(),
        end_date = CASE WHEN $3 THEN NULL ELSE now() END, clear_number = clear_number + $3::boolean::int
      WHERE id = $1`,
    [dagRunId, state, cleared],
  );
}

function keyOf({ dagId, taskId, runId, mapIndex }: TaskPlace): readonly unknown[] {
  return [dagId, taskId, runId, mapIndex];
}

/** RFC 9562, version 7: Airflow's kind of id for task instances. */
function uuid7(now: number): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(now, 0, 6);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x70, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
