import type { Pace } from '../lib/pace.ts';
import type { Bases } from '../window/bases.ts';
import { CHUNK_ROWS } from '../window/columns.ts';
import * as is from '../window/flags.ts';
import { baseAt, flagsAt, leastBytesAt, sizeAt, timeAt } from '../window/row-fields.ts';
import type { RowStore } from '../window/row-store.ts';
import type { Histories } from './worker-histories.ts';
import { gatherKept, historiesOf, SLACK_MS } from './worker-histories.ts';

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
  /** A value of a task that has so many bytes and is in the database was kept there. */
  readonly large: number;
  /** What the order of values says of the workers that kept some that belong into object storage. */
  readonly histories: Histories;
}

const MINUTE = 60_000;
const SLACK_MINUTES = SLACK_MS / MINUTE;

export async function offloadingOf(
  store: Pick<RowStore, 'chunks' | 'names' | 'workers'>,
  options: {
    readonly bases: Pick<Bases, 'isUncompressed' | 'isDoubtful'>;
    /** Null: not known. A reference whose size is not known is taken to be as large as that. */
    readonly threshold: number | null;
    readonly oversize: number;
    readonly pace: Pace;
  },
): Promise<Offloading> {
  const { bases, threshold, oversize, pace } = options;
  const unmeasured = threshold === null || threshold < 0 ? Infinity : threshold;
  const byMinute = new Map<number, number>();
  const kept = gatherKept(store);
  const large = Math.max(oversize, threshold ?? 0);
  let smallest = Infinity;
  let latest = -Infinity;
  for (const chunk of store.chunks) {
    for (let index = 0; index < CHUNK_ROWS; index += 1) {
      const flags = flagsAt(chunk, index);
      const moment = timeAt(chunk, index);
      const least = leastBytesAt(chunk, index);
      if ((flags & is.BY_DESIGN_MASK) === 0 && is.isOversizeRow(flags, least, large)) kept.add(chunk, index);
      if (!is.isReference(flags) || bases.isDoubtful(baseAt(chunk, index))) continue;
      latest = Math.max(latest, moment);
      const isMeasured = is.hasObject(flags) && bases.isUncompressed(baseAt(chunk, index));
      const size = isMeasured ? sizeAt(chunk, index) : unmeasured;
      if (isMeasured) smallest = Math.min(smallest, size);
      const minute = Math.floor(moment / MINUTE);
      byMinute.set(minute, Math.min(byMinute.get(minute) ?? Infinity, size));
    }
    await pace.rest();
  }
  return {
    latest: latest === -Infinity ? null : latest,
    smallest,
    smallestBy: smallestByMinute(byMinute),
    large,
    histories: await historiesOf(store, kept.tell(), { bases, pace }),
  };
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
