import type { ProblemCode } from './problem-catalogue.ts';
import { PROBLEM_CODES, PROBLEMS } from './problem-catalogue.ts';
import type { Source } from './problem-sources.ts';
import { sourceOf } from './problem-sources.ts';
import type { Problem, ProblemState } from './problem.ts';
import type { Report } from './report.ts';

/**
 * The memory of a problem that is shown. A plain value: it goes from one engine to the next, and through
 * JSON into the state file and back.
 */
export interface RememberedProblem {
  /** The problem as it was last said. */
  readonly problem: Omit<Problem, 'since' | 'lastSeen'>;
  /** When it was first said and when it was last said, epoch ms. */
  readonly since: number;
  readonly lastSeen: number;
  /** How many observations in a row spoke against it. */
  readonly clears: number;
  /**
   * The latest observation that counted: a repeated one says nothing new. An earlier one does: a clock may be set back.
   */
  readonly observedAt: number;
}

export type ProblemMemory = Readonly<Partial<Record<ProblemCode, RememberedProblem>>>;

export interface Verdicts {
  readonly states: Readonly<Record<ProblemCode, ProblemState>>;
  readonly problems: readonly Problem[];
}

export interface SettleOptions {
  /** Epoch ms. */
  readonly now: number;
  /** A problem is forgotten when it has not been seen for this long. */
  readonly windowMs: number;
  /**
   * When the observation that a state rests on was made, epoch ms. It is the probe or the last reading of the database,
   * which may be from an earlier cycle.
   */
  readonly observedAt: (code: ProblemCode) => number;
}

/** When each kind of observation was last made, epoch ms, as {@link SettleOptions.observedAt} returns it. */
export function observedAtOf(times: Readonly<Record<Source, number>>): SettleOptions['observedAt'] {
  return (code) => times[sourceOf(code)];
}

/**
 * The verdicts as they are shown. Evidence raises a problem at once. The problem is cleared when `clearsAfter`
 * observations in a row find health or something that speaks against it. It is forgotten when it was not seen for a
 * window. `unknown` speaks neither for it nor against it. Pure. Guarded by test/unit/diagnosis/hysteresis.test.ts.
 */
export function settle(
  memory: ProblemMemory,
  verdicts: Verdicts & { readonly takenBack: readonly ProblemCode[] },
  options: SettleOptions,
): Verdicts & { readonly memory: ProblemMemory } {
  const found = new Map(verdicts.problems.map((problem) => [problem.code, problem]));
  const states = {} as Record<ProblemCode, ProblemState>;
  const problems: Problem[] = [];
  const next: Partial<Record<ProblemCode, RememberedProblem>> = {};
  for (const code of PROBLEM_CODES) {
    const remembered = settleOne(memory[code], {
      state: verdicts.states[code],
      problem: found.get(code),
      isTakenBack: verdicts.takenBack.includes(code),
      options,
    });
    states[code] = remembered === null ? verdicts.states[code] : 'raised';
    if (remembered === null) continue;
    next[code] = remembered;
    const { problem, since, lastSeen } = remembered;
    problems.push({ ...problem, since, lastSeen });
  }
  return { states, problems, memory: next };
}

/** The report with the problems that are shown instead of those that were found. */
export function settleReport(
  memory: ProblemMemory,
  report: Report,
  options: SettleOptions,
): { readonly report: Report; readonly memory: ProblemMemory } {
  const { states, problems, memory: next } = settle(memory, report, options);
  return { report: { ...report, states, problems }, memory: next };
}

/** Null: the problem is not shown, and nothing about it is remembered. */
function settleOne(
  before: RememberedProblem | undefined,
  now: { state: ProblemState; problem: Problem | undefined; isTakenBack: boolean; options: SettleOptions },
): RememberedProblem | null {
  const { state, problem, isTakenBack, options } = now;
  if (state === 'raised' && problem !== undefined) return raised(before, problem, options);
  if (before === undefined || options.now - before.lastSeen > options.windowMs) return null;
  if (state !== 'clear' && !isTakenBack) return before;
  const observedAt = options.observedAt(before.problem.code);
  if (observedAt === before.observedAt) return before;
  const clears = before.clears + 1;
  return clears >= PROBLEMS[before.problem.code].clearsAfter ? null : { ...before, clears, observedAt };
}

function raised(
  before: RememberedProblem | undefined,
  { since, lastSeen, ...problem }: Problem,
  options: SettleOptions,
): RememberedProblem {
  const observedAt = options.observedAt(problem.code);
  const isForgotten = before !== undefined && observedAt - before.lastSeen > options.windowMs;
  if (before === undefined || isForgotten)
    return { problem, since: observedAt, lastSeen: observedAt, clears: 0, observedAt };
  // The problem is said again without a new observation, so it is no more recent.
  if (observedAt === before.observedAt) return { ...before, problem, clears: 0 };
  return { problem, since: Math.min(before.since, observedAt), lastSeen: observedAt, clears: 0, observedAt };
}
