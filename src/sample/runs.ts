import { activeRunsStatement, recentRunsStatement, runsStatement } from '../airflow/run-queries.ts';
import { chunks } from '../lib/chunks.ts';
import type { DueRuns } from '../window/due-runs.ts';
import type { FoundRun } from '../window/run.ts';
import type { Reading } from './reading.ts';

interface RunRow {
  id: number;
  dagId: string;
  runId: string;
  state: string | null;
  endedAt: number | null;
  recent?: boolean;
}

/**
 * Ids are assigned before the transaction commits, so a run may appear after younger ones: this many of the latest runs
 * are looked at again. Guarded by test/integration/sample/exact-counts.test.ts.
 */
const LATE_RUNS = 250;
/** After this long without a reading, old runs may have been cleared and have ended again. */
const AWAY_MS = 5 * 60_000;
const RECENT_PAGE = 5_000;
/** All rows of an answer are parsed in one turn of the event loop. */
const IDS_A_STATEMENT = 1_000;

/**
 * Reads the runs that can have new rows; on the first reading, the runs of the window. Runs asked for by id are always
 * read.
 */
export async function readRuns(
  reading: Pick<Reading, 'query' | 'readEach' | 'shape'>,
  /** Epoch ms: now, the start of the window, and when runs were last looked for; null: not known. */
  options: DueRuns & { now: number; sinceMs: number; lastMs: number | null },
): Promise<FoundRun[]> {
  const { query, readEach } = reading;
  const { lastRunId, ids, isKnown, now, sinceMs, lastMs } = options;
  const runs = new Map<number, FoundRun>();
  const take = (found: readonly RunRow[]) => {
    for (const run of found) runs.set(run.id, foundRun(run));
  };
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
  }
  const rest = ids.filter((id) => !runs.has(id));
  for (const some of chunks(rest, IDS_A_STATEMENT)) take(await query<RunRow>(runsStatement(some)));
  return [...runs.values()];
}

/** Reads pages from the youngest run backwards, until a page holds no recent run. */
async function readWindow(
  { readEach, shape }: Pick<Reading, 'readEach' | 'shape'>,
  sinceMs: number,
): Promise<RunRow[]> {
  const runs: RunRow[] = [];
  // Above every possible run id.
  let below = Number.MAX_SAFE_INTEGER;
  for (;;) {
    const page: RunRow[] = [];
    await readEach<RunRow>(
      recentRunsStatement(shape, { below, sinceMs, limit: RECENT_PAGE }),
      (found) => {
        page.push(...found);
      },
      { pageByPage: false },
    );
    const recent = page.filter((run) => run.recent === true);
    runs.push(...recent);
    const last = page.at(-1);
    if (last === undefined || page.length < RECENT_PAGE || recent.length === 0) return runs;
    below = last.id;
  }
}

function foundRun({ id, dagId, runId, state, endedAt }: RunRow): FoundRun {
  return { id, dagId, runId, endedAt, live: isLive(state) };
}

function isLive(state: string | null): boolean {
  return state === 'running' || state === 'queued';
}
