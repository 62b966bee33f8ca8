import type { IsRun } from '../airflow/reference.ts';
import type { Link } from './columns.ts';

/** `unseen`: objects of the run lie where no listing of it leads, so what else lies there is not known. */
export type Listed =
  | { readonly at: number; readonly unseen: false; readonly orphans: number; readonly orphanBytes: number }
  | { readonly at: number; readonly unseen: true };

/** One dag run of the window. */
export interface Run {
  /** `dag_run.id`. */
  readonly id: number;
  readonly dagId: string;
  readonly runId: string;
  /** Its number in the columns. */
  readonly slot: number;
  live: boolean;
  /** Database clock, epoch ms. */
  readAt: number;
  /** The point where the next reading starts; null: it has to be read whole. */
  horizon: string | null;
  /** Rows that it holds besides, older than the window; without those that hang on their task instance. */
  expired: number;
  /** Deleted from dag_run: it has no rows, but may have left objects. */
  gone: boolean;
  /** When the run was last seen live or written to; orphans count from a grace period after it. */
  activeAt: number;
  /** Objects that a listing found and no row refers to; null when something changed since. */
  listed: Listed | null;
  /** Kept by the row store: how many rows of the window it holds, … */
  rows: number;
  /** … how many of them hang on their task instance, … */
  rowsOnTasks: number;
  /** … how many of them are references of their own, … */
  references: number;
  /** … and how many of these nobody has looked up yet. */
  unverified: number;
  /** No row of it is older, epoch ms; there may be none that old any more. */
  oldest: number;
  firstLink: Link;
}

/** Tells the runs that there are by their names, which are put together when they are first asked for. */
export function knownRuns(runs: () => Iterable<Pick<Run, 'dagId' | 'runId'>>): IsRun {
  // No text of Postgres holds the character 0.
  const nameOf = (dagId: string, runId: string) => `${dagId}\0${runId}`;
  let names: ReadonlySet<string> | null = null;
  return (dagId, runId) => {
    names ??= new Set(Array.from(runs(), (run) => nameOf(run.dagId, run.runId)));
    return names.has(nameOf(dagId, runId));
  };
}

/** Fields that follow from its rows. */
type FromRows = 'rows' | 'rowsOnTasks' | 'references' | 'unverified' | 'oldest' | 'firstLink';

export type RunState = Omit<Run, 'slot' | FromRows>;
export type RunItem = Omit<Run, FromRows>;

export function newRun(slot: number, state: RunState): Run {
  const { id, dagId, runId, live, readAt, horizon, expired, gone, activeAt, listed } = state;
  // Written out: there may be ten thousand, and a spread makes each of them larger.
  return {
    id,
    dagId,
    runId,
    slot,
    live,
    readAt,
    horizon,
    expired,
    gone,
    activeAt,
    listed,
    rows: 0,
    rowsOnTasks: 0,
    references: 0,
    unverified: 0,
    oldest: Infinity,
    firstLink: 0,
  };
}

/** Numbers for runs, small enough to index arrays by; one that is given back is used again. */
export interface RunSlots {
  take(): number;
  give(slot: number): void;
  /** Into the slot that was taken for it. */
  put(run: Run): void;
  /** @throws {Error} when no run was put there. */
  at(slot: number): Run;
  /** All slots are below. */
  limit(): number;
}

export function createRunSlots(restored: readonly Run[]): RunSlots {
  const runs: (Run | null)[] = [];
  for (const run of restored) {
    while (runs.length <= run.slot) runs.push(null);
    runs[run.slot] = run;
  }
  const free = [...runs.keys()].filter((slot) => runs[slot] === null);
  return {
    take: () => free.pop() ?? runs.push(null) - 1,
    give(slot) {
      runs[slot] = null;
      free.push(slot);
    },
    put(run) {
      runs[run.slot] = run;
    },
    at(slot) {
      const run = runs[slot];
      if (!run) throw new Error(`There is no run in the place ${slot}`);
      return run;
    },
    limit: () => runs.length,
  };
}

export interface FoundRun {
  readonly id: number;
  readonly dagId: string;
  readonly runId: string;
  readonly live: boolean;
  readonly endedAt: number | null;
}
