import type { Pace } from '../lib/pace.ts';
import { createPace } from '../lib/pace.ts';
import { inKeyOrder } from '../s3/key-order.ts';
import type { Place } from './allowance.ts';
import { isSamePlace } from './allowance.ts';
import type { Location } from './locations.ts';
import type { PendingOfRun } from './pending.ts';
import type { KeyRange, Wanted } from './planner.ts';
import { PAGE_KEYS } from './planner.ts';

/** Lessons from the listings since the cycle began. */
export interface Lessons {
  /** Places that cannot be listed. */
  readonly unlistable: readonly Place[];
  /** Keys that no page reaches from the keys before, because too many other keys lie between. */
  readonly apart: ReadonlySet<string>;
}

/**
 * The ranges of keys that one listing may go along. Runs of one DAG whose ids begin alike (`scheduled__`, `manual__`)
 * and go on with a date lie side by side, in order of time. Everything between two runs of the window also belongs to
 * the window, so one page answers for many small runs. Between other runs, years of older runs may lie.
 */
export async function keyRangesOf<Item>(
  runs: readonly PendingOfRun<Item>[],
  { unlistable, apart }: Lessons,
): Promise<KeyRange<Item, Location>[]> {
  const pace = createPace();
  const ranges = new Map<string, PendingOfRun<Item>[]>();
  for (const run of runs) {
    if (pace.isDue()) await pace.rest();
    const { connection, bucket, folder } = run.location;
    const kind = /^[a-z_]+?__(?=\d{4}-)/.exec(run.runId)?.[0];
    const along = kind === undefined ? folder : folder.slice(0, -`${run.runId}/`.length) + kind;
    const name = JSON.stringify([connection, bucket, along]);
    const range = ranges.get(name);
    if (range === undefined) ranges.set(name, [run]);
    else range.push(run);
  }
  const found: KeyRange<Item, Location>[] = [];
  for (const range of ranges.values()) {
    const [first] = range;
    if (first === undefined || range.every(({ waiting }) => waiting.length === 0)) continue;
    const { location } = first;
    const listable = !unlistable.some((place) => isSamePlace(place, location));
    found.push({ location, listable, waiting: await rank(range, { apart, pace }) });
  }
  return found;
}

/** Gives every waiting key its rank among all keys that are believed to be in the range. */
async function rank<Item>(
  range: readonly PendingOfRun<Item>[],
  { apart, pace }: { readonly apart: ReadonlySet<string>; readonly pace: Pace },
): Promise<Wanted<Item>[]> {
  const ranked: Wanted<Item>[] = [];
  let before = 0;
  for (const run of inKeyOrder(range, ({ location }) => location.folder)) {
    if (pace.isDue()) await pace.rest();
    const { settled, waiting, others } = run;
    const known = (typeof settled === 'number' ? settled : settled.length) + waiting.length;
    if (waiting.length > 0) {
      const keys = inKeyOrder(
        [
          ...(typeof settled === 'number' ? [] : settled).map((key) => ({ key, wanted: null })),
          ...waiting.map((wanted) => ({ key: wanted.key, wanted })),
        ],
        ({ key }) => key,
      );
      const each = (known + others) / keys.length;
      keys.forEach(({ key, wanted }, index) => {
        if (apart.has(key)) before += PAGE_KEYS;
        if (wanted !== null) ranked.push({ ...wanted, rank: before + index * each });
      });
    }
    before += known + others;
  }
  return ranked;
}
