import type { LedgerState, Origin } from './ledger-state.ts';

/** The ground that the next reading starts from. */
export interface Start {
  readonly schema: string;
  readonly origin: Origin;
  /** The start of the window, epoch ms. */
  readonly from: number;
}

/**
 * The reason why all is read again: nothing is remembered, or only of another schema; the window was made longer; rows
 * were copied; or the database is another one.
 */
export type Change = 'none' | 'anew' | 'longer' | 'copied' | 'another';

export function changeSince(state: LedgerState, { schema, origin, from }: Start): Change {
  if (state.lastRunId === null || state.schema !== schema) return 'anew';
  if (isAnother(state, origin)) return 'another';
  if (state.origin !== null && state.origin.files !== origin.files) return 'copied';
  return from < (state.lastReading?.from ?? -Infinity) ? 'longer' : 'none';
}

/** Nothing but its time tells a row that was there in another database from one that was written since. */
export function countsFrom(state: LedgerState, origin: Origin): number | null {
  return (isAnother(state, origin) ? state.lastReading?.at : null) ?? state.countsFrom;
}

function isAnother(state: LedgerState, { tables }: Origin): boolean {
  // A state file of an older version does not say where its rows came from.
  return state.origin !== null && state.origin.tables !== tables;
}
