import type { Placement } from './classify.ts';
import type { ProblemMemory } from './hysteresis.ts';
import { createPace } from './lib/pace.ts';
import { createTop } from './lib/top.ts';
import * as is from './row-flags.ts';
import { createRowStore } from './row-store.ts';
import type { RowStore } from './row-store.ts';
import { createRunSlots } from './run.ts';
import type { Run, RunSlots } from './run.ts';
import type { DueRuns } from './find-runs.ts';
import type { Sample } from './sample.ts';
import type { SampledRow } from './sampled-row.ts';
import type { Origin } from './shape-reader.ts';
import { createStaging } from './staging.ts';
import type { StagedRun, Staging } from './staging.ts';

/**
 * Ended runs are looked at again in turn, all within so many cycles (90 minutes, at the default schedule): what is
 * deleted or patched behind them is found so. A few in any case, and no more than a large window can spare.
 */
const REREAD_CYCLES = 180;
const REREAD_RUNS = { least: 10, most: 200 };

export interface LastReading {
  /** Database clock, epoch ms. */
  readonly at: number;
  readonly horizon: string;
  /** Where the window began, epoch ms: what is older was not remembered. */
  readonly from: number;
}

/** What is remembered: handed from one ledger to the next, never shared by two. */
export interface LedgerState {
  lastRunId: number | null;
  /** The shape of the last reading; null before the first. */
  schema: string | null;
  /** Where the rows of the last reading came from; null before the first. */
  origin: Origin | null;
  /** When the last reading was, and where the next one starts; null before the first. */
  lastReading: LastReading | null;
  /**
   * When the database became another one, epoch ms; null: it never did. Rows of a time before are not counted, whenever
   * they appear: it may take long to put a dump back.
   */
  countsFrom: number | null;
  /** How far {@link file://./sweep.ts} has come: when the last task instance was made, epoch ms. */
  sweptTo: number;
  readonly runs: Map<number, Run>;
  readonly runSlots: RunSlots;
  readonly rows: RowStore;
  /** What the engine remembers of the problems that it shows. */
  problems: ProblemMemory;
}

export function emptyState(): LedgerState {
  return {
    lastRunId: null,
    schema: null,
    origin: null,
    lastReading: null,
    countsFrom: null,
    sweptTo: -1,
    runs: new Map(),
    runSlots: createRunSlots(),
    rows: createRowStore(),
    problems: {},
  };
}

/** What the next reading starts from. */
export interface Start {
  readonly schema: string;
  readonly origin: Origin;
  /** The start of the window, epoch ms. */
  readonly from: number;
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
  stage(start: Start, classify: (row: SampledRow) => Placement): Staging;
  /** Takes in one sample; gives back the slots of the rows that are new and to be counted. */
  settle(sample: Sample, options: { windowMs: number }): Promise<number[]>;
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
        return createStaging(
          { ...emptyState(), problems: state.problems },
          { from, classify, baselineUntil: Infinity, takesAll: true, copied: false },
        );
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

    async settle(sample, { windowMs }) {
      const { staging, now } = sample;
      const from = now - windowMs;
      const pace = createPace();
      const counts = countsFrom(sample);
      state = staging.state;
      const fresh: number[] = [];
      for (const run of drop(sample.lost)) run.listed = null;
      for (const id of sample.goneRuns) {
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
        noteRun(staged, sample);
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
      state.lastRunId = sample.lastRunId;
      state.schema = sample.shape.name;
      state.origin = sample.origin;
      state.lastReading = {
        at: now,
        horizon: sample.horizon,
        from,
      };
      state.countsFrom = counts;
      state.sweptTo = sample.sweptTo;
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
  function noteRun(staged: StagedRun, sample: Sample): void {
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
    run.activeAt = live || run.live ? sample.now : Math.max(run.activeAt, endedAt ?? 0);
    run.live = live;
    run.gone = false;
    if (!staged.complete) run.horizon = null;
    if (!staged.due) return;
    run.readAt = sample.now;
    if (staged.complete) run.horizon = sample.horizon;
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
