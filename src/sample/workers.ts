import { isForeignTask, isServerWritten } from '../airflow/classify.ts';
import type { Shape } from '../airflow/shape.ts';
import type { TaskInstanceName, WorkerAnswer } from '../airflow/worker-queries.ts';
import type { SampledRow } from '../airflow/xcom-row.ts';
import { workersAtStatement, workersStatement } from '../airflow/worker-queries.ts';
import { chunks } from '../lib/chunks.ts';
import { createPace } from '../lib/pace.ts';
import { bestOf, createTop } from '../lib/top.ts';
import type { Query } from '../postgres/client.ts';
import type { Bases } from '../window/bases.ts';
import type { RowChunk } from '../window/columns.ts';
import { CHUNK_ROWS, indexInChunk } from '../window/columns.ts';
import * as is from '../window/flags.ts';
import type { Ledger } from '../window/ledger.ts';
import type { Looks } from '../window/looks.ts';
import { readRow } from '../window/remembered-row.ts';
import { baseAt, flagsAt, leastBytesAt, timeAt, workerAt } from '../window/row-fields.ts';
import type { RowStore } from '../window/row-store.ts';
import type { Run } from '../window/run.ts';
import type { Reading } from './reading.ts';

/** How many rows one statement names. */
const ROWS_A_STATEMENT = 1_000;

/** One chunk's rows whose worker is not known, by slot, the latest first. */
interface Unattributed {
  /** Rows with a fault, and sound rows beside them for comparison. */
  readonly wrong: readonly number[];
  readonly beside: readonly number[];
  /** Rows that hold the path of another row: the whole window shows whether that is a fault. */
  readonly leaked: readonly number[];
  readonly anyOversize: boolean;
  /** The bases of all these rows. */
  readonly bases: ReadonlySet<number>;
}

interface LookedBy {
  readonly oversize: number;
  readonly bases: Bases;
  readonly most: number;
}

export type WorkerLooks = Looks<RowChunk, Unattributed>;

/**
 * The rows whose worker matters. They can wait, because rows that are counted by queue already have their worker. The
 * latest go first. `most`: how many; of too many, faulty and sound rows get half each.
 */
export async function worthAttributing(
  ledger: Ledger,
  { oversize, bases, most, looks }: LookedBy & { readonly looks: WorkerLooks },
): Promise<number[]> {
  const rows = ledger.rows();
  const pace = createPace();
  const found: Unattributed[] = [];
  for (const chunk of rows.chunks) {
    const ofChunk = looks.at(
      chunk,
      () => lookAt(chunk, { oversize, bases, most }),
      (last) => `${chunk.written} ${oversize} ${most} ${bases.wordsOn(last.bases)}`,
    );
    found.push(ofChunk);
    await pace.rest();
  }
  const latest = (lists: readonly (readonly number[])[]) => bestOf(most, lists, (slot) => rows.timeOf(slot));
  const leaked = createTop(most);
  for (const slot of found.flatMap((one) => one.leaked))
    if (bases.brokenReason(slot) !== null) leaked.offer(slot, rows.timeOf(slot));
  const amiss = latest([...found.map(({ wrong }) => wrong), leaked.items()]);
  const anyOversize = found.some((one) => one.anyOversize);
  const right = anyOversize ? latest(found.map(({ beside }) => beside)) : [];
  const half = Math.floor(most / 2);
  const forRight = Math.max(half, most - amiss.length);
  return [...amiss.slice(0, most - Math.min(right.length, forRight)), ...right.slice(0, forRight)];
}

