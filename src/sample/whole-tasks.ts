import type { XComSource } from '../airflow/shape.ts';
import type { IdRange, Moment, TaskPlace } from '../airflow/task-queries.ts';
import {
  idsMade,
  MOMENT_MS,
  momentsStatement,
  rowsOfTasksStatement,
  taskPlacesStatement,
} from '../airflow/task-queries.ts';
import type { Place, TaskRow } from '../airflow/xcom-row.ts';
import { sampledTaskRow } from '../airflow/xcom-row.ts';
import { createByPair } from '../lib/by-pair.ts';
import { chunks } from '../lib/chunks.ts';
import type { StagedRun } from '../window/staging.ts';
import type { Reading } from './reading.ts';
import { RANGES_A_STATEMENT } from './task-instances.ts';

/**
 * How many runs one statement counts: each may have a hundred thousand task instances, and the statement has ten
 * seconds.
 */
const RUNS_A_STATEMENT = 50;
/** How many task instances are read together. Each stays in memory until its rows are read. */
const TASKS_TOGETHER = 8_000;
/** Other task instances made within so short a time are read along, because they are on the same pages. */
const ALONG_MS = 65_536;

/**
 * Reads all rows that hang on the task instances of some runs. Task by task, that could be a million searches in two
 * indexes. Instead, the ids tell when task instances were made: those of one period are read together with their rows,
 * so each page of either table is read once.
 */
export async function readWholeTasks(
  { query, readEach, shape, knowsCompression, staging }: Reading,
  source: XComSource,
  /** `from`: rows from before are of no interest, epoch ms. */
  { runs, from }: { readonly runs: readonly StagedRun[]; readonly from: number },
): Promise<void> {
  const made = new Map<number, number>();
  for (const some of chunks(runs, RUNS_A_STATEMENT))
    for (const { moment, made: count } of await query<Moment>(
      momentsStatement(some.map(({ run }) => run.id)),
    )) {
      const at = Number.parseInt(moment.replace('-', ''), 16);
      made.set(at, (made.get(at) ?? 0) + count);
    }
  const runOf = createByPair<StagedRun>();
  for (const staged of runs) runOf.set(staged.run.dagId, staged.run.runId, staged);
  for (const ranges of slices(made)) {
    const places = new Map<string, Place & { readonly staged: StagedRun }>();
    await readEach<TaskPlace>(
      taskPlacesStatement(shape, ranges),
      (found) => {
        for (const { taskInstanceId, taskId, mapIndex, dagId, runId } of found) {
          const staged = runOf.get(dagId, runId);
          if (staged === undefined) continue;
          // The run's own strings: those in the answer would be kept for each of its task instances.
          const { run } = staged;
          places.set(taskInstanceId, {
            staged,
            dagId: run.dagId,
            runId: run.runId,
            dagRunId: run.id,
            taskId,
            mapIndex,
          });
        }
      },
      { pageByPage: true },
    );
    await readEach<TaskRow>(
      rowsOfTasksStatement(source, { from, ranges, knowsCompression }),
      (found) => {
        for (const row of found) {
          const place = places.get(row.taskInstanceId);
          if (place === undefined) continue;
          staging.add(place.staged, sampledTaskRow(source, row, place));
        }
      },
      { pageByPage: true },
    );
  }
}

/** The id ranges of about so many task instances, in order of time. `made`: how many were made in each moment. */
function* slices(made: ReadonlyMap<number, number>): Generator<readonly IdRange[]> {
  let ranges: { from: number; to: number }[] = [];
  let count = 0;
  const taken = () => ranges.map(({ from, to }) => idsMade(from, to));
  for (const [moment, more] of [...made].sort(([a], [b]) => a - b)) {
    if (count > 0 && (count + more > TASKS_TOGETHER || ranges.length === RANGES_A_STATEMENT)) {
      yield taken();
      ranges = [];
      count = 0;
    }
    const from = moment * MOMENT_MS;
    const to = from + MOMENT_MS - 1;
    const before = ranges.at(-1);
    if (before !== undefined && from - before.to <= ALONG_MS) before.to = to;
    else ranges.push({ from, to });
    count += more;
  }
  if (count > 0) yield taken();
}
