import { createPace } from '../lib/pace.ts';
import { inKeyOrder } from '../s3/key-order.ts';
import type { Location } from './locations.ts';
import type { PendingOfRun } from './pending.ts';
import type { KeyRange, Wanted } from './planner.ts';
import { PAGE_KEYS } from './planner.ts';

/** What listings have taught since the cycle began. */
export interface Lessons {
  /** Buckets, as `connection/bucket`, that do not list. */
  readonly unlistable: ReadonlySet<string>;
  /** Keys before which so many others lie that no page goes on to them from what comes before. */
  readonly apart: ReadonlySet<string>;
}

/**
 * What a plan may go along in one listing. Runs of one dag whose ids begin alike (`scheduled__`, `manual__`) and go
 * on with their date lie side by side, in the order of time, and what is between two of the window is of the
 * window too: one page answers for many small ones. Between any others may lie years of older runs.
 */
export async function keyRangesOf<Item>(
  runs: readonly PendingOfRun<Item>[],
  { unlistable, apart }: Lessons,
): Promise<KeyRange<Item, Location>[]> {
  const pace = createPace();
  const ranges = new Map<string, PendingOfRun<Item>[]>();
  for (const run of runs) {
    if (pace.isDue()) await pace.rest();
    const { connection, bucket, prefix } = run.location;
    const kind = /^[a-z_]+?__(?=\d{4}-)/.exec(run.runId)?.[0];
    const along = kind === undefined ? prefix : prefix.slice(0, -`${run.runId}/`.length) + kind;
    const name = JSON.stringify([connection, bucket, along]);
    const range = ranges.get(name);
    if (range === undefined) ranges.set(name, [run]);
    else range.push(run);
  }
  const found: KeyRange<Item, Location>[] = [];
  for (const range of ranges.values()) {
    const [first] = range;
    if (first === undefined || range.every(({ waiting }) => waiting.length === 0)) continue;
    const { connection, bucket } = first.location;
    const listable = !unlistable.has(`${connection}/${bucket}`);
    found.push({ location: first.location, listable, waiting: rank(range, apart) });
    await pace.rest();
  }
  return found;
}

/** Gives every key that waits its place among all that are believed to be in the range. */
function rank<Item>(range: readonly PendingOfRun<Item>[], apart: ReadonlySet<string>): Wanted<Item>[] {
  const ranked: Wanted<Item>[] = [];
  let before = 0;
  for (const run of inKeyOrder(range, ({ location }) => location.prefix)) {
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
