import {
  activeRunsStatement,
  recentRunsStatement,
  runPageStatement,
  runsStatement,
} from '../airflow/run-queries.ts';
import { chunks } from '../lib/chunks.ts';
import type { DueRuns } from '../window/due-runs.ts';
import type { FoundRun } from '../window/run.ts';
import type { RunSweep } from '../window/run-sweep.ts';
import { continueRunSweep, RUN_SWEEP_START } from '../window/run-sweep.ts';
import type { Reading } from './reading.ts';

type RunReading = Pick<Reading, 'query' | 'readEach' | 'shape'>;

interface RunRow {
  id: number;
  dagId: string;
  runId: string;
  state: string | null;
  endedAt: number | null;
}

/**
 * Ids are assigned before the transaction commits, so a run may appear after younger ones: this many of the latest runs
 * are looked at again. Guarded by test/integration/sample/exact-counts.test.ts.
 */
const LATE_RUNS = 250;
/** After this long without a reading, old runs may have been cleared and have ended again. */
const AWAY_MS = 5 * 60_000;
const RECENT_PAGE = 5_000;
/**
 * How many older runs a cycle looks at, in turn. `dag_run` has no index on the time of an end, so a run that was cleared
 * and has ended again between two cycles is found in this way alone. They are on some twenty pages.
 */
const RUNS_SWEPT = 500;
/** All rows of an answer are parsed in one turn of the event loop. */
const IDS_A_STATEMENT = 1_000;

/**
 * Reads the runs that can have new rows; on the first reading, the runs of the window. Runs asked for by id are always
 * read.
 */
export async function readRuns(
  reading: RunReading,
  /** Epoch ms: now, the start of the window, and when runs were last looked for; null: not known. */
  options: DueRuns & { now: number; sinceMs: number; lastMs: number | null },
): Promise<{ readonly found: readonly FoundRun[]; readonly runSweep: RunSweep }> {
  const { query, readEach } = reading;
  const { lastRunId, ids, isKnown, runSweep, now, sinceMs, lastMs } = options;
  const runs = new Map<number, FoundRun>();
  /** A run that is neither known nor new may have rows from before the window was read for the first time. */
  const isLate = (id: number) => !isKnown(id) && id <= (lastRunId ?? Infinity);
  const take = (found: readonly RunRow[]) => {
    for (const run of found)
      if (!runs.has(run.id))
        runs.set(run.id, foundRun(run, isLate(run.id) ? runSweep.baselineUntil : -Infinity));
  };
  let next: RunSweep = { ...RUN_SWEEP_START, baselineUntil: now };
  const readActive = (after: number, takeActive: (found: readonly RunRow[]) => void) =>
    readEach<RunRow>(activeRunsStatement({ after }), takeActive, { pageByPage: false });
  if (lastRunId === null) {
    take(await readWindow(reading, sinceMs));
    await readActive(Number.MAX_SAFE_INTEGER, take);
  } else {
    const due = new Set(ids);
    const wanted = ({ id, state, endedAt }: RunRow) =>
      id > lastRunId ||
      isLive(state) ||
      due.has(id) ||
      (!isKnown(id) && endedAt !== null && endedAt >= sinceMs);
    await readActive(lastRunId - LATE_RUNS, (active) => {
      take(active.filter(wanted));
    });
    if (lastMs !== null && now - lastMs > AWAY_MS) take(await readWindow(reading, Math.max(lastMs, sinceMs)));
    const { below, strays } = runSweep;
    const swept = await readPage(reading, {
      below: Math.min(below, lastRunId - LATE_RUNS + 1),
      sinceMs,
      limit: RUNS_SWEPT,
    });
    take(swept.recent.filter(({ id }) => !isKnown(id)));
    if (strays.length > 0) take(await query<RunRow>(runsStatement(strays)));
    next = continueRunSweep(runSweep, { last: swept.first, strays: [] });
  }
  const rest = ids.filter((id) => !runs.has(id));
  for (const some of chunks(rest, IDS_A_STATEMENT)) take(await query<RunRow>(runsStatement(some)));
  return { found: [...runs.values()], runSweep: next };
}

/** Reads pages from the youngest run backwards, until a page holds no recent run. */
async function readWindow(reading: RunReading, sinceMs: number): Promise<RunRow[]> {
  const runs: RunRow[] = [];
  // Above every possible run id.
  let below = Number.MAX_SAFE_INTEGER;
  for (;;) {
    const { first, recent } = await readPage(reading, { below, sinceMs, limit: RECENT_PAGE });
    for (const run of recent) runs.push(run);
    if (first === null || recent.length === 0) return runs;
    below = first;
  }
}

/** Gives the lowest id of a page of runs, and the recent runs on it. */
async function readPage(
  { query, readEach, shape }: RunReading,
  { below, sinceMs, limit }: { readonly below: number; readonly sinceMs: number; readonly limit: number },
): Promise<{ readonly first: number | null; readonly recent: readonly RunRow[] }> {
  const [page] = await query<{ first: number | null }>(runPageStatement({ below, limit }));
  const first = page?.first ?? null;
  const recent: RunRow[] = [];
  if (first !== null)
    await readEach<RunRow>(
      recentRunsStatement(shape, { first, below, sinceMs }),
      (found) => {
        for (const run of found) recent.push(run);
      },
      { pageByPage: true },
    );
  return { first, recent };
}

function foundRun({ id, dagId, runId, state, endedAt }: RunRow, baselineUntil: number): FoundRun {
  return { id, dagId, runId, endedAt, live: isLive(state), baselineUntil };
}

function isLive(state: string | null): boolean {
  return state === 'running' || state === 'queued';
}
