import { isForeignTask } from '../airflow/classify.ts';
import type { Counts } from '../lib/histogram.ts';
import { createHistogram } from '../lib/histogram.ts';
import type { RowChunk } from '../window/columns.ts';
import { CHUNK_ROWS } from '../window/columns.ts';
import type { BrokenReason, Storage } from '../window/flags.ts';
import * as is from '../window/flags.ts';
import { baseAt, flagsAt, leastBytesAt, sizeAt, timeAt, workerAt } from '../window/row-fields.ts';
import type { RowStore } from '../window/row-store.ts';
import type { GatheredByKind, Gathering } from './gathering.ts';
import type { KeptByWorker } from './kept-by-worker.ts';
import { gatherKept } from './kept-by-worker.ts';
import type { Measures } from './measures.ts';
import type { Step } from './offload-steps.ts';
import { MINUTE, stepsOf } from './offload-steps.ts';
import type { Unlooked } from './unlooked.ts';
import { gatherUnlooked } from './unlooked.ts';
import type { Unowned } from './unowned.ts';
import { gatherUnowned } from './unowned.ts';

/**
 * The sums over the rows of one chunk alone; the sums of all tallies are those of the window. Figures that also depend
 * on the rest of the window are in judged-values.ts and worker-histories.ts.
 */
export interface Tally {
  readonly chunk: RowChunk;
  readonly rows: Readonly<Record<Storage, number>>;
  readonly bytes: Readonly<Record<Storage, number>>;
  readonly broken: Readonly<Record<BrokenReason, number>>;
  readonly counts: Readonly<Record<(typeof COUNTS)[number], number>>;
  /** Smallest and earliest values; Infinity: there is none. */
  readonly least: Readonly<Record<(typeof LEAST)[number], number>>;
  /** Largest and latest values; -Infinity: there is none. */
  readonly most: Readonly<Record<(typeof MOST)[number], number>>;
  readonly kinds: GatheredByKind;
  /** All bases of this chunk: the tally rests on what is known of them. */
  readonly bases: ReadonlySet<number>;
  /** References of rows to their own objects, by base; and those that are as configured, by worker. */
  readonly based: Counts;
  readonly offloaded: Counts;
  readonly mismatched: ReadonlySet<number>;
  readonly doubtful: ReadonlySet<number>;
  /** The workers of references with the time of the latest one, and the large values that workers kept. */
  readonly writers: ReadonlyMap<number, number>;
  readonly kept: ReadonlyMap<number, KeptByWorker>;
  /** The smallest values that went to object storage up to a minute. */
  readonly offloads: readonly Step[];
  readonly unlooked: Unlooked;
  readonly unowned: Unowned;
  /** Slots of rows that hold the path of another row. Only the whole window shows whether the path is the backend's. */
  readonly leaked: readonly number[];
}

const STORAGES = ['db', 's3', 'other'] as const;
const COUNTS = [
  'references',
  'unverified',
  'inOtherStore',
  'inForce',
  'inexact',
  'foreign',
  'oversizeBytes',
  'objects',
  'values',
] as const;
const LEAST = ['object', 'inForceAt', 'at'] as const;
/** `kept` covers the values that tasks keep in the database, whether they are measured or not. */
const MOST = [
  'value',
  'kept',
  'oversize',
  'smallAt',
  'writtenAt',
  'mismatchedAt',
  'referenceAt',
  'at',
] as const;

type Sums = Pick<Tally, 'rows' | 'bytes' | 'broken' | 'counts' | 'least' | 'most'>;
type MutableSums = { [Part in keyof Sums]: { -readonly [Name in keyof Sums[Part]]: number } };

/** Everything that the tally of a chunk rests on, as text: what is written there, and what is known of its bases. */
export function groundsOf(
  { written }: RowChunk,
  { bases: ids }: Tally,
  { oversize, threshold, bases, ownersUnread }: Measures,
): string {
  return `${written} ${oversize} ${threshold} ${ownersUnread} ${bases.wordsOn(ids)}`;
}

