import type { CanaryTask } from '../airflow/canary-queries.ts';
import { MOST_POOLS } from './dag-file.ts';
import { payloadOf } from './payload.ts';
import type { CanaryReport, Outcome, Refusal } from './report.ts';
import { parseReport } from './report.ts';

type Step = CanaryReport['step'];

/** A report that was believed, and when it was written, epoch ms. */
export interface Told {
  readonly at: number;
  readonly report: CanaryReport;
}

/** The memory of one pool of workers. */
export interface PoolMemory {
  readonly name: string;
  /** The name of its tasks: the part behind the step and an underscore. */
  readonly taskName: string;
  /** The latest report of each step. */
  readonly told: Readonly<Partial<Record<Step, Told>>>;
  /** When each operation last succeeded, epoch ms. */
  readonly succeededAt: Readonly<Partial<Record<Outcome['operation'], number>>>;
  /** Since when a report of the pool is waited for, epoch ms. */
  readonly expectedSince: number;
  /** The state of its task in the latest run that has begun; null: no run has begun. */
  readonly task: { readonly state: string | null; readonly runAt: number } | null;
}

export interface CanaryMemory {
  /** Sorted by name; `namesOf` says which pools these are. */
  readonly pools: readonly PoolMemory[];
  /** 0: not known. */
  readonly intervalMs: number;
  /** Versions of rows that were refused: each is counted once. */
  readonly refused: ReadonlySet<string>;
}

export const NO_CANARY: CanaryMemory = { pools: [], intervalMs: 0, refused: new Set() };

/** The interval that `canary` prints unless told otherwise. */
const USUAL_MS = 300_000;

interface Noted extends Told {
  readonly step: Step;
}

/**
 * The memory after another look at the tasks of the canary's latest runs, and how many reports were newly refused.
 * Pure: `now` is the database's clock, epoch ms.
 */
export function noteTasks(
  before: CanaryMemory,
  tasks: readonly CanaryTask[],
  { now }: { readonly now: number },
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
    }
    // A clock that is ahead must not make a report the last one for ever.
    else noted.push({ at: Math.min(report.at, now), step: parsed.step, report: parsed });
  }
  noted.sort((a, b) => a.at - b.at);
  const latest = noted.at(-1)?.report;
  const pools = [...namesOf(before, tasks, noted)].sort(byName).map(([name, taskName]) => {
    const known = before.pools.find((pool) => pool.name === name && pool.taskName === taskName);
    return withTask(withReports(known ?? newPool(name, taskName, tasks), noted), tasks);
  });
  const isGuessed = latest === undefined && before.pools.every(({ told }) => Object.keys(told).length === 0);
  const intervalMs = isGuessed ? intervalOf(tasks) : (latest?.interval ?? 0) * 1000 || before.intervalMs;
  return { memory: { pools, intervalMs, refused }, refusals };
}

const byName = ([one]: readonly [string, string], [other]: readonly [string, string]) =>
  one < other ? -1 : Number(one > other);

/**
 * The pools that the latest report names, and the pools that have reported and have a task in the latest run. Airflow
 * makes the tasks, so no report can take a pool away. Before any report a pool is called by its task: if no worker can
 * import its backend, no report comes.
 */
function namesOf(
  before: CanaryMemory,
  tasks: readonly CanaryTask[],
  noted: readonly Noted[],
): ReadonlyMap<string, string> {
  const told = noted.at(-1)?.report.pools ?? Object.fromEntries(before.pools.map(entryOf));
  const names = new Map(Object.entries(told));
  const isUnheard = names.size === 0;
  const looks = tasks.filter(({ taskId, state }) => taskId.startsWith('look_') && state !== 'removed');
  const latest = Math.max(...looks.map(({ dagRunId }) => dagRunId));
  const taken = new Set(names.values());
  for (const { dagRunId, taskId } of looks) {
    const taskName = taskId.slice('look_'.length);
    const name = ownName(taskName, before, noted) ?? (isUnheard ? taskName : null);
    if (name === null || dagRunId !== latest || taken.has(taskName) || names.size >= MOST_POOLS) continue;
    taken.add(taskName);
    names.set(name, taskName);
  }
  return names;
}

const entryOf = ({ name, taskName }: PoolMemory) => [name, taskName] as const;

/** The name that the pool of these tasks gives itself; undefined: it has never reported. */
function ownName(taskName: string, before: CanaryMemory, noted: readonly Noted[]): string | undefined {
  const own = noted.find(({ report }) => report.pools[report.pool] === taskName)?.report.pool;
  return own ?? before.pools.find((pool) => pool.taskName === taskName)?.name;
}

/**
 * The interval as long as no report has told it: the longest time between two runs, but at least the usual interval; 0:
 * there are not two runs.
 */
function intervalOf(tasks: readonly CanaryTask[]): number {
  const begun = [...new Set(tasks.flatMap(({ runAt }) => runAt ?? []))].sort((a, b) => a - b);
  return begun.length < 2
    ? 0
    : Math.max(USUAL_MS, ...begun.slice(1).map((at, index) => at - (begun[index] ?? at)));
}

/** A pool that nobody has heard of yet is waited for since the first run that its task is part of. */
function newPool(name: string, taskName: string, tasks: readonly CanaryTask[]): PoolMemory {
  const begun = tasks.flatMap(({ taskId, runAt }) => (taskId === `look_${taskName}` ? (runAt ?? []) : []));
  return {
    name,
    taskName,
    told: {},
    succeededAt: {},
    expectedSince: Math.min(...begun, Infinity),
    task: null,
  };
}

function withReports(pool: PoolMemory, noted: readonly Noted[]): PoolMemory {
  const told: Partial<Record<Step, Told>> = { ...pool.told };
  const succeededAt = { ...pool.succeededAt };
  for (const { at, step, report } of noted) {
    if (report.pool !== pool.name || at < (told[step]?.at ?? -Infinity)) continue;
    told[step] = { at, report };
    for (const { operation, ok } of report.operations)
      // All of several reads have to succeed.
      if (
        ok &&
        report.operations.every((one) => one.operation !== operation || one.ok) &&
        !(operation === 'push' && isElsewhere(report))
      )
        succeededAt[operation] = at;
  }
  return { ...pool, told, succeededAt, expectedSince: told.look?.at ?? pool.expectedSince };
}

/** Whether the value of the push is not known to be where it belongs. */
function isElsewhere(report: CanaryReport): boolean {
  const kind = payloadOf(report)?.kind;
  return kind === 'misplaced' || kind === 'untold';
}

function withTask(pool: PoolMemory, tasks: readonly CanaryTask[]): PoolMemory {
  let latest = pool.task;
  for (const { taskId, state, runAt } of tasks)
    if (runAt !== null && taskId === `look_${pool.taskName}` && runAt >= (latest?.runAt ?? -Infinity))
      latest = { state, runAt };
  return { ...pool, task: latest };
}
