import type { Report } from '../diagnosis/report.ts';
import { STORAGES } from '../diagnosis/report.ts';
import type { Tried } from '../probe/bucket.ts';
import type { S3Operation } from '../s3/calls.ts';
import type { Storage } from '../window/flags.ts';

/**
 * The past for the plots of the page, in memory alone: a restart forgets it, a reload does not. It is a plain value: a
 * history that has been handed out does not change.
 */
export interface History {
  /** Oldest first, at most `KEPT`. */
  readonly cycles: readonly CyclePoint[];
  readonly probes: readonly ProbePoint[];
  /** Values by size, in slots of time so that old values are dropped. */
  readonly sizes: readonly SizeSlot[];
}

/** The window at the end of one cycle; null: not known. */
export interface CyclePoint {
  /** Epoch ms. */
  readonly at: number;
  readonly rows: Readonly<Record<Storage, number>> | null;
  readonly bytes: Readonly<Record<Storage, number | null>> | null;
}

export interface ProbePoint {
  /** Epoch ms. */
  readonly at: number;
  /** Seconds of each operation; null: the operation failed. An operation that was not tried is absent. */
  readonly seconds: Readonly<Partial<Record<S3Operation, number | null>>>;
}

interface SizeSlot {
  /** Epoch ms of its first cycle. */
  readonly from: number;
  readonly counts: SizeCounts;
}

/** How many values are below each bound of `SIZE_BOUNDS` and not below the one before; the last: the rest. */
export type SizeCounts = Readonly<Record<Storage, readonly number[]>>;

export const KEPT = 240;
/** Upper bounds in bytes. */
export const SIZE_BOUNDS: readonly number[] = Array.from({ length: 10 }, (_, i) => 4 ** (i + 4));
const SLOTS = 24;

export const NO_HISTORY: History = { cycles: [], probes: [], sizes: [] };

export function withCycle(history: History, report: Report): History {
  // While the database is away the report repeats earlier figures, which are not known to hold now.
  const window = report.databaseFailure === null ? report.window : null;
  const point = { at: report.at, rows: window?.rows ?? null, bytes: window?.bytes ?? null };
  return {
    ...history,
    cycles: [...history.cycles.slice(1 - KEPT), point],
    sizes: withSizes(history.sizes, report),
  };
}

/** `at`: epoch ms. */
export function withProbe(history: History, probe: Tried, at: number): History {
  const seconds = Object.fromEntries(
    probe.steps
      .filter((step) => step.ok !== null)
      .map((step) => [step.operation, step.ok ? step.seconds : null]),
  );
  return { ...history, probes: [...history.probes.slice(1 - KEPT), { at, seconds }] };
}

/** The sum of all slots, and since when they count; null: nothing was counted. */
export function sizesOf(history: History): { readonly since: number; readonly counts: SizeCounts } | null {
  const [first] = history.sizes;
  if (first === undefined) return null;
  const counts = history.sizes.reduce((sum, slot) => added(sum, slot.counts), NO_COUNTS);
  return { since: first.from, counts };
}

const NO_COUNTS: SizeCounts = { db: zeros(), s3: zeros(), other: zeros() };

function withSizes(slots: readonly SizeSlot[], report: Report): readonly SizeSlot[] {
  const counts = sizesIn(report);
  const windowMs = (report.window?.seconds ?? Infinity) * 1_000;
  const kept = slots.filter(({ from }) => from > report.at - windowMs).slice(1 - SLOTS);
  const last = kept.at(-1);
  if (last !== undefined && report.at - last.from < windowMs / SLOTS)
    return [...kept.slice(0, -1), { from: last.from, counts: added(last.counts, counts) }];
  return [...kept, { from: report.at, counts }];
}

function sizesIn({ increments }: Report): SizeCounts {
  const counts = { db: zeros(), s3: zeros(), other: zeros() };
  for (const increment of increments) {
    if (increment.metric !== 'value_bytes') continue;
    const bucket = SIZE_BOUNDS.findIndex((bound) => increment.bytes < bound);
    const storage = counts[increment.storage];
    const i = bucket === -1 ? SIZE_BOUNDS.length : bucket;
    storage[i] = (storage[i] ?? 0) + 1;
  }
  return counts;
}

function added(a: SizeCounts, b: SizeCounts): SizeCounts {
  const sum = (storage: Storage) => a[storage].map((count, i) => count + (b[storage][i] ?? 0));
  return Object.fromEntries(STORAGES.map((storage) => [storage, sum(storage)])) as Record<Storage, number[]>;
}

function zeros(): number[] {
  return Array.from({ length: SIZE_BOUNDS.length + 1 }, () => 0);
}
