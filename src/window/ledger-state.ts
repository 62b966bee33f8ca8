import type { RowStore } from './row-store.ts';
import { createRowStore } from './row-store.ts';
import type { Run, RunSlots } from './run.ts';
import { createRunSlots } from './run.ts';

export interface LastReading {
  /** Database clock, epoch ms. */
  readonly at: number;
  readonly horizon: string;
  /** Where the window began, epoch ms: what is older was not remembered. */
  readonly from: number;
}

/** What is remembered: handed from one ledger to the next, never shared by two. */
export interface LedgerState {
  lastRunId: number | null;
  /** The shape of the last reading; null before the first. */
  schema: string | null;
  /** Where the rows of the last reading came from; null before the first. */
  origin: Origin | null;
  /** When the last reading was, and where the next one starts; null before the first. */
  lastReading: LastReading | null;
  /**
   * When the database became another one, epoch ms; null: it never did. Rows of a time before are not counted, whenever
   * they appear: it may take long to put a dump back.
   */
  countsFrom: number | null;
  /** How far sample/reconcile.ts has come: when the last task instance was made, epoch ms. */
  sweptTo: number;
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
    sweptTo: -1,
    runs: new Map(),
    runSlots: createRunSlots(),
    rows: createRowStore(),
  };
}

/** Where rows come from: as long as both are the same, a row that was not touched has the version that it had. */
export interface Origin {
  /** Which tables of which database these are. */
  readonly tables: string;
  /** The files that they are written in. */
  readonly files: string;
}
