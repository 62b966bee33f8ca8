import type { Worker } from '../airflow/worker-queries.ts';
import type { Standing } from './standing.ts';
import { allOf, standingOf, standingOfHistory } from './standing.ts';
import type { Histories, History, WorkerHistory } from './worker-histories.ts';

/** The verdict on the workers that kept large values. A worker is called by its number; 0 is an unknown worker. */
export interface JudgedWorkers {
  readonly standingOf: (worker: number) => Standing;
  /**
   * Whether the workers of its queue, executor and operator put something into object storage, or this is not known.
   */
  readonly mayHavePut: (worker: number) => boolean;
  /** The workers that neither lack the backend for certain nor are over it; those with the most values first. */
  readonly doubtful: readonly Doubtful[];
}

export interface Doubtful {
  readonly standing: 'threshold' | 'open';
  /** One of the workers. */
  readonly worker: Worker;
  readonly history: History;
}

export function judgeWorkers({ byWorker, areSomeUnknown }: Histories): JudgedWorkers {
  const standings = new Map<number, Standing>();
  const doubtful = new Map<History, Doubtful>();
  for (const [number, one] of byWorker) {
    const standing = standingOf(one);
    standings.set(number, standing);
    if (standing !== 'threshold' && standing !== 'open') continue;
    const history = toldBy(one, standing);
    doubtful.set(history, { standing, worker: one.worker, history });
  }
  return {
    standingOf: (worker) => standings.get(worker) ?? 'bypassing',
    mayHavePut(worker) {
      const pool = byWorker.get(worker)?.pool;
      return areSomeUnknown || pool === undefined || putOf(pool) > 0;
    },
    doubtful: [...doubtful.values()].sort((a, b) => b.history.kept.rows - a.history.kept.rows),
  };
}

/** The host alone if its history has this standing, else all workers of the pool. */
function toldBy({ own, pool, isHostLasting }: WorkerHistory, standing: Standing): History {
  return isHostLasting && standingOfHistory(own) === standing ? own : pool;
}

function putOf({ earlier, between, since }: History): number {
  return allOf(earlier) + allOf(between) + allOf(since);
}
