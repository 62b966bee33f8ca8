import type { Shape } from '../airflow/shape.ts';
import { createByPair } from '../lib/by-pair.ts';
import { createPace } from '../lib/pace.ts';
import type { Pace } from '../lib/pace.ts';
import { changeSince, countsFrom, isBehind } from './change.ts';
import type { Start } from './change.ts';
import { dueRuns } from './due-runs.ts';
import type { Continuation } from './due-runs.ts';
import * as is from './flags.ts';
import { emptyState } from './ledger-state.ts';
import type { LedgerState, Origin } from './ledger-state.ts';
import { flagsAt, timeAt } from './row-fields.ts';
import type { RowStore } from './row-store.ts';
import type { Run } from './run.ts';
import { listAgain } from './run.ts';
import { createStaging } from './staging.ts';
import type { Classify, StagedRun, Staging } from './staging.ts';
import type { RunSweep } from './run-sweep.ts';
import type { SweepState } from './sweep-state.ts';

/** The findings of a reading of the database, for the ledger to take in. */
export interface StagedReading {
  readonly shape: Pick<Shape, 'name'>;
  readonly origin: Origin;
  /** The database's clock, epoch ms. */
  readonly now: number;
  readonly horizon: string;
  /** The position in the log that the server had come to; null: it does not tell. */
  readonly position: string | null;
  readonly lastRunId: number;
  /** The runs that were read, and their rows. */
  readonly staging: Staging;
  /** Remembered runs that are no longer in the database. */
  readonly goneRuns: readonly number[];
  /** The dag whose rows are not watched; '': none. */
  readonly canaryDagId: string;
  /** Slots of remembered rows that are no longer in the window, without the rows of runs that were read whole. */
  readonly lost: readonly number[];
  readonly sweep: SweepState;
  readonly runSweep: RunSweep;
}

/** Everything that the exporter remembers about the window. */
export interface Ledger {
  runs(): ReadonlyMap<number, Run>;
  rows(): RowStore;
  /** The run in a run slot. */
  runAt(slot: number): Run;
  /** The run of the row in a row slot. */
  runOf(slot: number): Run;
  /**
   * The runs to read next: all remembered runs when something has changed. After a migration, which rewrites or renames
   * every row, the reading starts anew with the runs of the window.
   */
  due(start: Start): Continuation;
  /** Whether this server has not come to the last reading yet, so that it must not be read. */
  isBehind(server: Parameters<typeof isBehind>[1]): boolean;
  /** Begins a reading; its rows wait in the staging. */
  stage(start: Start, classify: Classify): Staging;
  /** Takes in one reading; gives the slots of the new rows that are to be counted. */
  takeIn(reading: StagedReading, options: { windowMs: number }): Promise<number[]>;
  /** Drops rows that turned out to be gone or overwritten. */
  forget(slots: readonly number[]): void;
  /** Gives the state for the next ledger. Do not use this ledger any more once the next one is in use. */
  state(): LedgerState;
}

