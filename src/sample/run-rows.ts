import type { RunCounts } from '../airflow/row-queries.ts';
import { countsStatement, rowsAtStatement, rowsStatement } from '../airflow/row-queries.ts';
import type { XComSource } from '../airflow/shape.ts';
import type { RawRow } from '../airflow/xcom-row.ts';
import { sampledRow } from '../airflow/xcom-row.ts';
import { chunks } from '../lib/chunks.ts';
import { pageByPage } from '../postgres/cursor.ts';
import type { Run } from '../window/run.ts';
import type { StagedRun } from '../window/staging.ts';
import type { Reading } from './reading.ts';
import { RUNS_A_STATEMENT } from './reading.ts';
import { readWholeTasks } from './whole-tasks.ts';

const PLACES_A_STATEMENT = 5_000;

/** Reads each run that has a horizon from its horizon on, and marks the others to be read whole. */
export async function readFresh(reading: Reading, horizon: string): Promise<void> {
  const { query, shape, staging } = reading;
  const byRun = shape.sources.filter(({ keyedBy }) => keyedBy === 'dag_run');
  // Beside a table for new rows, Airflow only reads from the older table and deletes from it (models/xcom.py of 3.4).
  const isLegacy = byRun.length < shape.sources.length;
  const partly = [...staging.runs.values()].filter(({ whole }) => !whole);
  for (const [since, runs] of byHorizon(partly, horizon)) {
    if (since === null) {
      for (const run of runs) run.whole = true;
      continue;
    }
    const worthALook = isLegacy ? runs.filter(({ run }) => rowsOnRun(run) > 0) : runs;
    for (const chunk of chunks(worthALook, RUNS_A_STATEMENT))
      for (const source of byRun) {
        const runIds = chunk.map(({ run }) => run.id);
        const counts = await pageByPage(query, () =>
          query<RunCounts>(countsStatement(shape, source, { runIds, horizon: since })),
        );
        for (const { dagRunId, rows } of counts) {
          const staged = staging.runs.get(dagRunId);
          if (staged !== undefined) staged.count += rows;
        }
        await readPlaces(reading, source, { counts, horizon: since });
        const many = counts.filter(({ fresh, places }) => fresh > 0 && places === null);
        await readRows(reading, source, { runIds: many.map(({ dagRunId }) => dagRunId), horizon: since });
      }
  }
}

export async function readWhole(
  reading: Reading,
  /** `from`: the start of the window, epoch ms. */
  { runs, from }: { readonly runs: readonly StagedRun[]; readonly from: number },
): Promise<void> {
  // The other runs are known to hold nothing; rows on task instances are in no count.
  const onTasks = reading.shape.sources.some(({ keyedBy }) => keyedBy === 'task_instance');
  const filled = runs.filter(({ whole, count }) => whole || count > 0 || onTasks);
  for (const run of runs) reading.staging.readWhole(run);
  for (const source of reading.shape.sources)
    if (source.keyedBy === 'task_instance') await readWholeTasks(reading, source, { runs: filled, from });
    else
      for (const chunk of chunks(filled, RUNS_A_STATEMENT))
        await readRows(reading, source, { runIds: chunk.map(({ run }) => run.id), horizon: null });
}

/**
 * A new version replaces its row or adds one; any other number of rows means that some were deleted. A row that is new
 * and yet older than the window may do either, and so hide a deletion.
 */
export function lostRows({ run, old, added, count }: StagedRun): boolean {
  return old > 0 || rowsOnRun(run) + added !== count;
}

/** The number of rows that hang on the run itself, as far as is known. */
function rowsOnRun({ rows, rowsOnTasks, expired }: Run): number {
  return rows - rowsOnTasks + expired;
}

/**
 * Groups runs by where their last reading ended. A run that was never read has no horizon. A run whose horizon is ahead
 * of this reading's has none either, because the database was restored from a copy.
 */
function byHorizon(runs: readonly StagedRun[], horizon: string): Map<string | null, StagedRun[]> {
  const groups = new Map<string | null, StagedRun[]>();
  for (const staged of runs) {
    const last = staged.run.horizon;
    const since = last === null || isAhead(last, horizon) ? null : last;
    const group = groups.get(since);
    if (group === undefined) groups.set(since, [staged]);
    else group.push(staged);
  }
  return groups;
}

/** Transaction ids are compared modulo 2^32, as Postgres does. */
export function isAhead(one: string, other: string): boolean {
  const distance = (Number(one) - Number(other) + 2 ** 32) % 2 ** 32;
  return distance > 0 && distance < 2 ** 31;
}

async function readRows(
  reading: Reading,
  source: XComSource,
  options: Omit<Parameters<typeof rowsStatement>[2], 'knowsCompression'>,
): Promise<void> {
  if (options.runIds.length === 0) return;
  const { shape, knowsCompression } = reading;
  await reading.readEach(
    rowsStatement(shape, source, { ...options, knowsCompression }),
    stageIn(reading, source),
    { pageByPage: true },
  );
}

/** New rows lie together at the end of the table, or else in gaps all over it. */
async function readPlaces(
  reading: Reading,
  source: XComSource,
  { counts, horizon }: { counts: readonly RunCounts[]; horizon: string },
): Promise<void> {
  const { shape, knowsCompression } = reading;
  const named = counts.filter(({ places }) => places !== null);
  const places = named.flatMap(({ places: ofRun }) => ofRun ?? []);
  if (places.length === 0) return;
  const pages = pagesOf(places);
  if (pages.last - pages.first + 1 < places.length) {
    await readRows(reading, source, { runIds: named.map(({ dagRunId }) => dagRunId), horizon, pages });
    return;
  }
  for (const chunk of chunks(places, PLACES_A_STATEMENT))
    await reading.readEach(
      rowsAtStatement(shape, source, { places: chunk, knowsCompression }),
      stageIn(reading, source),
      { pageByPage: false },
    );
}

/** The first and the last page of places in the form `(page,number)`. */
function pagesOf(places: readonly string[]): { first: number; last: number } {
  let first = Infinity;
  let last = -Infinity;
  for (const place of places) {
    const page = Number(place.slice(1, place.indexOf(',')));
    first = Math.min(first, page);
    last = Math.max(last, page);
  }
  return { first, last };
}

function stageIn({ staging }: Reading, source: XComSource): (rows: readonly RawRow[]) => void {
  return (rows) => {
    for (const row of rows) {
      const staged = staging.runs.get(row.dagRunId);
      if (staged !== undefined) staging.add(staged, sampledRow(source, row, staged.run));
    }
  };
}
