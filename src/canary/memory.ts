import type { CanaryTask } from '../airflow/canary-queries.ts';
import type { CanaryReport, Outcome, Refusal } from './report.ts';
import { parseReport } from './report.ts';

type Step = CanaryReport['step'];

/** A report that was believed, and when it was written, epoch ms. */
export interface Told {
  readonly at: number;
  readonly report: CanaryReport;
}

/** What is remembered of one pool of workers. */
export interface PoolMemory {
  readonly name: string;
  /** The latest report of each step. */
  readonly told: Readonly<Partial<Record<Step, Told>>>;
  /** When each operation last succeeded, epoch ms. */
  readonly succeededAt: Readonly<Partial<Record<Outcome['operation'], number>>>;
  /** Since when a report of it is waited for, epoch ms. */
  readonly expectedSince: number;
  /** How its task stands in the latest run that has begun; null: no run has. */
  readonly task: { readonly state: string | null; readonly runAt: number } | null;
}

export interface CanaryMemory {
  /** In the order of their names; those of which the DAG was made, as the latest report tells. */
  readonly pools: readonly PoolMemory[];
  readonly intervalMs: number;
  /** Versions of rows that were refused: each is counted once. */
  readonly refused: ReadonlySet<string>;
}

export const NO_CANARY: CanaryMemory = { pools: [], intervalMs: 0, refused: new Set() };

interface Noted extends Told {
  readonly step: Step;
}

/**
 * What is known after another look at the tasks of the canary's latest runs, and how many reports were refused that were
 * not before. Pure.
 */
export function noteTasks(
  before: CanaryMemory,
  tasks: readonly CanaryTask[],
): { readonly memory: CanaryMemory; readonly refusals: ReadonlyMap<Refusal, number> } {
  const refusals = new Map<Refusal, number>();
  const refused = new Set<string>();
  const noted: Noted[] = [];
  for (const { dagRunId, taskId, report } of tasks) {
    if (report === null) continue;
    const parsed =
      report.text === null ? { refused: 'too_large' as const } : parseReport(report.text, taskId);
    if ('refused' in parsed) {
      const id = `${dagRunId} ${taskId} ${report.version}`;
      refused.add(id);
      if (!before.refused.has(id)) refusals.set(parsed.refused, (refusals.get(parsed.refused) ?? 0) + 1);
    } else noted.push({ at: report.at, step: parsed.step, report: parsed });
  }
  noted.sort((a, b) => a.at - b.at);
  const latest = noted.at(-1)?.report;
  if (latest === undefined)
    return {
      memory: { ...before, refused, pools: before.pools.map((pool) => withTask(pool, tasks)) },
      refusals,
    };
  const pools = Object.keys(latest.pools)
    .sort()
    .map((name) => {
      const known = before.pools.find((pool) => pool.name === name);
      return withTask(withReports(known ?? newPool(name, latest.pools[name], tasks), noted), tasks);
    });
  return { memory: { pools, intervalMs: latest.interval * 1000, refused }, refusals };
}

/** A pool that nobody has heard of yet is waited for since the first of the runs that its task is part of. */
function newPool(name: string, taskName: string | undefined, tasks: readonly CanaryTask[]): PoolMemory {
  const begun = tasks.flatMap(({ taskId, runAt }) =>
    runAt !== null && taskId === `look_${taskName ?? ''}` ? [runAt] : [],
  );
  return { name, told: {}, succeededAt: {}, expectedSince: Math.min(...begun, Infinity), task: null };
}

function withReports(pool: PoolMemory, noted: readonly Noted[]): PoolMemory {
  const told: Partial<Record<Step, Told>> = { ...pool.told };
  const succeededAt = { ...pool.succeededAt };
  for (const { at, step, report } of noted) {
    if (report.pool !== pool.name || at < (told[step]?.at ?? -Infinity)) continue;
    told[step] = { at, report };
    for (const { operation, ok } of report.operations)
      // Of several reads, all have to succeed.
      if (ok && report.operations.every((one) => one.operation !== operation || one.ok))
        succeededAt[operation] = at;
  }
  return { ...pool, told, succeededAt, expectedSince: told.look?.at ?? pool.expectedSince };
}

function withTask(pool: PoolMemory, tasks: readonly CanaryTask[]): PoolMemory {
  const taskName = Object.values(pool.told)[0]?.report.pools[pool.name];
  let latest = pool.task;
  for (const { taskId, state, runAt } of tasks)
    if (runAt !== null && taskId === `look_${taskName ?? ''}` && runAt >= (latest?.runAt ?? -Infinity))
      latest = { state, runAt };
  return { ...pool, task: latest };
}
