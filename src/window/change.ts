import { isBefore } from '../lib/log-position.ts';
import type { LedgerState, Origin } from './ledger-state.ts';

/** The schema, the tables and the window that the next reading starts with. */
export interface Start {
  readonly schema: string;
  readonly origin: Origin;
  /** The start of the window, epoch ms. */
  readonly from: number;
}

/**
 * Why all rows are read again. `anew`: nothing is remembered, or only rows of another schema. `longer`: the window was
 * made longer. `copied`: rows were copied. `another`: the database is another one.
 */
export type Change = 'none' | 'anew' | 'longer' | 'copied' | 'another';

export function changeSince(state: LedgerState, { schema, origin, from }: Start): Change {
  if (state.lastRunId === null || state.schema !== schema) return 'anew';
  if (isAnother(state, origin)) return 'another';
  if (state.origin !== null && state.origin.files !== origin.files) return 'copied';
  return from < (state.lastReading?.from ?? -Infinity) ? 'longer' : 'none';
}

/**
 * The moment from which rows are counted. Only the time of a row tells whether it existed in the former database or was
 * written since.
 */
export function countsFrom(state: LedgerState, origin: Origin): number | null {
  return (isAnother(state, origin) ? state.lastReading?.at : null) ?? state.countsFrom;
}

/** The server to read, at one moment. */
interface Server {
  readonly origin: Origin;
  readonly isStandby: boolean;
  readonly position: string | null;
  /** When the last transaction that a standby replayed was committed, by the clock of its primary, epoch ms. */
  readonly replayedTo: number | null;
}

/** By this much the clocks of the servers may differ. */
const CLOCKS_APART_MS = 120_000;

/**
 * Whether a standby has not come to the last reading yet. Its rows would take back what was read, and the next reading
 * would count it a second time. A primary that is behind was put back from a copy, and so was the primary of a standby
 * on a later timeline: they are read. A copy of a volume keeps the timeline, and a role may not read it. Then the log
 * tells: all that one log has before a position was committed before a server showed that position.
 */
export function isBehind(state: LedgerState, { origin, isStandby, position, replayedTo }: Server): boolean {
  const { at = 0, position: last = null } = state.lastReading ?? {};
  if (!isStandby || position === null || last === null || isAnother(state, origin)) return false;
  const before = state.origin?.timeline ?? null;
  const now = origin.timeline ?? null;
  const isLater = before !== null && now !== null && now > before;
  const isAnotherLog = replayedTo !== null && replayedTo > at + CLOCKS_APART_MS;
  return !isLater && !isAnotherLog && isBefore(position, last);
}

function isAnother(state: LedgerState, { tables }: Origin): boolean {
  // A state file of an older version does not say where its rows came from.
  return state.origin !== null && state.origin.tables !== tables;
}
