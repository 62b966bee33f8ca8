import type { Shape } from '../airflow/shape.ts';
import { createPace } from '../lib/pace.ts';
import { createTop } from '../lib/top.ts';
import type { DueRuns } from './due-runs.ts';
import * as is from './flags.ts';
import type { LedgerState, Origin } from './ledger-state.ts';
import { emptyState } from './ledger-state.ts';
import type { RowStore } from './row-store.ts';
import type { Run } from './run.ts';
import type { Classify, StagedRun, Staging } from './staging.ts';
import { createStaging } from './staging.ts';

/**
 * Ended runs are looked at again in turn, all within so many cycles (90 minutes, at the default schedule): what is
 * deleted or patched behind them is found so. A few in any case, and no more than a large window can spare.
 */
const REREAD_CYCLES = 180;
const REREAD_RUNS = { least: 10, most: 200 };

/** What the next reading starts from. */
export interface Start {
  readonly schema: string;
  readonly origin: Origin;
  /** The start of the window, epoch ms. */
  readonly from: number;
}

/** What a reading of the database found, to be taken in. */
export interface StagedReading {
  readonly shape: Pick<Shape, 'name'>;
  readonly origin: Origin;
  /** The database's clock, epoch ms. */
  readonly now: number;
  readonly horizon: string;
  readonly lastRunId: number;
  /** The runs that were read, and their rows. */
  readonly staging: Staging;
  /** Remembered runs that are no longer there. */
  readonly goneRuns: readonly number[];
  /** Slots of remembered rows that are no longer in the window, besides those of runs that were read whole. */
  readonly lost: readonly number[];
  readonly sweptTo: number;
}

/**
 * What became of what is remembered, so that all is read again: the window was made longer, rows were copied, or it is of
 * another database.
 */
type Change = 'none' | 'longer' | 'copied' | 'another';

/** Everything that is remembered about the window. */
export interface Ledger {
  runs(): ReadonlyMap<number, Run>;
  rows(): RowStore;
  /** The run of a row, by the slot of either. */
  runAt(slot: number): Run;
  runOf(slot: number): Run;
  /**
   * The runs to be read next; all of them when something has changed, and after a migration, which rewrites or renames
   * every row, those of the window.
   */
  due(start: Start): DueRuns & Pick<LedgerState, 'lastReading' | 'sweptTo'>;
  /** Where the rows of a reading wait. */
  stage(start: Start, classify: Classify): Staging;
  /** Takes in one reading; gives back the slots of the rows that are new and to be counted. */
  takeIn(reading: StagedReading, options: { windowMs: number }): Promise<number[]>;
  /** Drops rows that turned out to be gone or overwritten. */
  forget(slots: readonly number[]): void;
  /** What the next ledger goes on with. This one must not be used any more when that one is. */
  state(): LedgerState;
}

