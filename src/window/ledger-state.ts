import type { RowStore } from './row-store.ts';
import { createRowStore } from './row-store.ts';
import type { Run, RunSlots } from './run.ts';
import { createRunSlots } from './run.ts';
import type { RunSweep } from './run-sweep.ts';
import { RUN_SWEEP_START } from './run-sweep.ts';
import type { SweepState } from './sweep-state.ts';
import { SWEEP_START } from './sweep-state.ts';

export interface LastReading {
  /** The moment of the reading, by the database's clock, epoch ms. */
  readonly at: number;
  readonly horizon: string;
  /** The start of the window, epoch ms; older rows were not remembered. */
  readonly from: number;
  /** The position in the log that the server had come to; null: it does not tell. */
  readonly position?: string | null;
}

/** All that the exporter remembers. One ledger hands it to the next; two ledgers never share it. */
export interface LedgerState {
  lastRunId: number | null;
  /** The shape of the last reading; null before the first. */
  schema: string | null;
  /** The database that the rows of the last reading came from; null before the first. */
  origin: Origin | null;
  /** The last reading, where the next one starts; null before the first. */
  lastReading: LastReading | null;
  /**
   * When the exporter's database was replaced by another one, epoch ms; null: never. Rows with an earlier time are not
   * counted, whenever they appear: a restore from a dump may take long.
   */
  countsFrom: number | null;
  sweep: SweepState;
  runSweep: RunSweep;
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
    runSweep: RUN_SWEEP_START,
    runs: new Map(),
    runSlots: createRunSlots([]),
    rows: createRowStore(),
  };
}

/** The source of rows. As long as both fields stay the same, an untouched row keeps its version. */
export interface Origin {
  /** Names the tables and their database. */
  readonly tables: string;
  /** Names the files that hold the tables. */
  readonly files: string;
  /** Counts up when a standby becomes the primary, or a copy is put back; null: the role may not read it. */
  readonly timeline?: number | null;
}