export function createLedger(restored: LedgerState | null): Ledger {
  let state = restored ?? emptyState();

  return {
    runs: () => state.runs,
    rows: () => state.rows,
    runAt: (slot) => state.runSlots.at(slot),
    runOf: (slot) => state.runSlots.at(state.rows.runSlotOf(slot)),
    state: () => state,

    isBehind: (server) => isBehind(state, server),

    due: (start) => dueRuns(state, changeSince(state, start)),

    stage(start, classify) {
      const { from } = start;
      const change = changeSince(state, start);
      // A migration rewrites rows although nobody writes an XCom: the rows are carried over, not counted again.
      if (change === 'anew')
        return createStaging(emptyState(), {
          from,
          classify,
          baselineUntil: Infinity,
          takesAll: true,
          copied: false,
        });
      const knownFrom = change === 'none' ? null : state.lastReading?.from;
      return createStaging(state, {
        from,
        classify,
        baselineUntil: Math.max(knownFrom ?? -Infinity, countsFrom(state, start.origin) ?? -Infinity),
        takesAll: change !== 'none',
        copied: change === 'copied' || change === 'another',
      });
    },

    async takeIn(reading, { windowMs }) {
      const from = reading.now - windowMs;
      const pace = createPace();
      // This depends on the state before the reading, so it comes first.
      const countedFrom = countsFrom(state, reading.origin);
      state = reading.staging.state;
      for (const run of drop(reading.lost)) listAgain(run);
      noteGone([...reading.goneRuns, ...replacedBy(reading)], reading.now);
      const fresh = await takeRows(reading, pace);
      forgetNamesakes();
      await forgetOld(reading, from, pace);
      noteReading(reading, { from, countedFrom });
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

  /**
   * Notes the runs that are gone and removes their rows. Such a run is remembered until its objects have been listed.
   */
  function noteGone(goneRuns: readonly number[], now: number): void {
    for (const id of goneRuns) {
      const run = state.runs.get(id);
      if (run === undefined) continue;
      state.rows.remove(run, () => true);
      Object.assign(run, {
        live: false,
        gone: true,
        horizon: null,
        expired: 0,
        activeAt: now,
      });
      listAgain(run);
    }
  }

  /**
   * The remembered runs whose names a new run has. Names are unique in dag_run, so these runs were deleted. An ended run
   * is not read in each cycle, and its rows would pass for those of the new run.
   */
  function replacedBy({ staging }: StagedReading): number[] {
    const heirs = createByPair<Run>();
    for (const { run, known } of staging.runs.values()) if (!known) heirs.set(run.dagId, run.runId, run);
    const replaced: number[] = [];
    if (heirs.isEmpty()) return replaced;
    for (const { id, dagId, runId, gone } of state.runs.values()) {
      const heir = heirs.get(dagId, runId);
      if (!gone && heir !== undefined && heir.id !== id) replaced.push(id);
    }
    return replaced;
  }

  /** Links the staged rows; gives those that are to be counted. */
  async function takeRows(reading: StagedReading, pace: Pace): Promise<number[]> {
    const { staging } = reading;
    const fresh: number[] = [];
    for (const staged of staging.runs.values()) {
      const { run } = staged;
      noteRun(staged, reading);
      let taken = 0;
      for (const slot of staging.slotsOf(staged)) {
        const linked = state.rows.link(run, slot);
        if ((state.rows.flagsOf(linked) & is.BASELINE) === 0) fresh.push(linked);
        run.activeAt = Math.max(run.activeAt, state.rows.timeOf(linked));
        taken += 1;
        if (taken % 1_024 === 0) await pace.rest();
      }
      if (taken > 0) listAgain(run);
      if (pace.isDue()) await pace.rest();
    }
    return fresh;
  }

  /**
   * Forgets each gone run whose name another run has taken: both have one folder, so a listing for the other finds the
   * objects of both. The figure of the gone run stands until then.
   */
  function forgetNamesakes(): void {
    const gone = [...state.runs.values()].filter((run) => run.gone);
    if (gone.length === 0) return;
    const heirs = createByPair<Run>();
    for (const run of state.runs.values())
      if (heirs.get(run.dagId, run.runId)?.gone !== false) heirs.set(run.dagId, run.runId, run);
    for (const run of gone) {
      const heir = heirs.get(run.dagId, run.runId);
      if (heir === undefined || heir === run) continue;
      if (heir.listed === null && run.listed !== null) heir.listed = { ...run.listed, at: 0 };
      forgetRun(run);
    }
  }

  function forgetRun(run: Run): void {
    state.runs.delete(run.id);
    state.runSlots.give(run.slot);
  }

  /**
   * Forgets rows that are older than the window, ended runs that have nothing left in the window, and the runs of a
   * dag that has become the canary.
   */
  async function forgetOld({ canaryDagId }: StagedReading, from: number, pace: Pace): Promise<void> {
    for (const run of [...state.runs.values()]) {
      if (run.dagId === canaryDagId) {
        state.rows.remove(run, () => true);
        forgetRun(run);
        continue;
      }
      if (run.oldest < from) {
        expire(run, from);
        await pace.rest();
      }
      if (!run.live && run.rows === 0 && run.activeAt < from) forgetRun(run);
    }
  }

  /** Notes the point where the next reading continues. */
  function noteReading(
    reading: StagedReading,
    { from, countedFrom }: { readonly from: number; readonly countedFrom: number | null },
  ): void {
    const { now: at, horizon, position } = reading;
    state.lastRunId = reading.lastRunId;
    state.schema = reading.shape.name;
    state.origin = reading.origin;
    state.lastReading = { at, horizon, from, position };
    state.countsFrom = countedFrom;
    state.sweep = reading.sweep;
    state.runSweep = reading.runSweep;
  }

  /** Takes in the findings about the run itself, and removes the rows that the run no longer holds. */
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
    const removed = state.rows.remove(run, (_, chunk, index) => (flagsAt(chunk, index) & is.SEEN) === 0);
    if (removed > 0) listAgain(run);
    run.expired = staged.old;
  }

  function expire(run: Run, from: number): void {
    let oldest = Infinity;
    state.rows.remove(run, (_, chunk, index) => {
      const time = timeAt(chunk, index);
      if (time >= from) oldest = Math.min(oldest, time);
      else if (!is.hangsOnTask(flagsAt(chunk, index))) run.expired += 1;
      return time < from;
    });
    run.oldest = oldest;
  }
}
