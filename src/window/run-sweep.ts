/** How far the search for old runs that were cleared and have ended again has come: sample/runs.ts. */
export interface RunSweep {
  /** Runs with smaller ids come next. */
  readonly below: number;
  /**
   * Rows of runs that are found late are in no counter up to this moment, epoch ms. The first round also finds runs that
   * ended before the window was read for the first time.
   */
  readonly baselineUntil: number;
  /** Runs that new rows of the last reading belong to and that were not known. */
  readonly strays: readonly number[];
}

/** `below`: above every possible run id. `baselineUntil`: before every row, and unlike -Infinity a number in JSON. */
export const RUN_SWEEP_START: RunSweep = {
  below: Number.MAX_SAFE_INTEGER,
  baselineUntil: 0,
  strays: [],
};

/** `last`: the lowest run of this cycle; null: there was none, so the next round begins. */
export function continueRunSweep(
  before: RunSweep,
  { last, strays }: { readonly last: number | null; readonly strays: readonly number[] },
): RunSweep {
  return last === null ? { ...RUN_SWEEP_START, strays } : { ...before, below: last, strays };
}
