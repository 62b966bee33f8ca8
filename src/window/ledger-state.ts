import type { RowStore } from './row-store.ts';
import { createRowStore } from './row-store.ts';
import type { Run, RunSlots } from './run.ts';
import { createRunSlots } from './run.ts';
import type { SweepState } from './sweep-state.ts';
import { SWEEP_START } from './sweep-state.ts';

export interface LastReading {
  /** Database clock, epoch ms. */
  readonly at: number;
  readonly horizon: string;
  /** The start of the window, epoch ms: what is older was not remembered. */
  readonly from: number;
}

/** All that is remembered: handed from one ledger to the next, never shared by two. */
export interface LedgerState {
  lastRunId: number | null;
  /** The shape of the last reading; null before the first. */
  schema: string | null;
  /** The database that the rows of the last reading came from; null before the first. */
  origin: Origin | null;
  /** The last reading, where the next one starts; null before the first. */
  lastReading: LastReading | null;
  /**
   * The moment when the database became another one, epoch ms; null: it never did. Rows of a time before are not counted, whenever
   * they appear: it may take long to put a dump back.
   */
  countsFrom: number | null;
  sweep: SweepState;
  readonly runs: Map<number, Run>;
  readonly runSlots: RunSlots;
  readonly rows: RowStore;
}

export function emptyState(): LedgerState {
  return {
    lastRunId: null,
    schema: null,
    origin: null,
    lastReading: null,
    countsFrom: null,
    sweep: SWEEP_START,
    runs: new Map(),
    runSlots: createRunSlots([]),
    rows: createRowStore(),
  };
}

/** The source of rows: as long as both are the same, a row that was not touched has the version that it had. */
export interface Origin {
  /** The tables, and the database that they are in. */
  readonly tables: string;
  /** The files that they are written in. */
  readonly files: string;
}
