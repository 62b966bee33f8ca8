/** How far the sweep, the comparison of remembered rows with the table, has come, and its pace: sample/reconcile.ts. */
export interface SweepState {
  /** The sweep has covered the task instances made up to this moment, epoch ms; -1: it begins at the start. */
  readonly to: number;
  /** Postgres' count of rows of the table that were ever deleted or updated; null: Postgres does not tell. */
  readonly changes: number | null;
  /** How many rounds through the window still go fast, the present one included. */
  readonly fastRounds: number;
}

export const SWEEP_START: SweepState = { to: -1, changes: null, fastRounds: 0 };

/**
 * After a deletion or an update, the rest of this round and the whole next round go fast; together they reach every
 * row. As long as the count stays the same, there is hardly anything to find. Without a count, nothing tells when to
 * hurry. `to`: null if the window was read whole instead.
 */
export function continueSweep(
  before: SweepState,
  { to, changes }: { readonly to: number | null; readonly changes: number | null },
): SweepState {
  if (to === null) return { ...SWEEP_START, changes };
  if (changes !== null && changes !== before.changes) return { to, changes, fastRounds: 2 };
  return { to, changes, fastRounds: to === -1 ? Math.max(0, before.fastRounds - 1) : before.fastRounds };
}
