import type { Placement } from '../airflow/classify.ts';
import type { Reference } from '../airflow/reference.ts';
import type { XComSource } from '../airflow/shape.ts';
import type { Worker } from '../airflow/worker-queries.ts';
import { uuidText } from '../lib/uuid-words.ts';
import type { RowChunk } from './columns.ts';
import { indexInChunk } from './columns.ts';
import type { ObjectState, UncheckedReason } from './flags.ts';
import * as is from './flags.ts';
import {
  flagsAt,
  leastBytesAt,
  mapIndexAt,
  nameAt,
  sizeAt,
  taskInstanceAt,
  timeAt,
  versionAt,
  workerAt,
} from './row-fields.ts';
import type { RowStore } from './row-store.ts';
import type { Run } from './run.ts';

/** One row of the window, read from its columns with all its fields. Make it for a few rows, never for all. */
export interface RememberedRow {
  readonly slot: number;
  readonly row: {
    readonly table: XComSource['table'];
    readonly dagRunId: number;
    readonly dagId: string;
    readonly runId: string;
    readonly taskId: string;
    readonly taskInstanceId: string | null;
    readonly mapIndex: number;
    readonly key: string;
    readonly version: string;
    readonly at: number;
  };
  readonly placement:
    | Extract<Placement, { storage: 'db' }>
    | {
        readonly storage: 'other';
        readonly form: 'local' | 'other_store' | 'third_party';
        readonly bytes: number;
      }
    | { readonly storage: 's3'; readonly leaked: true; readonly path: Reference | null }
    | { readonly storage: 's3'; readonly leaked: false; readonly reference: Reference };
  readonly baseline: boolean;
  readonly worker: Worker | null;
  readonly object: ObjectState;
  readonly objectBytes: number | null;
  readonly unchecked: UncheckedReason | null;
}

export function readRow(rows: RowStore, run: Run, slot: number): RememberedRow {
  const chunk = rows.chunkOf(slot);
  const index = indexInChunk(slot);
  const flags = flagsAt(chunk, index);
  const size = sizeAt(chunk, index);
  const table = is.tableOf(flags);
  const worker = workerAt(chunk, index);
  return {
    slot,
    row: {
      table,
      dagRunId: run.id,
      dagId: run.dagId,
      runId: run.runId,
      ...rows.names.at(nameAt(chunk, index)),
      taskInstanceId: table === 'xcom_v2' ? uuidText(taskInstanceAt(chunk, index)) : null,
      mapIndex: mapIndexAt(chunk, index),
      version: String(versionAt(chunk, index)),
      at: timeAt(chunk, index),
    },
    placement: placementOf(
      { chunk, index },
      { reference: rows.referenceOf(run, slot), path: leakedPathOf(rows, slot) },
    ),
    baseline: (flags & is.BASELINE) !== 0,
    worker: worker === 0 ? null : rows.workers.at(worker),
    object: is.objectOf(flags),
    objectBytes: is.isReference(flags) && !Number.isNaN(size) ? size : null,
    unchecked: is.uncheckedOf(flags),
  };
}

/** The path of another row that this row holds; null: it holds none, or there are too many paths to keep. */
export function leakedPathOf(rows: RowStore, slot: number): Reference | null {
  const isLeaked = (rows.flagsOf(slot) & is.LEAKED) !== 0;
  return (isLeaked ? rows.verbatimReferences.get(slot) : null) ?? null;
}

function placementOf(
  { chunk, index }: { readonly chunk: RowChunk; readonly index: number },
  { reference, path }: { readonly reference: Reference | null; readonly path: Reference | null },
): RememberedRow['placement'] {
  const flags = flagsAt(chunk, index);
  switch (is.storageOf(flags)) {
    case 'db':
      return {
        storage: 'db',
        bytes: sizeAt(chunk, index),
        leastBytes: leastBytesAt(chunk, index),
        exact: (flags & is.INEXACT) === 0,
        byDesign: is.byDesignOf(flags),
      };
    case 'other':
      return {
        storage: 'other',
        form: (flags & is.LOCAL) !== 0 ? 'local' : is.hasBase(flags) ? 'other_store' : 'third_party',
        bytes: sizeAt(chunk, index),
      };
    case 's3':
      return reference === null
        ? { storage: 's3', leaked: true, path }
        : { storage: 's3', leaked: false, reference };
  }
}
