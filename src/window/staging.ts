import type { Placement } from '../airflow/classify.ts';
import type { IsRun } from '../airflow/reference.ts';
import type { SampledRow } from '../airflow/xcom-row.ts';
import { indexInChunk } from './columns.ts';
import type { Link } from './columns.ts';
import * as is from './flags.ts';
import type { LedgerState } from './ledger-state.ts';
import { flagsAt, timeAt, versionAt } from './row-fields.ts';
import { knownRuns, newRun } from './run.ts';
import type { FoundRun, Run } from './run.ts';

/** The findings of a reading under way about one run. */
export interface StagedRun {
  readonly run: Run;
  /** It was remembered already. */
  readonly known: boolean;
  readonly live: boolean;
  /** Epoch ms; null while it runs. */
  readonly endedAt: number | null;
  /** The reading looks at what hangs on the run itself; else it only came across rows that hang on its tasks. */
  readonly due: boolean;
  /** How many rows hang on it now, in all tables. */
  count: number;
  /** All its rows are read, not just those since the horizon. */
  whole: boolean;
  /** False: some were not measured because of the cap and are left out; it has to be read whole again. */
  complete: boolean;
  /** How many of the rows that hang on it and were read are older than the window, … */
  old: number;
  /** … and how many are younger, and nothing was remembered of them. */
  added: number;
  /** The list of the rows that wait to be taken over. */
  firstLink: Link;
}

/**
 * Rows that a reading has found and nobody counts yet. They stand in the columns of the ledger already, so that they
 * are there only once, but in no list of it: a reading that fails is taken back without a trace.
 */
export interface Staging {
  /** The columns, lists and runs that the reading is to become part of: those remembered, or empty ones. */
  readonly state: LedgerState;
  /** All rows are read again, not only new ones: none may be left for the next reading, which would take it for new. */
  readonly takesAll: boolean;
  readonly runs: ReadonlyMap<number, StagedRun>;
  /** A run that is due. */
  open(found: FoundRun): StagedRun;
  /** One that is remembered, and not due. */
  openKnown(run: Run): StagedRun;
  /** Rows that are remembered in this version, or that are older than the window, are only noted. */
  add(staged: StagedRun, row: SampledRow): void;
  /** The run is about to be read from its beginning: nothing that has been read of it counts. */
  readWhole(staged: StagedRun): void;
  /** Reads a staged row again. */
  rewrite(staged: StagedRun, slot: number, row: SampledRow): void;
  /** Leaves those rows out. */
  leaveOut(staged: StagedRun, leaves: (slot: number) => boolean): void;
  slotsOf(staged: StagedRun): Iterable<number>;
  /** Takes the reading back. */
  discard(): void;
}

/** Says what a row is; `isRun` knows the runs of the window. */
export type Classify = (row: SampledRow, isRun: IsRun) => Placement;

