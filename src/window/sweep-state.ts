/** How far the comparison of remembered rows with the table has come, and how fast it goes: sample/reconcile.ts. */
export interface SweepState {
  /** The moment when the last task instance was made that it has come to, epoch ms; -1: it begins at the start. */
  readonly to: number;
  /** Rows of the table that Postgres says were ever deleted or updated; null: not told. */
  readonly changes: number | null;
  /** Rounds through the window that go fast, the present one among them. */
  readonly fastRounds: number;
}

export const SWEEP_START: SweepState = { to: -1, changes: null, fastRounds: 0 };

/**
 * After a deletion or an update the rest of this round and the next one go fast, which together come across every row.
 * As long as the count stays, there is hardly anything to find; where nothing is counted, nothing tells when to hurry.
 * `to`: null if the window was read whole instead.
 */
export function continueSweep(
  before: SweepState,
  { to, changes }: { readonly to: number | null; readonly changes: number | null },
): SweepState {
  if (to === null) return { ...SWEEP_START, changes };
  if (changes !== null && changes !== before.changes) return { to, changes, fastRounds: 2 };
  return { to, changes, fastRounds: to === -1 ? Math.max(0, before.fastRounds - 1) : before.fastRounds };
}
