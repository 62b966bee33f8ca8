import type { Placement } from '../airflow/classify.ts';
import type { Reference } from '../airflow/reference.ts';
import type { XComSource } from '../airflow/shape.ts';
import type { Worker } from '../airflow/worker-queries.ts';
import { uuidText } from '../lib/uuid-words.ts';
import { indexInChunk, wordsAt } from './columns.ts';
import type { ObjectState, UncheckedReason } from './flags.ts';
import * as is from './flags.ts';
import type { RowStore } from './row-store.ts';
import type { Run } from './run.ts';

/** One row of the window, read out of its columns for whoever needs all of it. Made for a few, never for all. */
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
    | Exclude<Placement, { storage: 's3' }>
    | { readonly storage: 's3'; readonly leaked: true }
    | { readonly storage: 's3'; readonly leaked: false; readonly reference: Reference };
  readonly baseline: boolean;
  readonly worker: Worker | null;
  readonly object: ObjectState;
  readonly objectBytes: number | null;
  readonly unchecked: UncheckedReason | null;
}

export function readRow(rows: RowStore, run: Run, slot: number): RememberedRow {
  const chunk = rows.chunkOf(slot);
  const at = indexInChunk(slot);
  const flags = chunk.flags[at] ?? 0;
  const size = chunk.size[at] ?? Number.NaN;
  const table = is.tableOf(flags);
  const worker = chunk.worker[at] ?? 0;
  return {
    slot,
    row: {
      table,
      dagRunId: run.id,
      dagId: run.dagId,
      runId: run.runId,
      ...rows.names.at(chunk.name[at] ?? 0),
      taskInstanceId: table === 'xcom_v2' ? uuidText(wordsAt(chunk.taskInstance, at)) : null,
      mapIndex: chunk.mapIndex[at] ?? 0,
      version: String(chunk.version[at] ?? 0),
      at: chunk.at[at] ?? 0,
    },
    placement: placementOf(rows, run, { slot, flags, size, less: chunk.base[at] ?? 0 }),
    baseline: (flags & is.BASELINE) !== 0,
    worker: worker === 0 ? null : rows.workers.at(worker),
    object: is.objectOf(flags),
    objectBytes: is.isReference(flags) && !Number.isNaN(size) ? size : null,
    unchecked: is.uncheckedOf(flags),
  };
}

function placementOf(
  rows: RowStore,
  run: Run,
  { slot, flags, size, less }: { slot: number; flags: number; size: number; less: number },
): RememberedRow['placement'] {
  switch (is.storageOf(flags)) {
    case 'db':
      return {
        storage: 'db',
        bytes: size,
        leastBytes: size - less,
        exact: (flags & is.INEXACT) === 0,
        byDesign: is.byDesignOf(flags),
      };
    case 'other':
      return {
        storage: 'other',
        form: (flags & is.LOCAL) === 0 ? 'third_party' : 'local',
        bytes: size,
      };
    case 's3': {
      const reference = rows.referenceOf(run, slot);
      return reference === null
        ? { storage: 's3', leaked: true }
        : { storage: 's3', leaked: false, reference };
    }
  }
}
