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

/** The findings of the present reading about one run. */
export interface StagedRun {
  readonly run: Run;
  /** Whether the run was remembered before the reading. */
  readonly known: boolean;
  readonly live: boolean;
  /** When the run ended, epoch ms; null while it runs. */
  readonly endedAt: number | null;
  /** As of a {@link FoundRun}. */
  readonly baselineUntil: number;
  /**
   * Whether the reading looks at the rows that hang on the run itself; else it has only found rows that hang on tasks.
   */
  readonly due: boolean;
  /** How many rows hang on the run now, in all tables. */
  count: number;
  /** Whether all rows of the run are read, not only those since the horizon. */
  whole: boolean;
  /** False: some rows were not measured because of the cap and are left out; the run has to be read whole again. */
  complete: boolean;
  /** How many of the rows that hang on the run and were read are older than the window. */
  old: number;
  /** How many of those rows are in the window and were not remembered. */
  added: number;
  /** The list of the rows that wait to be taken over. */
  firstLink: Link;
}

/**
 * Rows that a reading has found and nobody counts yet. They are already in the columns of the ledger, so that they
 * exist only once in memory, but in none of its lists. A failed reading is therefore undone without a trace.
 */
export interface Staging {
  /** The columns, lists and runs that will take in the reading: the remembered ones, or empty ones. */
  readonly state: LedgerState;
  readonly runs: ReadonlyMap<number, StagedRun>;
  /** Adds a run that is due. */
  open(found: FoundRun): StagedRun;
  /** Adds a run that is remembered and not due. */
  openKnown(run: Run): StagedRun;
  /** Adds a row. A row that is remembered in this version, or that is older than the window, is only noted. */
  add(staged: StagedRun, row: SampledRow): void;
  /** Prepares to read the run from its beginning: everything that has been read of the run is dropped. */
  readWhole(staged: StagedRun): void;
  /** Writes a staged row again, after it was read again. */
  rewrite(staged: StagedRun, slot: number, row: SampledRow): void;
  /** Drops the rows for which `leaves` is true. */
  leaveOut(staged: StagedRun, leaves: (slot: number) => boolean): void;
  slotsOf(staged: StagedRun): Iterable<number>;
  /** Undoes the reading. */
  discard(): void;
}

/** Tells the placement of a row; `isRun` knows the runs of the window. */
export type Classify = (row: SampledRow, isRun: IsRun) => Placement;

export function createStaging(
  state: LedgerState,
  options: {
    from: number;
    classify: Classify;
    /** Rows with a timestamp up to this moment are part of the window and in no counter; epoch ms. */
    baselineUntil: number;
    /** Whether all rows are read again, not only new ones. */
    takesAll: boolean;
    /** Whether rows may have other versions now than when they were read. */
    copied: boolean;
  },
): Staging {
  const { rows } = state;
  const { from, classify, baselineUntil, takesAll, copied } = options;
  const runs = new Map<number, StagedRun>();
  // All due runs are opened before the first row is read.
  const isRun = knownRuns(function* () {
    yield* state.runs.values();
    for (const { run } of runs.values()) yield run;
  });
  const place = (slot: number) => ({ chunk: rows.chunkOf(slot), index: indexInChunk(slot) });

  function* slotsFrom(first: Link): Generator<number> {
    for (let link = first; link !== 0;) {
      const slot = link - 1;
      const { chunk, index } = place(slot);
      // The link is read before the slot is given out, because the consumer may change the link.
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

  function openAs(
    found: Pick<StagedRun, 'run' | 'known' | 'live' | 'endedAt' | 'baselineUntil' | 'due'>,
  ): StagedRun {
    const { run, known, live, endedAt, due } = found;
    // The fields are written out: there may be ten thousand, and a spread makes each object several times as large.
    const staged: StagedRun = {
      run,
      known,
      live,
      endedAt,
      baselineUntil: Math.max(found.baselineUntil, baselineUntil),
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
    runs,
    // Most of ten thousand runs have no staged rows.
    slotsOf: ({ firstLink }) => (firstLink === 0 ? [] : slotsFrom(firstLink)),
    leaveOut,
    open({ id, dagId, runId, live, endedAt, baselineUntil: until }) {
      const remembered = state.runs.get(id);
      // Postgres may give an id again after the database was restored from an earlier copy.
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
      return openAs({ run, known: known !== undefined, live, endedAt, baselineUntil: until, due: true });
    },
    openKnown: (run) =>
      openAs({ run, known: true, live: run.live, endedAt: null, baselineUntil, due: false }),

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
        // Copied rows have other versions, so a row with the same time counts as the same row.
        if (versionAt(chunk, index) === version || (copied && timeAt(chunk, index) === row.at)) {
          // This version stays right even if the reading is undone.
          chunk.version[index] = version;
          chunk.flags[index] = flagsAt(chunk, index) | is.SEEN;
          return;
        }
        isRewritten = timeAt(chunk, index) === row.at;
      }
      const baseline = row.at <= staged.baselineUntil;
      const slot = rows.write(staged.run, row, { placement: classify(row, isRun), baseline });
      // A worker's push sets a new time; PATCH of the REST API before 3.3 keeps the time of the push.
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