export function tallyOf(
  chunk: RowChunk,
  measures: Measures,
  {
    store,
    gathering,
  }: { readonly store: Pick<RowStore, 'names' | 'workers'>; readonly gathering: Gathering },
): Tally {
  const { oversize, threshold, large, bases } = measures;
  const sums = noSums();
  const { rows, bytes, broken, counts, least, most } = sums;
  const ids = new Set<number>();
  const based = createHistogram();
  const offloaded = createHistogram();
  const mismatched = new Set<number>();
  const doubtful = new Set<number>();
  const writers = new Map<number, number>();
  const kept = gatherKept(store);
  const offloads = new Map<number, number>();
  const unlooked = gatherUnlooked();
  const unowned = gatherUnowned(measures.ownersUnread);
  const leaked: number[] = [];
  /** A reference whose size is not known counts as if it had this size. */
  const unmeasured = Number.isNaN(threshold) ? Infinity : threshold;

  function addValue(index: number, flags: number): void {
    const size = sizeAt(chunk, index);
    const leastBytes = leastBytesAt(chunk, index);
    const isByDesign = (flags & is.BY_DESIGN_MASK) !== 0;
    rows.db += 1;
    bytes.db += size;
    if ((flags & is.INEXACT) !== 0) counts.inexact += 1;
    else if (!isByDesign) {
      counts.values += 1;
      most.value = Math.max(most.value, leastBytes);
    }
    if (!isByDesign) {
      most.kept = Math.max(most.kept, leastBytes);
      if (is.isOversizeRow(flags, leastBytes, large)) kept.add(chunk, index);
    }
    if (!is.isOversizeRow(flags, leastBytes, oversize)) return;
    gathering.add('oversize', chunk, index);
    counts.oversizeBytes += size;
    most.oversize = Math.max(most.oversize, size);
    const worker = workerAt(chunk, index);
    if (isByDesign && worker !== 0 && isForeignTask(store.workers.at(worker).operator)) counts.foreign += 1;
  }

  function addReference(index: number, flags: number): void {
    if (!is.isReference(flags)) {
      leaked.push(chunk.first + index);
      return;
    }
    const size = sizeAt(chunk, index);
    const at = timeAt(chunk, index);
    const base = baseAt(chunk, index);
    ids.add(base);
    const isMeasured = is.hasObject(flags) && bases.isUncompressed(base);
    // The backend would have kept a value that is so small.
    const isSmall = isMeasured && size < threshold;
    if (bases.isDoubtful(base)) {
      // A small one is a value after all; its size is not kept.
      if (isSmall) {
        rows.db += 1;
        return;
      }
      rows.s3 += 1;
      gathering.add('doubtful', chunk, index);
      doubtful.add(base);
      return;
    }
    rows.s3 += 1;
    const asConfigured = bases.isInForce(base);
    const reason = unowned.certain(is.brokenReason(flags, asConfigured), flags);
    if (reason !== null) {
      if (reason !== 'path_mismatch') gathering.add(reason, chunk, index);
      broken[reason] += 1;
    }
    counts.references += 1;
    based.add(base);
    const worker = workerAt(chunk, index);
    writers.set(worker, Math.max(writers.get(worker) ?? -Infinity, at));
    most.referenceAt = Math.max(most.referenceAt, at);
    if (is.isUnverified(flags)) counts.unverified += 1;
    if (is.isUnverified(flags) || is.uncheckedOf(flags) !== null) unlooked.add(flags, at);
    if (!Number.isNaN(size)) bytes.s3 += size;
    if (is.isSkipDecision(flags) && unowned.certain('skip', flags) !== null)
      gathering.add('skips', chunk, index);
    if (asConfigured) {
      counts.inForce += 1;
      offloaded.add(worker);
      least.inForceAt = Math.min(least.inForceAt, at);
      if (is.hasObject(flags) || is.isUnverified(flags)) most.writtenAt = Math.max(most.writtenAt, at);
    } else if (reason !== null) addMismatched(index);
    const minute = Math.floor(at / MINUTE);
    offloads.set(minute, Math.min(offloads.get(minute) ?? Infinity, isMeasured ? size : unmeasured));
    if (!isMeasured) return;
    counts.objects += 1;
    least.object = Math.min(least.object, size);
    if (isSmall) {
      gathering.add('belowThreshold', chunk, index);
      most.smallAt = Math.max(most.smallAt, at);
    }
  }

  function addMismatched(index: number): void {
    gathering.add('path_mismatch', chunk, index);
    mismatched.add(baseAt(chunk, index));
    most.mismatchedAt = Math.max(most.mismatchedAt, timeAt(chunk, index));
  }

  /** A reference to a store that is not S3: only its row is known. */
  function addInOtherStore(index: number, flags: number): void {
    const base = baseAt(chunk, index);
    ids.add(base);
    counts.inOtherStore += 1;
    if (bases.isDoubtful(base)) {
      gathering.add('doubtful', chunk, index);
      doubtful.add(base);
    } else if (bases.isInForce(base)) {
      gathering.add('third_party', chunk, index);
      least.inForceAt = Math.min(least.inForceAt, timeAt(chunk, index));
    } else if (unowned.certain(is.brokenReason(flags, false), flags) !== null) {
      broken.path_mismatch += 1;
      addMismatched(index);
    }
  }

  for (let index = 0; index < CHUNK_ROWS; index += 1) {
    const flags = flagsAt(chunk, index);
    if (flags === 0) continue;
    least.at = Math.min(least.at, timeAt(chunk, index));
    most.at = Math.max(most.at, timeAt(chunk, index));
    switch (flags & is.STORAGE_MASK) {
      case is.DB:
        addValue(index, flags);
        break;
      case is.S3:
        addReference(index, flags);
        break;
      default:
        rows.other += 1;
        bytes.other += sizeAt(chunk, index);
        if (is.hasBase(flags)) addInOtherStore(index, flags);
        else if ((flags & is.LOCAL) === 0) gathering.add('third_party', chunk, index);
        else if (is.isOnDisk(flags) && unowned.certain('disk', flags) !== null)
          gathering.add('local', chunk, index);
    }
  }
  return {
    chunk,
    ...sums,
    kinds: gathering.take(),
    bases: ids,
    based: based.take(),
    offloaded: offloaded.take(),
    mismatched,
    doubtful,
    writers,
    kept: kept.tell(),
    offloads: stepsOf(offloads),
    unlooked: unlooked.tell(),
    unowned: unowned.tell(),
    leaked,
  };
}

/** Computed anew each time: nothing could be subtracted again from a running sum. */
export function sumOf(tallies: readonly Tally[]): MutableSums {
  const sum = noSums();
  for (const { rows, bytes, broken, counts, least, most } of tallies) {
    for (const storage of STORAGES) {
      sum.rows[storage] += rows[storage];
      sum.bytes[storage] += bytes[storage];
    }
    for (const reason of is.BROKEN_REASONS) sum.broken[reason] += broken[reason];
    for (const name of COUNTS) sum.counts[name] += counts[name];
    for (const name of LEAST) sum.least[name] = Math.min(sum.least[name], least[name]);
    for (const name of MOST) sum.most[name] = Math.max(sum.most[name], most[name]);
  }
  return sum;
}

function noSums(): MutableSums {
  return {
    rows: all(STORAGES, 0),
    bytes: all(STORAGES, 0),
    broken: all(is.BROKEN_REASONS, 0),
    counts: all(COUNTS, 0),
    least: all(LEAST, Infinity),
    most: all(MOST, -Infinity),
  };
}

function all<Name extends string>(names: readonly Name[], value: number): Record<Name, number> {
  return Object.fromEntries(names.map((name) => [name, value])) as Record<Name, number>;
}