export function createStaging(
  state: LedgerState,
  options: {
    from: number;
    classify: Classify;
    /** Rows up to this moment of their own clocks are part of the window and in no counter; epoch ms. */
    baselineUntil: number;
    takesAll: boolean;
    /** Rows may have other versions than when they were read. */
    copied: boolean;
  },
): Staging {
  const { rows } = state;
  const { from, classify, baselineUntil, takesAll, copied } = options;
  const runs = new Map<number, StagedRun>();
  // All that are due are opened before the first row is read.
  const isRun = knownRuns(function* () {
    yield* state.runs.values();
    for (const { run } of runs.values()) yield run;
  });
  const place = (slot: number) => ({ chunk: rows.chunkOf(slot), index: indexInChunk(slot) });

  function* slotsFrom(first: Link): Generator<number> {
    for (let link = first; link !== 0;) {
      const slot = link - 1;
      const { chunk, index } = place(slot);
      // It is read before the slot is given out: who takes that over changes it.
      link = chunk.next[index] ?? 0;
      yield slot;
    }
  }

  function leaveOut(staged: StagedRun, leaves: (slot: number) => boolean): void {
    const { firstLink } = staged;
    staged.firstLink = 0;
    for (const slot of slotsFrom(firstLink))
      if (leaves(slot)) rows.discard(slot);
      else addToList(staged, slot);
  }

  function addToList(staged: StagedRun, slot: number): void {
    const { chunk, index } = place(slot);
    chunk.next[index] = staged.firstLink;
    staged.firstLink = slot + 1;
  }

  function openAs(found: Pick<StagedRun, 'run' | 'known' | 'live' | 'endedAt' | 'due'>): StagedRun {
    const { run, known, live, endedAt, due } = found;
    // Written out: there may be ten thousand, and a spread makes each of them several times as large.
    const staged: StagedRun = {
      run,
      known,
      live,
      endedAt,
      due,
      count: 0,
      whole: takesAll,
      complete: true,
      old: 0,
      added: 0,
      firstLink: 0,
    };
    runs.set(run.id, staged);
    return staged;
  }

  return {
    state,
    takesAll,
    runs,
    // Most of ten thousand runs have none.
    slotsOf: ({ firstLink }) => (firstLink === 0 ? [] : slotsFrom(firstLink)),
    leaveOut,
    open({ id, dagId, runId, live, endedAt }) {
      const remembered = state.runs.get(id);
      // An id may be given again where a database was put back from an earlier copy.
      const known = remembered?.dagId === dagId && remembered.runId === runId ? remembered : undefined;
      const run =
        known ??
        newRun(state.runSlots.take(), {
          id,
          dagId,
          runId,
          live,
          readAt: 0,
          horizon: null,
          expired: 0,
          gone: false,
          activeAt: 0,
          listed: null,
        });
      return openAs({ run, known: known !== undefined, live, endedAt, due: true });
    },
    openKnown: (run) => openAs({ run, known: true, live: run.live, endedAt: null, due: false }),

    add(staged, row) {
      const ofRun = row.taskInstanceId === null ? 1 : 0;
      if (staged.whole) staged.count += ofRun;
      if (row.at < from) {
        staged.old += ofRun;
        return;
      }
      const before = staged.known ? rows.find(staged.run, row) : -1;
      let isRewritten = false;
      if (before === -1) staged.added += ofRun;
      else {
        const { chunk, index } = place(before);
        const version = Number(row.version);
        // Rows that were copied have other versions: one of the same time is the same.
        if (versionAt(chunk, index) === version || (copied && timeAt(chunk, index) === row.at)) {
          // That is right also if this reading is taken back.
          chunk.version[index] = version;
          chunk.flags[index] = flagsAt(chunk, index) | is.SEEN;
          return;
        }
        isRewritten = timeAt(chunk, index) === row.at;
      }
      const baseline = row.at <= baselineUntil;
      const slot = rows.write(staged.run, row, { placement: classify(row, isRun), baseline });
      // A worker's push is of its own time; PATCH of the REST API before 3.3 leaves that of the push.
      if (isRewritten) rows.setServerWritten(slot);
      addToList(staged, slot);
    },

    readWhole(staged) {
      Object.assign(staged, { whole: true, old: 0, added: 0, count: 0 });
      leaveOut(staged, () => true);
      for (const slot of rows.slotsOf(staged.run)) {
        const { chunk, index } = place(slot);
        chunk.flags[index] = flagsAt(chunk, index) & ~is.SEEN;
      }
    },

    rewrite(staged, slot, row) {
      const isServerWritten = is.byDesignOf(rows.flagsOf(slot)) === 'server_side';
      rows.rewrite(staged.run, slot, { row, placement: classify(row, isRun) });
      if (isServerWritten) rows.setServerWritten(slot);
    },

    discard() {
      for (const staged of runs.values()) {
        leaveOut(staged, () => true);
        if (!staged.known) state.runSlots.give(staged.run.slot);
      }
      runs.clear();
    },
  };
}
