import { createPace } from './lib/pace.ts';
import type { Place } from './place.ts';
import type { Lane, Waiting } from './planner.ts';
import { PAGE_KEYS } from './planner.ts';

/** What one run has in one place. */
export interface Objects<Item> {
  readonly place: Place;
  readonly runId: string;
  readonly waiting: readonly Omit<Waiting<Item>, 'rank'>[];
  /** Keys that are known and need no look, or how many: then they are taken to be spread evenly. */
  readonly settled: readonly string[] | number;
  /** Keys believed to be there besides, such as those of rows older than the window. */
  readonly others: number;
}

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
export async function lanesOf<Item>(
  runs: readonly Objects<Item>[],
  { unlistable, apart }: Lessons,
): Promise<Lane<Item, Place>[]> {
  const pace = createPace();
  const lanes = new Map<string, Objects<Item>[]>();
  for (const run of runs) {
    const { connection, bucket, prefix } = run.place;
    const kind = /^[a-z_]+?__(?=\d{4}-)/.exec(run.runId)?.[0];
    const along = kind === undefined ? prefix : prefix.slice(0, -`${run.runId}/`.length) + kind;
    const name = JSON.stringify([connection, bucket, along]);
    const lane = lanes.get(name);
    if (lane === undefined) lanes.set(name, [run]);
    else lane.push(run);
  }
  const found: Lane<Item, Place>[] = [];
  for (const lane of lanes.values()) {
    const [first] = lane;
    if (first === undefined || lane.every(({ waiting }) => waiting.length === 0)) continue;
    const { connection, bucket } = first.place;
    const listable = !unlistable.has(`${connection}/${bucket}`);
    found.push({ place: first.place, listable, waiting: rank(lane, apart) });
    await pace.rest();
  }
  return found;
}

/** Gives every key that waits its place among all that are believed to be in the lane. */
function rank<Item>(lane: readonly Objects<Item>[], apart: ReadonlySet<string>): Waiting<Item>[] {
  const ranked: Waiting<Item>[] = [];
  let before = 0;
  for (const run of inKeyOrder(lane, ({ place }) => place.prefix)) {
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

const SURROGATE = /[\uD800-\uDFFF]/;

/** As S3 sorts: by the bytes of UTF-8. */
export function compareKeys(a: string, b: string): number {
  return SURROGATE.test(a) || SURROGATE.test(b) ? compareBytes(a, b) : compareUnits(a, b);
}

/** Where no character is outside the basic plane, the order of UTF-16 is the same: to look once a key is enough. */
function inKeyOrder<Item>(items: readonly Item[], keyOf: (item: Item) => string): Item[] {
  const compare = items.some((item) => SURROGATE.test(keyOf(item))) ? compareBytes : compareUnits;
  return items.toSorted((a, b) => compare(keyOf(a), keyOf(b)));
}

function compareUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
