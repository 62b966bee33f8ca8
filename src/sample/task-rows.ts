import { runsNamedStatement } from '../airflow/run-queries.ts';
import type { XComSource } from '../airflow/shape.ts';
import type { TaskPlace, TaskRowId } from '../airflow/task-queries.ts';
import { newRowsStatement, taskRowsStatement } from '../airflow/task-queries.ts';
import type { TaskRow } from '../airflow/xcom-row.ts';
import { sampledTaskRow } from '../airflow/xcom-row.ts';
import { createByPair } from '../lib/by-pair.ts';
import type { LastReading } from '../window/ledger-state.ts';
import type { Run } from '../window/run.ts';
import type { StagedRun, Staging } from '../window/staging.ts';
import type { Reading } from './reading.ts';
import type { Part } from './reconcile.ts';
import { sweep } from './reconcile.ts';
import { findTaskPlaces } from './task-instances.ts';

/** How much older than its commit a row's id may be, because clocks differ and transactions may take long. */
const LATE_MS = 15 * 60_000;

interface TaskRowsRead {
  /** Slots of rows that are no longer in the window. */
  readonly lost: readonly number[];
  /** Runs of the window that are not known, although rows of them were found. */
  readonly strays: readonly number[];
}

/**
 * Reads new rows that hang on their task instance: by the time in their ids, and by comparing a part of the remembered
 * rows with the table. Other changes are found when the sweep reaches their part. These are rows deleted, rewritten
 * under their id, or committed long after they got an id.
 */
export async function readTaskRows(
  reading: Reading,
  source: XComSource,
  /** `from`: the start of the window, epoch ms. */
  {
    last,
    part,
    from,
    isOurs,
  }: {
    readonly last: LastReading;
    readonly part: Part;
    readonly from: number;
    readonly isOurs: (dagId: string) => boolean;
  },
): Promise<TaskRowsRead> {
  const { query, shape, readEach, staging, knowsCompression } = reading;
  const { rows } = staging.state;
  const since = { sinceMs: last.at - LATE_MS, horizon: last.horizon };
  const stagedAt = stagedByName(staging);
  const lost: number[] = [];
  const strays = new Map<string, TaskPlace>();

  /** Notes the run of a place that none of the known runs has: it may have been cleared, and have ended again. */
  function stagedOrStray(place: TaskPlace | undefined): StagedRun | null {
    const staged = stagedAt(place);
    if (place !== undefined && staged === null && isOurs(place.dagId))
      strays.set(JSON.stringify([place.dagId, place.runId]), place);
    return staged;
  }

  function stage(found: readonly TaskRow[], places: ReadonlyMap<string, TaskPlace>): void {
    for (const raw of found) {
      const place = places.get(raw.taskInstanceId);
      const staged = stagedOrStray(place);
      // A run that is read whole has been read already.
      if (place === undefined || staged === null || staged.whole) continue;
      const { dagId, runId, id: dagRunId } = staged.run;
      const { taskId, mapIndex } = place;
      const row = sampledTaskRow(source, raw, { dagId, runId, dagRunId, taskId, mapIndex });
      if (row.at >= from) staging.add(staged, row);
      else {
        const before = rows.find(staged.run, row);
        if (before !== -1) lost.push(before);
      }
    }
  }

  async function take(changed: readonly TaskRowId[]): Promise<void> {
    const places = await findTaskPlaces(reading, changed);
    const ours = changed.filter(({ taskInstanceId }) => stagedOrStray(places.get(taskInstanceId)) !== null);
    if (ours.length > 0)
      stage(await query<TaskRow>(taskRowsStatement(source, { rows: ours, knowsCompression })), places);
  }

  await readEach<TaskRow>(
    newRowsStatement(source, { ...since, knowsCompression }),
    async (found) => {
      stage(found, await findTaskPlaces(reading, found));
    },
    { pageByPage: true },
  );
  const gone = await sweep(reading, source, { ...since, part, from, rows, take });
  const names = [...strays.values()];
  const found =
    names.length === 0
      ? []
      : await query<{ id: number }>(runsNamedStatement(shape, { names, sinceMs: from }));
  return { lost: [...lost, ...gone], strays: found.map(({ id }) => id) };
}

/**
 * Finds the run of a task instance among the runs of this reading and the remembered ones; null: the run belongs to
 * another shard or is too old.
 */
function stagedByName(staging: Staging): (place: TaskPlace | undefined) => StagedRun | null {
  const runs = createByPair<Run>();
  return (place) => {
    if (place === undefined) return null;
    if (runs.isEmpty()) {
      for (const run of staging.state.runs.values()) if (!run.gone) runs.set(run.dagId, run.runId, run);
      // A new run may have taken the name of a deleted one.
      for (const { run } of staging.runs.values()) runs.set(run.dagId, run.runId, run);
    }
    const run = runs.get(place.dagId, place.runId);
    return run === undefined ? null : (staging.runs.get(run.id) ?? staging.openKnown(run));
  };
}
