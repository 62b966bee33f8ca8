import type { StagedRun } from './staging.ts';

/** Rows of known runs that one reading counts; at least so many, and at least so much of the window. */
const ROWS_IN_TURN = 1_000;
const SHARE_IN_TURN = 1 / 180;

/**
 * Whose turn it is, where new rows are found without a look at their run: runs that nobody has read to their end, those
 * that have ended since, and of the others those that were looked at longest ago.
 */
export function takeTurns(staged: Iterable<StagedRun>, windowRows: number): void {
  let left = Math.max(ROWS_IN_TURN, windowRows * SHARE_IN_TURN);
  const others: StagedRun[] = [];
  for (const one of staged) {
    const { run } = one;
    if (one.known && run.horizon !== null && run.live === one.live) others.push(one);
  }
  others.sort((a, b) => a.run.readAt - b.run.readAt);
  for (const one of others) {
    one.inTurn = left > 0;
    left -= one.run.rows + one.run.expired + 1;
  }
}
