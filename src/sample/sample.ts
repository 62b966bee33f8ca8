import type { TableCounts, Tables, Writes } from '../airflow/catalogue-queries.ts';
import { instantStatement, tableCountsStatement, tablesStatement } from '../airflow/catalogue-queries.ts';
import type { Placement } from '../airflow/classify.ts';
import type { IsRun } from '../airflow/reference.ts';
import type { Shape, UnknownShape } from '../airflow/shape.ts';
import type { SampledRow } from '../airflow/xcom-row.ts';
import { createPace } from '../lib/pace.ts';
import type { Query } from '../postgres/client.ts';
import { readEachWith } from '../postgres/cursor.ts';
import { behindError, DatabaseError } from '../postgres/failure.ts';
import type { Place } from '../postgres/standby.ts';
import type { Shard } from '../settings/shard.ts';
import { isIn } from '../settings/shard.ts';
import type { Ledger, StagedReading } from '../window/ledger.ts';
import type { FoundRun } from '../window/run.ts';
import { continueSweep } from '../window/sweep-state.ts';
import { measure } from './measure.ts';
import { nextPart } from './reconcile.ts';
import { isAhead, lostRows, readFresh, readWhole } from './run-rows.ts';
import { readRuns } from './runs.ts';
import type { ReadShape } from './shape-reader.ts';
import { readTaskRows } from './task-rows.ts';
import type { Patience } from './unpack.ts';
import { attributeStaged } from './workers.ts';

/** A successful reading of the database. */
export interface Sample extends StagedReading {
  readonly shape: Shape;
  /** Rows that were not measured because of the cap. */
  readonly unmeasured: number;
  readonly writes: Writes;
  /** Runs of the canary. Their rows are in no figure; sample/canary.ts reads them. */
  readonly canaryRuns: readonly FoundRun[];
}

export interface SampleOptions {
  readonly place: Place;
  readonly windowMs: number;
  readonly classify: (
    row: SampledRow,
    options: { readonly shape: Shape; readonly isRun: IsRun },
  ) => Placement;
  readonly shard: Shard;
  readonly canaryDagId: string;
  /** The size in bytes from which a value counts as oversize. */
  readonly oversize: number;
  readonly readShape: ReadShape;
  readonly patience: Patience;
}

/**
 * Reads the rows that are new since the horizon of each run's last reading. If a run then has another number of rows
 * than is remembered, rows were deleted, and the whole run is read. {@link readTaskRows} reads rows that hang on their
 * task instance.
 *
 * @throws {DatabaseError} with the reason `behind` when a standby shows less than the last reading saw.
 */
export async function sample(
  query: Query,
  ledger: Pick<Ledger, 'isBehind' | 'due' | 'stage'>,
  options: SampleOptions,
): Promise<Sample | UnknownShape> {
  const { shape, origin } = await options.readShape(query);
  if (ledger.isBehind({ origin, ...options.place })) throw behindError();
  if ('unsupported' in shape) return shape;
  const [instant] = await query<{
    now: number;
    horizon: string;
    lastRunId: number;
    knowsCompression: boolean;
  }>(instantStatement());
  if (instant === undefined) throw new Error('Cannot read the clock of the database: no row came back');
  const { now, horizon, knowsCompression } = instant;
  // Read before the rows, so that the next cycle sweeps faster for rows deleted in the meantime.
  const counts = await readTableCounts(query, shape);

  const from = now - options.windowMs;
  const start = { schema: shape.name, origin, from };
  const due = ledger.due(start);
  const staging = ledger.stage(start, (row, isRun) => options.classify(row, { shape, isRun }));
  try {
    const lastMs = due.lastReading?.at ?? null;
    const reading = { query, readEach: readEachWith(query), shape, knowsCompression, staging };
    const { found, runSweep } = await readRuns(reading, { ...due, now, sinceMs: from, lastMs });
    const ours = found.filter(({ dagId }) => isIn(options.shard, dagId));
    const canaryRuns = ours.filter(({ dagId }) => dagId === options.canaryDagId);
    const pace = createPace();
    for (const run of ours) {
      if (run.dagId !== options.canaryDagId) staging.open(run);
      if (pace.isDue()) await pace.rest();
    }
    const last =
      due.lastReading === null || isAhead(due.lastReading.horizon, horizon) ? null : due.lastReading;
    const byTask = shape.sources.find(({ keyedBy }) => keyedBy === 'task_instance');
    // Chosen before anything is staged, because staged rows are in the same columns.
    const part =
      last === null || byTask === undefined
        ? null
        : await nextPart(staging.state.rows, {
            sweep: due.sweep,
            from,
            now,
            isShard: options.shard.count > 1,
          });
    await readFresh(reading, horizon);
    const whole = [...staging.runs.values()].filter(
      (run) => run.whole || lostRows(run) || (last === null && byTask !== undefined),
    );
    await readWhole(reading, { runs: whole, from });
    const isOurs = (dagId: string) => isIn(options.shard, dagId) && dagId !== options.canaryDagId;
    const { lost, strays } =
      last === null || byTask === undefined || part === null
        ? { lost: [], strays: [] }
        : await readTaskRows(reading, byTask, { last, part, from, isOurs });
    const unmeasured = await measure(reading, options.patience);
    await attributeStaged(reading, options.oversize);
    // From here on, a session that wants to rewrite a table waits for this transaction.
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
      position: options.place.position,
      lastRunId: instant.lastRunId,
      staging,
      goneRuns: goneOf(due.ids, found),
      canaryDagId: options.canaryDagId,
      lost,
      sweep: continueSweep(due.sweep, {
        to: part?.next ?? null,
        changes: counts.find(({ table }) => table === byTask?.table)?.changes ?? null,
      }),
      runSweep: { ...runSweep, strays },
      unmeasured,
      writes: writesOf(counts),
      canaryRuns,
    };
  } catch (error) {
    staging.discard();
    throw error;
  }
}

/** Runs that the database no longer has; those of the canary are there, and not opened. */
function goneOf(due: readonly number[], found: readonly FoundRun[]): number[] {
  const there = new Set(found.map(({ id }) => id));
  return due.filter((id) => !there.has(id));
}

export async function readWrites(query: Query, shape: Shape): Promise<Writes> {
  return writesOf(await readTableCounts(query, shape));
}

function readTableCounts(query: Query, { sources }: Shape): Promise<TableCounts[]> {
  return query<TableCounts>(tableCountsStatement(sources.map(({ table }) => table)));
}

function writesOf(counts: readonly TableCounts[]): Writes {
  return Object.fromEntries(counts.map(({ table, writes }) => [table, writes]));
}
