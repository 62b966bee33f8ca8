import {
  countsStatement,
  instantStatement,
  rowsAtStatement,
  rowsStatement,
  tablesStatement,
} from './airflow/queries.ts';
import type { RunCounts, Tables } from './airflow/queries.ts';
import type { Shape, UnknownShape, XComSource } from './airflow/shape.ts';
import type { Placement } from './classify.ts';
import { DatabaseError } from './clients/postgres-failure.ts';
import type { Query } from './clients/postgres.ts';
import { pageByPage, readEachWith } from './cursor.ts';
import type { ReadEach } from './cursor.ts';
import { readRuns } from './find-runs.ts';
import type { Ledger } from './ledger.ts';
import { chunks } from './lib/chunks.ts';
import { measure } from './measure.ts';
import type { Run } from './run.ts';
import { sampledRow } from './sampled-row.ts';
import type { RawRow, SampledRow } from './sampled-row.ts';
import type { Origin, ReadShape } from './shape-reader.ts';
import { isIn } from './shard.ts';
import type { Shard } from './shard.ts';
import type { StagedRun, Staging } from './staging.ts';
import { nextPart } from './sweep.ts';
import { readTaskRows } from './task-rows.ts';
import { attributeStaged } from './workers.ts';
import { readWrites } from './writes.ts';
import type { Writes } from './writes.ts';

export interface Sample {
  readonly shape: Shape;
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
  /** Rows that were not measured because of the cap. */
  readonly unmeasured: number;
  readonly writes: Writes;
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

/**
 * Reads what is new: the rows of the runs that can have new ones, since the horizon of their last reading.
 * Where another number of rows then hangs on a run than is remembered, rows were deleted, and it is read whole. Rows that
 * hang on their task instance are read by {@link readTaskRows}.
 */
export async function sample(
  query: Query,
  ledger: Pick<Ledger, 'due' | 'stage'>,
  options: SampleOptions,
): Promise<Sample | UnknownShape> {
  const { shape, origin } = await options.readShape(query);
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
  const start = { schema: shape.name, origin, from };
  const due = ledger.due(start);
  const staging = ledger.stage(start, (row) => options.classify(row, shape));
  try {
    const lastMs = due.lastReading?.at ?? null;
    for (const run of await readRuns(query, shape, { ...due, now, sinceMs: from, lastMs }))
      if (isIn(options.shard, run.dagId)) staging.open(run);
    const reading = { query, readEach: readEachWith(query), shape, knowsCompression, staging };
    const last =
      due.lastReading === null || isAhead(due.lastReading.horizon, horizon) ? null : due.lastReading;
    const byTask = shape.sources.find(({ keyedBy }) => keyedBy === 'task_instance');
    // Chosen before anything is staged, which stands in the same columns.
    const part =
      last === null || byTask === undefined
        ? null
        : await nextPart(staging.state.rows, {
            after: due.sweptTo,
            from,
            now,
            isShard: options.shard.count > 1,
          });
    await readFresh(reading, horizon);
    const whole = [...staging.runs.values()].filter(
      (run) => run.whole || lostRows(run) || (last === null && byTask !== undefined),
    );
    await readWhole(reading, whole);
    const lost =
      last === null || byTask === undefined || part === null
        ? []
        : await readTaskRows(reading, byTask, { last, part, from });
    const unmeasured = await measure(reading);
    await attributeStaged(reading, options.oversize);
    const writes = await readWrites(query, shape);
    // Whoever would write one anew waits for this transaction from here on.
    const [tables] = await query<Tables>(tablesStatement());
    if (tables?.isCurrent === false)
      throw new DatabaseError(
        'conflict',
        'Cannot read the database: a table was truncated or written anew meanwhile; the next cycle reads it',
        null,
      );
    return {
      shape,
      origin,
      now,
      horizon,
      lastRunId: instant.lastRunId,
      staging,
      goneRuns: due.ids.filter((id) => !staging.runs.has(id)),
      lost,
      sweptTo: part?.next ?? -1,
      unmeasured,
      writes,
    };
  } catch (error) {
    staging.discard();
    throw error;
  }
}

/** Reads the runs that have a horizon from there on, and marks the others to be read whole. */
async function readFresh(reading: Reading, horizon: string): Promise<void> {
  const { query, shape, staging } = reading;
  const byRun = shape.sources.filter(({ keyedBy }) => keyedBy === 'dag_run');
  // Beside a table for new rows, Airflow only reads the one from before it and deletes from it (models/xcom.py of 3.4).
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

async function readWhole(reading: Reading, runs: readonly StagedRun[]): Promise<void> {
  // Of the others it is known that they hold nothing; what hangs on tasks is in no count.
  const onTasks = reading.shape.sources.some(({ keyedBy }) => keyedBy === 'task_instance');
  const filled = runs.filter(({ whole, count }) => whole || count > 0 || onTasks);
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
  return old > 0 || rowsOnRun(run) + added !== count;
}

/** How many rows hang on the run itself, as far as is known. */
function rowsOnRun({ rows, ofTasks, expired }: Run): number {
  return rows - ofTasks + expired;
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
  // Of a row that hangs on its task instance, each look is a search in an index anyway.
  await reading.readEach(
    rowsStatement(shape, source, { ...options, knowsCompression }),
    stageIn(reading, source),
    { pageByPage: source.keyedBy === 'dag_run' },
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

function stageIn({ staging }: Reading, source: XComSource): (rows: readonly RawRow[]) => void {
  return (rows) => {
    for (const row of rows) {
      const staged = staging.runs.get(row.dagRunId);
      if (staged !== undefined) staging.add(staged, sampledRow(source, row, staged.run));
    }
  };
}
