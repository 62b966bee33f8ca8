import type { IsRun } from '../airflow/reference.ts';
import type { ByPair } from '../lib/by-pair.ts';
import { createByPair } from '../lib/by-pair.ts';
import type { Link } from './columns.ts';

/**
 * The result of a listing. `at`: epoch ms; 0: something changed since. `unseen`: some objects of the run lie where no
 * listing of it leads, so orphans are unknown. `refused`: a path that could not be listed at that time, and why. The
 * orphans are then those of an earlier listing, or those of the other paths when no row of the run names that one.
 */
export type Listed = { readonly at: number; readonly refused?: string } & (
  | { readonly unseen: false; readonly orphans: number; readonly orphanBytes: number }
  | { readonly unseen: true }
);

/** One dag run of the window. */
export interface Run {
  /** `dag_run.id`. */
  readonly id: number;
  readonly dagId: string;
  readonly runId: string;
  /** The number of the run in the columns. */
  readonly slot: number;
  live: boolean;
  /** When the run was last read, by the database's clock, epoch ms. */
  readAt: number;
  /** The point where the next reading starts; null: the run has to be read whole. */
  horizon: string | null;
  /** How many rows older than the window the run has in the database, without rows that hang on their task instance. */
  expired: number;
  /** Whether the run is deleted from dag_run: it has no rows, but may have left objects. */
  gone: boolean;
  /** When the run was last seen live or written to; orphans count from a grace period after this moment. */
  activeAt: number;
  /** The objects of the window that the last listing found and that no row refers to; null: none has ended yet. */
  listed: Listed | null;
  /** How often rows came or went since the process began. A listing under way is then listed anew. */
  changes: number;
  /** How many rows of the window the run holds. The row store keeps this number and the three below. */
  rows: number;
  /** How many of the rows hang on their task instance. */
  rowsOnTasks: number;
  /** How many of the rows are references of their own. */
  references: number;
  /** How many of the references have not been looked up yet. */
  unverified: number;
  /** No row of the run is older than this, epoch ms; the oldest row may be younger. */
  oldest: number;
  firstLink: Link;
}

/** Tells whether a run exists, by its names. The set of names is built at the first question. */
export function knownRuns(runs: () => Iterable<Pick<Run, 'dagId' | 'runId'>>): IsRun {
  let names: ByPair<true> | null = null;
  return (dagId, runId) => {
    if (names === null) {
      names = createByPair();
      for (const run of runs()) names.set(run.dagId, run.runId, true);
    }
    return names.get(dagId, runId) === true;
  };
}

/**
 * Has the run listed again, since rows came or went. Its figure stands until then: without it, the total would fall
 * now and seem to grow later.
 */
export function listAgain(run: Run): void {
  run.changes += 1;
  if (run.listed !== null) run.listed = { ...run.listed, at: 0 };
}

/** The fields of a run that follow from its rows, or that no state file keeps. */
type FromRows = 'changes' | 'rows' | 'rowsOnTasks' | 'references' | 'unverified' | 'oldest' | 'firstLink';

export type RunState = Omit<Run, 'slot' | FromRows>;
export type RunItem = Omit<Run, FromRows>;

export function newRun(slot: number, state: RunState): Run {
  const { id, dagId, runId, live, readAt, horizon, expired, gone, activeAt, listed } = state;
  // The fields are written out: there may be ten thousand runs, and a spread makes each object larger.
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
    changes: 0,
    rows: 0,
    rowsOnTasks: 0,
    references: 0,
    unverified: 0,
    oldest: Infinity,
    firstLink: 0,
  };
}

/** Numbers for runs, small enough to index arrays; a number that is given back is used again. */
export interface RunSlots {
  take(): number;
  give(slot: number): void;
  /** Puts a run into the slot that was taken for it. */
  put(run: Run): void;
  /** @throws {Error} when no run was put there. */
  at(slot: number): Run;
  /** All slots are below this number. */
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
  /** Rows of the run are in no counter up to this moment, epoch ms. */
  readonly baselineUntil: number;
}