function lookAt(chunk: RowChunk, { oversize, bases, most }: LookedBy): Unattributed {
  const wrong = createTop(most);
  const beside = createTop(most);
  const leaked: number[] = [];
  const ids = new Set<number>();
  let anyOversize = false;
  // From the end: most of the latest rows are there, so the others are soon passed over.
  for (let index = CHUNK_ROWS - 1; index >= 0; index -= 1) {
    const flags = flagsAt(chunk, index);
    if (flags === 0) continue;
    const isLarge = is.isOversizeRow(flags, leastBytesAt(chunk, index), oversize);
    if (isLarge) anyOversize = true;
    if (workerAt(chunk, index) !== 0) continue;
    const slot = chunk.first + index;
    const time = timeAt(chunk, index);
    const storage = flags & is.STORAGE_MASK;
    if (!is.isReference(flags)) {
      if (storage === is.S3) leaked.push(slot);
      else if (isLarge || storage === is.OTHER) wrong.offer(slot, time);
      continue;
    }
    ids.add(baseAt(chunk, index));
    const isWrong = bases.brokenReason(slot) !== null || is.isSkipDecision(flags);
    (isWrong ? wrong : beside).offer(slot, time);
  }
  return { wrong: wrong.items(), beside: beside.items(), leaked, anyOversize, bases: ids };
}

/**
 * Names the workers of the oversize rows of a reading before the rows are taken in. The rows are counted by queue, and
 * a database that goes away in between must not make the queue unknown. Rows of the baseline are in no counter.
 */
export async function attributeStaged(
  { query, shape, staging }: Pick<Reading, 'query' | 'shape' | 'staging'>,
  oversize: number,
): Promise<void> {
  const { rows } = staging.state;
  const pace = createPace();
  const found: { run: Run; slot: number }[] = [];
  for (const staged of staging.runs.values()) {
    for (const slot of staging.slotsOf(staged)) {
      const chunk = rows.chunkOf(slot);
      const index = indexInChunk(slot);
      const flags = flagsAt(chunk, index);
      if ((flags & is.BASELINE) === 0 && is.isOversizeRow(flags, leastBytesAt(chunk, index), oversize))
        found.push({ run: staged.run, slot });
    }
    if (pace.isDue()) await pace.rest();
  }
  await setWorkers(query, shape, { rows, found });
}

export async function attribute(
  query: Query,
  shape: Shape,
  { ledger, slots }: { ledger: Ledger; slots: readonly number[] },
): Promise<void> {
  const found = slots.map((slot) => ({ run: ledger.runOf(slot), slot }));
  await setWorkers(query, shape, { rows: ledger.rows(), found });
}

async function setWorkers(
  query: Query,
  shape: Shape,
  { rows, found }: { rows: RowStore; found: readonly { readonly run: Run; readonly slot: number }[] },
): Promise<void> {
  for (const some of chunks(found, ROWS_A_STATEMENT)) {
    const entries = some.map(({ run, slot }) => readRow(rows, run, slot));
    const names = entries.map(({ row }) => row);
    const ids = names.flatMap(({ taskInstanceId }) => taskInstanceId ?? []);
    const places = names.filter(({ taskInstanceId }) => taskInstanceId === null);
    const answers = [
      ...(ids.length === 0 ? [] : await query<WorkerAnswer>(workersStatement(shape, [...new Set(ids)]))),
      ...(places.length === 0 ? [] : await query<WorkerAnswer>(workersAtStatement(shape, places))),
    ];
    const workers = new Map(answers.map((row) => [textOf(row), row]));
    for (const { slot, row } of entries) {
      const worker = workers.get(textOf(row));
      const ran = worker === undefined || isOfEarlierTry(shape, row, worker) ? null : worker;
      rows.setWorker(slot, {
        queue: ran?.queue ?? null,
        executor: ran?.executor ?? null,
        hostname: ran?.hostname ?? null,
        operator: ran?.operator ?? null,
      });
      const byServer = isServerWritten({ major: shape.major, at: row.at }, worker?.idleSince ?? null);
      if (byServer || isForeignTask(worker?.operator ?? null)) rows.setServerWritten(slot);
    }
  }
}

/**
 * Whether a row that Airflow 3.4 took over from before is older than its task instance's latest start. The task
 * instance then does not show who wrote the row.
 */
function isOfEarlierTry(
  { keepsTries }: Shape,
  row: Pick<SampledRow, 'taskInstanceId' | 'at'>,
  { startedAt }: WorkerAnswer,
): boolean {
  return keepsTries && row.taskInstanceId === null && (startedAt === null || startedAt > row.at);
}

function textOf({ taskInstanceId, dagId, runId, taskId, mapIndex }: TaskInstanceName): string {
  return taskInstanceId ?? JSON.stringify([dagId, runId, taskId, mapIndex]);
}
