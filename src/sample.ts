import {
  catalogueStatement,
  countsStatement,
  instantStatement,
  recentRunsStatement,
  rowsStatement,
  runsStatement,
} from './airflow/queries.ts';
import { recogniseShape } from './airflow/shape.ts';
import type { CatalogueColumn, Shape, UnknownShape } from './airflow/shape.ts';
import type { Query } from './clients/postgres.ts';
import { chunks } from './lib/chunks.ts';
import { measure } from './measure.ts';
import type { Reading } from './measure.ts';
import { rowId, sampledRow } from './sampled-row.ts';
import type { RawRow, SampledRow } from './sampled-row.ts';

export interface SampledRun {
  readonly id: number;
  readonly dagId: string;
  readonly runId: string;
  readonly live: boolean;
  /** Epoch ms; null while it runs. */
  readonly endedAt: number | null;
  readonly rows: readonly SampledRow[];
  /** The rows are all that the run holds, not just those since the horizon. */
  readonly whole: boolean;
  /** How many rows the run holds now. */
  readonly count: number;
  /** False: some were not measured because of the cap and are left out; it has to be read whole again. */
  readonly complete: boolean;
}

/** What the ledger remembers and the sampler needs. */
export interface Remembered {
  /** The youngest run that was seen, or null before the first reading. */
  readonly lastRunId: number | null;
  /** The shape of the last reading; null before the first. */
  readonly schema: string | null;
  /** All runs that are remembered, by id. */
  readonly known: ReadonlyMap<number, unknown>;
  /** Runs to read again: live at the last reading, or due to be looked at. */
  readonly runs: ReadonlyMap<number, RememberedRun>;
}

export interface RememberedRun {
  /** Null: it has to be read whole. */
  readonly horizon: string | null;
  /** The rows that the run held, by {@link rowId}. */
  readonly rows: ReadonlyMap<string, { readonly row: Pick<SampledRow, 'version'> }>;
  /** Rows that it also held, older than the window. */
  readonly expired: number;
}

export interface Sample {
  readonly shape: Shape;
  /** The database's clock, epoch ms. */
  readonly now: number;
  readonly horizon: string;
  readonly lastRunId: number;
  readonly runs: readonly SampledRun[];
  /** Remembered runs that are no longer there. */
  readonly goneRuns: readonly number[];
  /** Rows that were not measured because of the cap. */
  readonly unmeasured: number;
}

interface RunRow {
  id: number;
  dagId: string;
  runId: string;
  state: string | null;
  endedAt: number | null;
  recent?: boolean;
}

const NOTHING: Remembered = { lastRunId: null, schema: null, known: new Map(), runs: new Map() };
/**
 * Ids are given out before the transaction commits, so that a run may turn up after younger ones: this many
 * are looked at again. Guarded by test/integration/exact-counts.test.ts.
 */
const LATE_RUNS = 250;
/** Runs a statement names at most: bounds what one answer can hold. */
const RUNS_A_STATEMENT = 500;
const RECENT_PAGE = 5_000;

/**
 * Reads what is new: the rows of the runs that can have new ones, since the horizon of their last reading.
 * Where a run then holds another number of rows than remembered, rows were deleted, and it is read whole.
 */
export async function sample(
  query: Query,
  memory: Remembered,
  options: { windowMs: number },
): Promise<Sample | UnknownShape> {
  const shape = recogniseShape(await query<CatalogueColumn>(catalogueStatement()));
  if ('unsupported' in shape) return shape;
  // A migration rewrites or renames every row: what was remembered names none of them any more.
  const remembered = memory.schema === null || memory.schema === shape.name ? memory : NOTHING;
  const [instant] = await query<{
    now: number;
    horizon: string;
    lastRunId: number;
    knowsCompression: boolean;
  }>(instantStatement());
  if (instant === undefined) throw new Error('Cannot read the clock of the database: no row came back');
  const { now, horizon, knowsCompression } = instant;

  const from = now - options.windowMs;
  const runs = await readRuns(query, shape, remembered, from);
  const found = new Set(runs.map(({ id }) => id));
  const rowsOf = new Map<number, SampledRow[]>(runs.map(({ id }) => [id, []]));
  const counts = new Map<number, number>();
  const whole = new Set<number>();
  const reading = { query, shape, knowsCompression, rowsOf };

  for (const chunk of chunks([...found], RUNS_A_STATEMENT)) {
    for (const source of shape.sources)
      for (const row of await query<{ dagRunId: number; rows: number }>(
        countsStatement(shape, source, chunk),
      ))
        counts.set(row.dagRunId, (counts.get(row.dagRunId) ?? 0) + row.rows);
  }
  const filled = [...counts.keys()];
  for (const [since, ids] of byHorizon(filled, remembered, horizon)) {
    if (since === null) for (const id of ids) whole.add(id);
    await readRows(reading, ids, since);
  }
  const differing = runs
    .map(({ id }) => id)
    .filter((id) => {
      const before = remembered.runs.get(id);
      return (
        before !== undefined &&
        !whole.has(id) &&
        lostRows(before, rowsOf.get(id) ?? [], { count: counts.get(id) ?? 0, from })
      );
    });
  for (const id of differing) {
    rowsOf.set(id, []);
    whole.add(id);
  }
  await readRows(
    reading,
    differing.filter((id) => counts.has(id)),
    null,
  );
  const { unmeasured, incomplete } = await measure(reading, remembered);

  return {
    shape,
    now,
    horizon,
    lastRunId: instant.lastRunId,
    runs: runs.map(({ id, dagId, runId, state, endedAt }) => ({
      id,
      dagId,
      runId,
      endedAt,
      live: isLive(state),
      rows: rowsOf.get(id) ?? [],
      whole: whole.has(id),
      count: counts.get(id) ?? 0,
      complete: !incomplete.has(id),
    })),
    goneRuns: [...remembered.runs.keys()].filter((id) => !found.has(id)),
    unmeasured,
  };
}

