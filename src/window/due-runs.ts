import { createTop } from '../lib/top.ts';
import type { Change } from './change.ts';
import type { LedgerState } from './ledger-state.ts';
import type { RunSweep } from './run-sweep.ts';
import { SWEEP_START } from './sweep-state.ts';

/**
 * How many cycles it takes to read all ended runs again, in turn (90 minutes, at the default schedule). This finds rows
 * that were deleted or patched later. Each cycle reads at least a few runs, and no more than a large window can spare.
 */
const REREAD_CYCLES = 180;
const REREAD_RUNS = { least: 10, most: 200 };

/** The facts about runs that the next reading needs. */
export interface DueRuns {
  /** The youngest run that was seen, or null before the first reading. */
  readonly lastRunId: number | null;
  /** Runs to read again: they were live at the last reading, or it is their turn. */
  readonly ids: readonly number[];
  readonly isKnown: (id: number) => boolean;
  readonly runSweep: RunSweep;
}

/** The point from which the next reading continues. */
export type Continuation = DueRuns & Pick<LedgerState, 'lastReading' | 'sweep'>;

/** Gives all runs when something has changed, and no remembered run when the window is read anew. */
export function dueRuns(state: LedgerState, change: Change): Continuation {
  const { lastRunId, lastReading, sweep, runSweep, runs } = state;
  const fromStart = { lastRunId: null, lastReading: null, sweep: SWEEP_START, runSweep };
  if (change === 'anew') return { ...fromStart, ids: [], isKnown: () => false };
  const isKnown = (id: number) => runs.get(id)?.gone === false;
  const there = [...runs.values()].filter(({ gone }) => !gone);
  if (change !== 'none') return { ...fromStart, ids: there.map(({ id }) => id), isKnown };
  const share = Math.ceil(runs.size / REREAD_CYCLES);
  const ended = createTop(Math.min(Math.max(share, REREAD_RUNS.least), REREAD_RUNS.most));
  for (const run of there) if (!run.live) ended.offer(run.id, run.horizon === null ? Infinity : -run.readAt);
  const live = there.filter((run) => run.live).map(({ id }) => id);
  return { lastRunId, lastReading, sweep, runSweep, ids: [...live, ...ended.items()], isKnown };
}
