import {
  countsStatement,
  instantStatement,
  pageByPageStatement,
  rowsAtStatement,
  rowsSinceStatement,
  rowsStatement,
} from './airflow/queries.ts';
import type { RunCounts } from './airflow/queries.ts';
import type { Shape, UnknownShape, XComSource } from './airflow/shape.ts';
import type { Placement } from './classify.ts';
import type { Query } from './clients/postgres.ts';
import { readEachWith } from './cursor.ts';
import type { ReadEach } from './cursor.ts';
import { readRuns } from './find-runs.ts';
import type { LastReading, Ledger } from './ledger.ts';
import { chunks } from './lib/chunks.ts';
import { measure } from './measure.ts';
import { sampledRow } from './sampled-row.ts';
import type { RawRow, SampledRow } from './sampled-row.ts';
import type { ReadShape } from './shape-reader.ts';
import { isIn } from './shard.ts';
import type { Shard } from './shard.ts';
import type { StagedRun, Staging } from './staging.ts';
import { takeTurns } from './turns.ts';
import { attributeStaged } from './workers.ts';

export interface Sample {
  readonly shape: Shape;
  /** The database's clock, epoch ms. */
  readonly now: number;
  readonly horizon: string;
  readonly lastRunId: number;
  /** The runs that were read, and their rows. */
  readonly staging: Staging;
  /** Remembered runs that are no longer there. */
  readonly goneRuns: readonly number[];
  /** Rows that were not measured because of the cap. */
  readonly unmeasured: number;
}

export interface SampleOptions {
  readonly windowMs: number;
  readonly classify: (row: SampledRow, shape: Shape) => Placement;
  readonly shard: Shard;
  /** From how many bytes on a value counts as oversize. */
  readonly oversize: number;
  readonly readShape: ReadShape;
}

/** A reading under way. */
export interface Reading {
  readonly query: Query;
  readonly readEach: ReadEach;
  readonly shape: Shape;
  readonly knowsCompression: boolean;
  readonly staging: Staging;
}

/** Runs a statement names at most. */
const RUNS_A_STATEMENT = 500;
const PLACES_A_STATEMENT = 5_000;
/** By how much the id of a row may be older than its commit: clocks that are off, and transactions that take long. */
const LATE_MS = 15 * 60_000;

/**
 * Reads what is new: the rows of the runs that can have new ones, since the horizon of their last reading.
 * Where a run then holds another number of rows than remembered, rows were deleted, and it is read whole.
 */
export async function sample(
  query: Query,
  ledger: Pick<Ledger, 'due' | 'stage'>,
  options: SampleOptions,
): Promise<Sample | UnknownShape> {
  const shape = await options.readShape(query);
  if ('unsupported' in shape) return shape;
  const [instant] = await query<{
    now: number;
    horizon: string;
    lastRunId: number;
    knowsCompression: boolean;
  }>(instantStatement());
  if (instant === undefined) throw new Error('Cannot read the clock of the database: no row came back');
  const { now, horizon, knowsCompression } = instant;

  const from = now - options.windowMs;
  const due = ledger.due(shape.name);
  const staging = ledger.stage(shape.name, { from, classify: (row) => options.classify(row, shape) });
  try {
    for (const run of await readRuns(query, shape, { ...due, sinceMs: from }))
      if (isIn(options.shard, run.dagId)) staging.open(run);
    const reading = { query, readEach: readEachWith(query), shape, knowsCompression, staging };
    for (const source of shape.sources)
      if (source.keyedBy === 'task_instance' && due.lastReading !== null) {
        takeTurns(staging.runs.values(), staging.state.rows.size());
        await readNew(reading, source, due.lastReading);
      }
    await readFresh(reading, horizon);
    const whole = [...staging.runs.values()].filter((run) => run.inTurn && (run.whole || lostRows(run)));
    await readWhole(reading, whole);
    const unmeasured = await measure(reading);
    if (!staging.baseline) await attributeStaged(reading, options.oversize);
    return {
      shape,
      now,
      horizon,
      lastRunId: instant.lastRunId,
      staging,
      goneRuns: due.ids.filter((id) => !staging.runs.has(id)),
      unmeasured,
    };
  } catch (error) {
    staging.discard();
    throw error;
  }
}

/**
 * Reads what is new in the runs whose turn it is not, by the time in the ids of the rows. What has an older id, or kept
 * its id when it was written again, is found when it is the turn of its run.
 */
async function readNew(reading: Reading, source: XComSource, last: LastReading): Promise<void> {
  const { shape, knowsCompression, staging } = reading;
  const { at, horizon } = last;
  const statement = rowsSinceStatement(shape, source, { sinceMs: at - LATE_MS, horizon, knowsCompression });
  // In the order of their ids they lie on a page in turns.
  await reading.query(pageByPageStatement(true));
  await reading.readEach(statement, (row) => {
    if (staging.runs.get(row.dagRunId)?.inTurn === false) stage(reading, source, row);
  });
  await reading.query(pageByPageStatement(false));
}

/** Reads the runs that have a horizon from there on, and marks the others to be read whole. */
async function readFresh(reading: Reading, horizon: string): Promise<void> {
  const { query, shape, staging } = reading;
  for (const [since, runs] of byHorizon(
    [...staging.runs.values()].filter(({ inTurn }) => inTurn),
    horizon,
  )) {
    if (since === null) {
      for (const run of runs) run.whole = true;
      continue;
    }
    for (const chunk of chunks(runs, RUNS_A_STATEMENT))
      for (const source of shape.sources) {
        const runIds = chunk.map(({ run }) => run.id);
        const counts = await pageByPage(reading, source, () =>
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

async function readWhole(reading: Reading, runs: readonly StagedRun[]): Promise<void> {
  // Of the others it is known that they hold nothing.
  const filled = runs.filter(({ whole, count }) => whole || count > 0);
  for (const run of runs) reading.staging.readWhole(run);
  for (const chunk of chunks(filled, RUNS_A_STATEMENT))
    for (const source of reading.shape.sources)
      await readRows(reading, source, { runIds: chunk.map(({ run }) => run.id), horizon: null });
}

/**
 * A new version replaces its row or adds one; any other number of rows means that some were deleted. A row
 * that is new and yet older than the window may be either, and hide a deletion.
 */
function lostRows({ run, old, added, count }: StagedRun): boolean {
  return old > 0 || run.rows + run.expired + added !== count;
}

/**
 * Groups runs by where their last reading ended; a run never read before has no horizon. Nor has one whose
 * horizon is ahead of this reading's: the database was put back from a copy.
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
function isAhead(one: string, other: string): boolean {
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
  const statement = rowsStatement(shape, source, { ...options, knowsCompression });
  await pageByPage(reading, source, () =>
    reading.readEach(statement, (row) => {
      stage(reading, source, row);
    }),
  );
}

/** Of a row that hangs on its task instance, each look is a search in an index anyway. */
async function pageByPage<Result>(
  { query }: Reading,
  source: XComSource,
  read: () => Promise<Result>,
): Promise<Result> {
  if (source.keyedBy === 'task_instance') return read();
  await query(pageByPageStatement(true));
  const result = await read();
  await query(pageByPageStatement(false));
  return result;
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
    await reading.readEach(rowsAtStatement(shape, source, { places: chunk, knowsCompression }), (row) => {
      stage(reading, source, row);
    });
}

/** The first page and the last of places that are written `(page,number)`. */
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

function stage({ staging }: Reading, source: XComSource, row: RawRow): void {
  const staged = staging.runs.get(row.dagRunId);
  if (staged !== undefined) staging.add(staged, sampledRow(source, row, staged.run));
}
