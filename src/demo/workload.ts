import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { PostgresWriter } from '../postgres/writer.ts';
import type { ObjectStore } from '../s3/client.ts';
import type { DagRun } from './dag-run.ts';
import { startDagRun } from './dag-run.ts';
import type { Queue } from './dags.ts';
import { DAGS } from './dags.ts';
import type { StorageBase } from './xcom-backend.ts';
import { createXComBackend } from './xcom-backend.ts';

/** A small Airflow: runs of a few DAGs come, write XComs as Airflow's workers do, and go. */
export interface Workload {
  /** The current runs, oldest first. */
  runs(): readonly DagRun[];
  /** The current threshold in bytes of the workers of a queue. */
  threshold(queue: Queue): number;
  /** Reconfigures the workers of a queue; the change takes effect with their next push. */
  setThreshold(queue: Queue, bytes: number): void;
  /** Clears the chosen runs. Resolves with their number when their XComs are gone. */
  clear(chosen: (run: DagRun) => boolean, options: { holdSeconds: number }): Promise<number>;
  /** Resolves when nothing writes any more. A second call does nothing. */
  stop(): Promise<void>;
}

export interface WorkloadOptions {
  readonly database: PostgresWriter;
  readonly objects: ObjectStore;
  readonly base: StorageBase;
  readonly log: Logger;
  /** The size in bytes from which a value becomes an object. */
  readonly threshold: number;
  readonly secondsBetweenRuns: number;
  /** How long an ended run is kept before its rows and objects are deleted. */
  readonly keepSeconds: number;
}

/** The tables and the bucket must exist. */
export function startWorkload(options: WorkloadOptions): Workload {
  const { database, objects, base, log } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  const own = options.threshold;
  const thresholds: Record<Queue, number> = { default: own, legacy: own, nightly: own };
  const backend = createXComBackend({ database, objects, base, signal });
  const world = { database, backend, log, threshold: (queue: Queue) => thresholds[queue], signal };
  const isStopping = (): boolean => signal.aborted;
  let runs: readonly DagRun[] = [];

  async function keepComing(): Promise<void> {
    for (let count = 0; !isStopping(); count += 1) {
      const plan = DAGS[count % DAGS.length];
      if (plan === undefined) return;
      try {
        const ordinal = Math.floor(count / DAGS.length);
        runs = [...runs, await startDagRun(plan, world, { ordinal, now: Date.now() })];
        await forgetOld();
      } catch (error) {
        // The next run may succeed: the demo must be able to go on for days.
        if (!isStopping()) log.warn({ err: error }, 'the demo could not start or delete a run');
      }
      await delay(options.secondsBetweenRuns * 1_000, undefined, { signal }).catch(() => undefined);
    }
  }

  /**
   * Deletes the rows first: a row without an object would be a problem, but an object briefly without a row is none.
   */
  async function forgetOld(): Promise<void> {
    const before = Date.now() - options.keepSeconds * 1_000;
    for (const run of runs) {
      const endedAt = run.endedAt();
      if (endedAt === null || endedAt > before) continue;
      await database.query(/* SQL */ 'DELETE FROM dag_run WHERE dag_id = $1 AND run_id = $2', [
        run.dagId,
        run.runId,
      ]);
      for (const { objectKey } of run.written())
        if (objectKey !== null) await objects.delete({ bucket: base.bucket, key: objectKey }, signal);
      runs = runs.filter((other) => other !== run);
    }
  }

  const coming = keepComing();
  let stopped: Promise<void> | null = null;

  async function stop(): Promise<void> {
    stopping.abort();
    await coming;
    await Promise.all(runs.map((run) => run.settled()));
  }

  return {
    runs: () => runs,
    threshold: (queue) => thresholds[queue],
    setThreshold: (queue, bytes) => {
      thresholds[queue] = bytes;
    },
    clear: async (chosen, clearing) => {
      const affected = runs.filter(chosen);
      await Promise.all(affected.map((run) => run.clear(clearing)));
      return affected.length;
    },
    stop: () => {
      stopped ??= stop();
      return stopped;
    },
  };
}
