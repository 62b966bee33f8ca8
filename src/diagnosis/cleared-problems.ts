import { PROBLEM_CODES } from './problem-catalogue.ts';
import type { ProblemMemory, SettleOptions, Verdicts } from './problem-memory.ts';
import type { Problem } from './problem.ts';

/** A problem that was shown until observations found health. It is a plain value: the state file keeps it. */
export interface ClearedProblem extends Pick<Problem, 'code' | 'evidence' | 'where' | 'since'> {
  /** When the observation that cleared the problem was made, epoch ms. */
  readonly clearedAt: number;
}

/** Cleared problems are shown to somebody who comes in the morning or after a weekend. */
const KEPT_MS = 7 * 86_400_000;
const MOST_KEPT = 20;

/**
 * The problems that were cleared lately, the latest first. A problem that is forgotten because nothing was known of it
 * for a window is left out: nobody saw that it was gone. Pure.
 */
export function withCleared(
  cleared: readonly ClearedProblem[],
  turn: {
    readonly before: ProblemMemory;
    readonly after: ProblemMemory;
    readonly found: Verdicts['states'];
    readonly options: Pick<SettleOptions, 'now' | 'observedAt'>;
  },
): readonly ClearedProblem[] {
  const { before, after, found, options } = turn;
  const fresh = PROBLEM_CODES.flatMap((code) => {
    const remembered = before[code];
    if (remembered === undefined || after[code] !== undefined || found[code] !== 'clear') return [];
    const { evidence, where } = remembered.problem;
    // A clock may be set back.
    const clearedAt = Math.max(remembered.since, options.observedAt(code));
    return [{ code, evidence, where, since: remembered.since, clearedAt }];
  });
  if (fresh.length === 0 && cleared.every(({ clearedAt }) => options.now - clearedAt <= KEPT_MS))
    return cleared;
  return [...fresh, ...cleared]
    .filter(({ clearedAt }) => options.now - clearedAt <= KEPT_MS)
    .slice(0, MOST_KEPT);
}
