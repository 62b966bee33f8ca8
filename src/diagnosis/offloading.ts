import type { Pace } from '../lib/pace.ts';
import type { Bases } from '../window/bases.ts';
import { CHUNK_ROWS } from '../window/columns.ts';
import * as is from '../window/flags.ts';
import { baseAt, flagsAt, leastBytesAt, sizeAt, timeAt, workerAt } from '../window/row-fields.ts';
import type { RowStore } from '../window/row-store.ts';

/** What the references of the window tell of the threshold that workers use, and from when on. */
export interface Offloading {
  /** When the latest reference was written, epoch ms; null: there is none. */
  readonly latest: number | null;
  /** The smallest object whose size is the one that Airflow measured; Infinity: no such size is known. */
  readonly smallest: number;
  /**
   * The smallest value that is known to have gone to object storage by a moment: one as large that was written later
   * and is in the database went past the backend, and one that was written before may be older than the setting.
   */
  readonly smallestBy: (at: number) => number;
  /**
   * Numbers of workers whose threshold was lowered: each has put a smaller value into object storage than the largest it
   * kept, for the first time after the last that it kept. What such a worker kept is no fault of today.
   */
  readonly lowered: ReadonlySet<number>;
}

const MINUTE = 60_000;
/** Writers have clocks of their own, and tasks of one moment end in any order. */
const SLACK_MINUTES = 2;

export async function offloadingOf(
  { chunks }: Pick<RowStore, 'chunks'>,
  options: {
    readonly bases: Pick<Bases, 'isUncompressed' | 'isDoubtful'>;
    /** Null: not known. A reference whose size is not known is taken to be as large as that. */
    readonly threshold: number | null;
    /** A value of a task that has so many bytes and is in the database was kept. */
    readonly oversize: number;
    readonly pace: Pace;
  },
): Promise<Offloading> {
  const { bases, threshold, oversize, pace } = options;
  const unmeasured = threshold === null || threshold < 0 ? Infinity : threshold;
  const byMinute = new Map<number, number>();
  const kept = new Map<number, { largest: number; latest: number }>();
  const put = new Map<number, { smallest: number; first: number }>();
  let smallest = Infinity;
  let latest = -Infinity;
  for (const chunk of chunks) {
    for (let index = 0; index < CHUNK_ROWS; index += 1) {
      const flags = flagsAt(chunk, index);
      const moment = timeAt(chunk, index);
      const worker = workerAt(chunk, index);
      const least = leastBytesAt(chunk, index);
      if ((flags & is.BY_DESIGN_MASK) === 0 && is.isOversizeRow(flags, least, oversize)) {
        const before = kept.get(worker) ?? { largest: 0, latest: -Infinity };
        kept.set(worker, {
          largest: Math.max(before.largest, least),
          latest: Math.max(before.latest, moment),
        });
      }
      if (!is.isReference(flags) || bases.isDoubtful(baseAt(chunk, index))) continue;
      latest = Math.max(latest, moment);
      const isMeasured = is.hasObject(flags) && bases.isUncompressed(baseAt(chunk, index));
      const size = isMeasured ? sizeAt(chunk, index) : unmeasured;
      if (isMeasured) {
        smallest = Math.min(smallest, size);
        const before = put.get(worker) ?? { smallest: Infinity, first: Infinity };
        if (size < before.smallest) put.set(worker, { smallest: size, first: moment });
        else if (size === before.smallest) before.first = Math.min(before.first, moment);
      }
      const minute = Math.floor(moment / MINUTE);
      byMinute.set(minute, Math.min(byMinute.get(minute) ?? Infinity, size));
    }
    await pace.rest();
  }
  return {
    latest: latest === -Infinity ? null : latest,
    smallest,
    smallestBy: smallestByMinute(byMinute),
    lowered: new Set(
      [...kept].filter(([worker, was]) => isLowered(was, put.get(worker))).map(([worker]) => worker),
    ),
  };
}

function isLowered(
  kept: { readonly largest: number; readonly latest: number },
  put: { readonly smallest: number; readonly first: number } | undefined,
): boolean {
  return put !== undefined && put.smallest <= kept.largest && put.first > kept.latest;
}

function smallestByMinute(byMinute: ReadonlyMap<number, number>): Offloading['smallestBy'] {
  const steps: { minute: number; smallest: number }[] = [];
  let smallest = Infinity;
  for (const [minute, size] of [...byMinute].sort(([a], [b]) => a - b)) {
    if (size >= smallest) continue;
    smallest = size;
    steps.push({ minute, smallest });
  }
  return (at) => {
    const minute = Math.floor(at / MINUTE) + SLACK_MINUTES;
    return steps.findLast((step) => step.minute <= minute)?.smallest ?? Infinity;
  };
}