export function createLedger(restored: LedgerState | null = null): Ledger {
  let state = restored ?? emptyState();
  const startsAnew = ({ schema }: Start) => state.lastRunId === null || state.schema !== schema;
  // A state file of an older version does not say where its rows came from.
  const isAnother = ({ tables }: Origin) => state.origin !== null && state.origin.tables !== tables;
  function changeTo({ origin, from }: Start): Change {
    if (isAnother(origin)) return 'another';
    if (state.origin !== null && state.origin.files !== origin.files) return 'copied';
    return from < (state.lastReading?.from ?? -Infinity) ? 'longer' : 'none';
  }
  /** Of another database nothing but its time tells a row that was there from one that was written since. */
  function countsFrom({ origin }: Pick<Start, 'origin'>): number | null {
    return (isAnother(origin) ? state.lastReading?.at : null) ?? state.countsFrom;
  }

  return {
    runs: () => state.runs,
    rows: () => state.rows,
    runAt: (slot) => state.runSlots.at(slot),
    runOf: (slot) => state.runSlots.at(state.rows.runSlotOf(slot)),
    state: () => state,

    due(start) {
      const anew = { lastRunId: null, lastReading: null, sweptTo: -1 };
      if (startsAnew(start)) return { ...anew, ids: [], isKnown: () => false };
      const { lastRunId, lastReading, sweptTo, runs } = state;
      const isKnown = (id: number) => runs.get(id)?.gone === false;
      if (changeTo(start) !== 'none')
        return { ...anew, ids: [...runs.values()].flatMap(({ id, gone }) => (gone ? [] : [id])), isKnown };
      const ids: number[] = [];
      const share = Math.ceil(runs.size / REREAD_CYCLES);
      const ended = createTop(Math.min(Math.max(share, REREAD_RUNS.least), REREAD_RUNS.most));
      for (const run of runs.values()) {
        if (run.gone) continue;
        if (run.live) ids.push(run.id);
        else ended.offer(run.id, run.horizon === null ? Infinity : -run.readAt);
      }
      return {
        lastRunId,
        lastReading,
        sweptTo,
        ids: [...ids, ...ended.items()],
        isKnown,
      };
    },

    stage(start, classify) {
      const { from } = start;
      // A migration rewrites rows without anyone writing an XCom: they are carried over, not counted again.
      if (startsAnew(start))
        return createStaging(emptyState(), {
          from,
          classify,
          baselineUntil: Infinity,
          takesAll: true,
          copied: false,
        });
      const change = changeTo(start);
      const knownFrom = change === 'none' ? null : state.lastReading?.from;
      return createStaging(state, {
        from,
        classify,
        baselineUntil: Math.max(knownFrom ?? -Infinity, countsFrom(start) ?? -Infinity),
        takesAll: change !== 'none',
        copied: change === 'copied' || change === 'another',
      });
    },

    async takeIn(reading, { windowMs }) {
      const { staging, now } = reading;
      const from = now - windowMs;
      const pace = createPace();
      const counts = countsFrom(reading);
      state = staging.state;
      const fresh: number[] = [];
      for (const run of drop(reading.lost)) run.listed = null;
      for (const id of reading.goneRuns) {
        const run = state.runs.get(id);
        if (run === undefined) continue;
        state.rows.remove(run, () => true);
        Object.assign(run, {
          live: false,
          gone: true,
          horizon: null,
          expired: 0,
          listed: null,
          activeAt: now,
        });
      }
      for (const staged of staging.runs.values()) {
        noteRun(staged, reading);
        let taken = 0;
        for (const slot of staging.slotsOf(staged)) {
          const { run } = staged;
          const linked = state.rows.link(run, slot);
          if ((state.rows.flagsOf(linked) & is.BASELINE) === 0) fresh.push(linked);
          run.activeAt = Math.max(run.activeAt, state.rows.timeOf(linked));
          run.listed = null;
          taken += 1;
          if (taken % 1_024 === 0) await pace.rest();
        }
        await pace.rest();
      }
      for (const run of [...state.runs.values()]) {
        if (run.oldest < from) {
          expire(run, from);
          await pace.rest();
        }
        if (!run.live && run.rows === 0 && run.activeAt < from) {
          state.runs.delete(run.id);
          state.runSlots.give(run.slot);
        }
      }
      state.lastRunId = reading.lastRunId;
      state.schema = reading.shape.name;
      state.origin = reading.origin;
      state.lastReading = {
        at: now,
        horizon: reading.horizon,
        from,
      };
      state.countsFrom = counts;
      state.sweptTo = reading.sweptTo;
      return fresh;
    },

    forget(slots) {
      drop(slots);
    },
  };

  /** Gives the runs that had these rows. */
  function drop(slots: readonly number[]): Set<Run> {
    const going = new Set(slots);
    const runs = new Set(slots.map((slot) => state.runSlots.at(state.rows.runSlotOf(slot))));
    for (const run of runs) state.rows.remove(run, (slot) => going.has(slot));
    return runs;
  }

  /** What a reading says of the run itself, and of the rows that it no longer holds. */
  function noteRun(staged: StagedRun, reading: StagedReading): void {
    const { run, live, endedAt } = staged;
    if (!staged.known) {
      const other = state.runs.get(run.id);
      if (other !== undefined) {
        state.rows.remove(other, () => true);
        state.runSlots.give(other.slot);
      }
      state.runs.set(run.id, run);
      state.runSlots.put(run);
    }
    run.activeAt = live || run.live ? reading.now : Math.max(run.activeAt, endedAt ?? 0);
    run.live = live;
    run.gone = false;
    if (!staged.complete) run.horizon = null;
    if (!staged.due) return;
    run.readAt = reading.now;
    if (staged.complete) run.horizon = reading.horizon;
    if (!staged.whole) return;
    const removed = state.rows.remove(run, (_, chunk, at) => ((chunk.flags[at] ?? 0) & is.SEEN) === 0);
    if (removed > 0) run.listed = null;
    run.expired = staged.old;
  }

  function expire(run: Run, from: number): void {
    let oldest = Infinity;
    state.rows.remove(run, (_, chunk, at) => {
      const time = chunk.at[at] ?? 0;
      if (time >= from) oldest = Math.min(oldest, time);
      else if (!is.hangsOnTask(chunk.flags[at] ?? 0)) run.expired += 1;
      return time < from;
    });
    run.oldest = oldest;
  }
}
