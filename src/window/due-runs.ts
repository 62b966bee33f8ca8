/** What the ledger remembers of runs and this needs. */
export interface DueRuns {
  /** The youngest run that was seen, or null before the first reading. */
  readonly lastRunId: number | null;
  /** Runs to read again: live at the last reading, or due to be looked at. */
  readonly ids: readonly number[];
  readonly isKnown: (id: number) => boolean;
}
