import type { Bases } from './bases.ts';
import { indexInChunk } from './columns.ts';
import type { BrokenReason, Storage, UncheckedReason } from './flags.ts';
import * as is from './flags.ts';
import type { Ledger } from './ledger.ts';
import { flagsAt, leastBytesAt, sizeAt, workerAt } from './row-fields.ts';

/**
 * Gives the increments that new rows add to the counters, summed up by labels; sizes stay separate, for a histogram.
 * References add their bytes once S3 has given them: {@link objectIncrements}.
 */
export function rowIncrements(
  ledger: Ledger,
  slots: readonly number[],
  { oversize, bases }: { readonly oversize: number; readonly bases: Pick<Bases, 'brokenReason'> },
): Increment[] {
  const rows = ledger.rows();
  const increments: Increment[] = [];
  const sums = createSums();
  for (const slot of slots) {
    const chunk = rows.chunkOf(slot);
    const index = indexInChunk(slot);
    const flags = flagsAt(chunk, index);
    if (flags === 0 || (flags & is.BASELINE) !== 0) continue;
    const { dagId } = ledger.runOf(slot);
    const storage = is.storageOf(flags);
    sums.rows(dagId, storage);
    if (storage === 's3') {
      if (bases.brokenReason(slot) === 'leaked') sums.broken(dagId, 'leaked');
      continue;
    }
    // The exporter does not ask other stores, so no later answer would count this row: it is counted here.
    if (bases.brokenReason(slot) === 'path_mismatch') sums.broken(dagId, 'path_mismatch');
    const bytes = sizeAt(chunk, index);
    sums.bytes(storage, bytes);
    increments.push({ metric: 'value_bytes', storage, bytes });
    if (!is.isOversizeRow(flags, leastBytesAt(chunk, index), oversize)) continue;
    const worker = workerAt(chunk, index);
    sums.oversize(dagId, { queue: worker === 0 ? '' : (rows.workers.at(worker).queue ?? ''), bytes });
  }
  return [...sums.increments(), ...increments];
}

/** An answer of S3 about one reference, which the ledger has already noted. */
export interface Learnt {
  readonly slot: number;
  /** Whether this is the first answer about the reference. */
  readonly first: boolean;
}

/** A first look that comes later than this after its row may find an object gone that was written well. */
const SOON_MS = 10 * 60_000;

/**
 * Gives the increments from first answers about references, or from later worse ones; marks what has been counted.
 * `now`: epoch ms.
 */
export function objectIncrements(
  ledger: Ledger,
  learnt: readonly Learnt[],
  { bases, now }: { readonly bases: Bases; readonly now: number },
): Increment[] {
  const rows = ledger.rows();
  const increments: Increment[] = [];
  const sums = createSums();
  let checked = 0;
  for (const { slot, first } of learnt) {
    const chunk = rows.chunkOf(slot);
    const index = indexInChunk(slot);
    const flags = flagsAt(chunk, index);
    if ((flags & is.BASELINE) !== 0) continue;
    const { dagId } = ledger.runOf(slot);
    const bytes = sizeAt(chunk, index);
    if (first) checked += 1;
    if (first && !Number.isNaN(bytes)) {
      sums.bytes('s3', bytes);
      increments.push({ metric: 'value_bytes', storage: 's3', bytes });
    }
    const reason = bases.brokenReason(slot);
    if (reason === null || is.hasSaid(flags, reason)) continue;
    chunk.written += 1;
    chunk.flags[index] = flags | is.saidBit(reason);
    sums.broken(dagId, reason);
    // An object that was whole at the first answer was written well; a later loss is not a failed write.
    if (first && now - rows.timeOf(slot) <= SOON_MS && (reason === 'missing' || reason === 'empty'))
      increments.push({ metric: 'write_failures_total', reason, by: 1 });
  }
  if (checked > 0) increments.push({ metric: 'references_checked_total', by: checked });
  return [...sums.increments(), ...increments];
}

/** Adds up increments with the same labels. */
function createSums(): {
  rows(dagId: string, storage: Storage): void;
  bytes(storage: Storage, by: number): void;
  broken(dagId: string, reason: BrokenReason): void;
  oversize(dagId: string, row: { queue: string; bytes: number }): void;
  increments(): Increment[];
} {
  const sums = new Map<string, { increment: Exclude<Increment, { metric: 'value_bytes' }>; by: number }>();
  function add(increment: Exclude<Increment, { metric: 'value_bytes' }>): void {
    const { by, ...labels } = increment;
    const name = Object.values(labels).join('\0');
    const sum = sums.get(name);
    if (sum === undefined) sums.set(name, { increment, by });
    else sum.by += by;
  }
  return {
    rows: (dagId, storage) => {
      add({ metric: 'rows_total', dagId, storage, by: 1 });
    },
    bytes: (storage, by) => {
      add({ metric: 'bytes_total', storage, by });
    },
    broken: (dagId, reason) => {
      add({ metric: 'references_broken_total', dagId, reason, by: 1 });
    },
    oversize: (dagId, { queue, bytes }) => {
      add({ metric: 'oversize_in_db_total', dagId, queue, by: 1 });
      add({ metric: 'oversize_in_db_bytes_total', dagId, by: bytes });
    },
    increments: () => [...sums.values()].map(({ increment, by }) => ({ ...increment, by })),
  };
}

/** One cycle's increment of a counter or histogram. Names are without the prefix `airflow_xcom_`. */
export type Increment =
  | { readonly metric: 'rows_total'; readonly dagId: string; readonly storage: Storage; readonly by: number }
  | { readonly metric: 'bytes_total'; readonly storage: Storage; readonly by: number }
  | { readonly metric: 'value_bytes'; readonly storage: Storage; readonly bytes: number }
  | {
      readonly metric: 'oversize_in_db_total';
      readonly dagId: string;
      readonly queue: string;
      readonly by: number;
    }
  | { readonly metric: 'oversize_in_db_bytes_total'; readonly dagId: string; readonly by: number }
  | { readonly metric: 'references_checked_total'; readonly by: number }
  | {
      readonly metric: 'references_broken_total';
      readonly dagId: string;
      readonly reason: BrokenReason;
      readonly by: number;
    }
  | { readonly metric: 'references_unchecked_total'; readonly reason: UncheckedReason; readonly by: number }
  | { readonly metric: 'write_failures_total'; readonly reason: 'missing' | 'empty'; readonly by: number };
