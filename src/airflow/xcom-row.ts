import { readShortBytes } from './reference.ts';
import type { RowId } from './row-queries.ts';
import type { XComSource } from './shape.ts';
import type { TaskRowId } from './task-queries.ts';

/** The end of the year 9999. Postgres has later moments, and infinity; neither can be written as a date. */
const LATEST_MS = 253_402_300_799_999;

/** One row as the database has it. Its value never leaves the database, except for a string shaped like a path. */
export interface SampledRow extends RowId {
  readonly table: XComSource['table'];
  readonly dagId: string;
  readonly runId: string;
  /** `xmin`: together with the id, this names one version of one row, also after an update in place. */
  readonly version: string;
  /** The writer's own timestamp, epoch ms; at most the end of the year 9999. */
  readonly at: number;
  readonly isNull: boolean;
  /** Bytes in Postgres: on disk, after compression; for a value that was unpacked, bytes in memory. */
  readonly stored: number;
  /**
   * The bytes that Airflow measured: `bytes` at most, `leastBytes` at least. Null: only `stored` is known. A value that
   * is too large to be measured may have `leastBytes` alone.
   */
  readonly bytes: number | null;
  readonly leastBytes: number | null;
  /** The value if it is a short string that may be a reference; else null. */
  readonly text: string | null;
}

/** A row as a statement returns it, with the bytes of a short value of Airflow 2 still to be read. */
export type RawRow = Omit<SampledRow, 'table' | 'dagId' | 'runId' | 'text'> & {
  text: string | null;
  raw: Uint8Array | null;
};

/** A row of a table whose rows hang on their task instance. Another statement gives the place of the task instance. */
export type TaskRow = Omit<RawRow, 'dagRunId' | 'taskId' | 'mapIndex'> & TaskRowId;

/** The run and the task instance that a row hangs on. */
export type Place = Pick<SampledRow, 'dagRunId' | 'dagId' | 'runId' | 'taskId' | 'mapIndex'>;

export function sampledRow(
  source: XComSource,
  row: RawRow,
  { dagId, runId }: Pick<Place, 'dagId' | 'runId'>,
): SampledRow {
  const { dagRunId, taskId, mapIndex } = row;
  return sampledTaskRow(source, row, { dagId, runId, dagRunId, taskId, mapIndex });
}

/**
 * The fields are written out: there may be a million rows, and V8 turns a spread of so many fields into a dictionary of
 * several kilobytes.
 */
export function sampledTaskRow(
  { table }: XComSource,
  row: Omit<RawRow, 'dagRunId' | 'taskId' | 'mapIndex'>,
  { dagId, runId, dagRunId, taskId, mapIndex }: Place,
): SampledRow {
  const { taskInstanceId, key, version, isNull, stored, bytes, leastBytes, raw } = row;
  const at = Math.min(row.at, LATEST_MS);
  const text = raw === null ? row.text : readShortBytes(raw);
  return {
    table,
    dagId,
    runId,
    dagRunId,
    taskInstanceId,
    taskId,
    mapIndex,
    key,
    version,
    at,
    isNull,
    stored,
    bytes,
    leastBytes,
    text,
  };
}

/** Names one row across all tables. */
export function rowId(table: string, row: RowId): string {
  return JSON.stringify([table, row.dagRunId, row.taskInstanceId, row.taskId, row.mapIndex, row.key]);
}