/**
 * A new version replaces its row or adds one; any other number of rows means that some were deleted. A row
 * that is new and yet older than the window may be either, and hide a deletion.
 */
function lostRows(
  before: RememberedRun,
  fresh: readonly SampledRow[],
  { count, from }: { count: number; from: number },
): boolean {
  if (fresh.some(({ at }) => at < from)) return true;
  const added = fresh.filter((row) => !before.rows.has(rowId(row.table, row))).length;
  return before.rows.size + before.expired + added !== count;
}

async function readRuns(
  query: Query,
  shape: Shape,
  remembered: Remembered,
  sinceMs: number,
): Promise<RunRow[]> {
  const ids = [...remembered.runs.keys()];
  const { lastRunId, known } = remembered;
  if (lastRunId !== null) {
    const found = await query<RunRow>(runsStatement({ after: lastRunId - LATE_RUNS, ids }));
    return found.filter(
      ({ id, state, endedAt }) =>
        id > lastRunId ||
        isLive(state) ||
        remembered.runs.has(id) ||
        (!known.has(id) && endedAt !== null && endedAt >= sinceMs),
    );
  }
  const runs = new Map<number, RunRow>();
  // A bigint is no integer to JavaScript: the youngest possible id, as text.
  let below = Number.MAX_SAFE_INTEGER;
  for (;;) {
    const page = await query<RunRow>(recentRunsStatement(shape, { below, sinceMs, limit: RECENT_PAGE }));
    const recent = page.filter((run) => run.recent === true);
    for (const run of recent) runs.set(run.id, run);
    const last = page.at(-1);
    if (last === undefined || page.length < RECENT_PAGE || recent.length === 0) break;
    below = last.id;
  }
  for (const run of await query<RunRow>(runsStatement({ after: Number.MAX_SAFE_INTEGER, ids })))
    runs.set(run.id, run);
  return [...runs.values()];
}

function isLive(state: string | null): boolean {
  return state === 'running' || state === 'queued';
}

/**
 * Groups runs by where their last reading ended; a run never read before has no horizon. Nor has one whose
 * horizon is ahead of this reading's: the database was put back from a copy.
 */
function byHorizon(
  ids: readonly number[],
  remembered: Remembered,
  horizon: string,
): Map<string | null, number[]> {
  const groups = new Map<string | null, number[]>();
  for (const id of ids) {
    const last = remembered.runs.get(id)?.horizon ?? null;
    const since = last === null || isAhead(last, horizon) ? null : last;
    const group = groups.get(since);
    if (group === undefined) groups.set(since, [id]);
    else group.push(id);
  }
  return groups;
}

/** Transaction ids are compared modulo 2^32, as Postgres does. */
function isAhead(one: string, other: string): boolean {
  const distance = (Number(one) - Number(other) + 2 ** 32) % 2 ** 32;
  return distance > 0 && distance < 2 ** 31;
}

async function readRows(reading: Reading, ids: readonly number[], horizon: string | null): Promise<void> {
  const { query, shape, knowsCompression, rowsOf } = reading;
  for (const runIds of chunks(ids, RUNS_A_STATEMENT))
    for (const source of shape.sources) {
      const rows = await query<RawRow>(rowsStatement(shape, source, { runIds, horizon, knowsCompression }));
      for (const row of rows) rowsOf.get(row.dagRunId)?.push(sampledRow(source, row));
    }
}
