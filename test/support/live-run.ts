import type { LedgerState } from '../../src/window/ledger-state.ts';
import type { Run } from '../../src/window/run.ts';
import { newRun } from '../../src/window/run.ts';

/** Adds a live run to a window. Nothing under the run has been listed yet. */
export function openLiveRun(
  state: LedgerState,
  { id, dagId, runId }: Pick<Run, 'id' | 'dagId' | 'runId'>,
): Run {
  const run = newRun(state.runSlots.take(), {
    id,
    dagId,
    runId,
    live: true,
    readAt: 0,
    horizon: '7',
    expired: 0,
    gone: false,
    activeAt: 0,
    listed: null,
  });
  state.runSlots.put(run);
  state.runs.set(run.id, run);
  return run;
}
