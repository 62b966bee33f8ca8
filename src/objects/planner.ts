/**
 * How the references that wait are looked up: by HEAD, one each, or by pages of LIST, which answer for all that
 * lies between two keys. Pure: what it knows of the bucket is what it is told.
 */

/** One reference that waits for a look. */
export interface Wanted<Item> {
  readonly item: Item;
  readonly key: string;
  /** How many keys of the range are believed to come before it. */
  readonly rank: number;
  /** When its row was written, epoch ms. */
  readonly at: number;
  /** It was asked for before and S3 gave no answer: never in the way of what was not asked yet. */
  readonly asked: boolean;
}

/** References whose keys follow one another in a bucket, with few others among them: what one LIST can go along. */
export interface KeyRange<Item, Location> {
  readonly location: Location;
  /** False: S3 refuses to list here, or its listings do not help. */
  readonly listable: boolean;
  /** In the order of keys, hence of ranks. */
  readonly waiting: readonly Wanted<Item>[];
}

/** One request each. */
export type Step<Item, Location> =
  | { readonly kind: 'head'; readonly location: Location; readonly item: Item }
  | {
      readonly kind: 'list';
      readonly location: Location;
      /** What all the keys wanted begin with. */
      readonly prefix: string;
      /** A key before the first one wanted, with hardly any between. */
      readonly startAfter: string;
      /** What the page should answer for, in the order of keys. */
      readonly items: readonly Item[];
    };

export interface Plan<Item, Location> {
  /** In the order in which they are best sent: whatever cuts them short, newest and oldest have had their share. */
  readonly steps: readonly Step<Item, Location>[];
  /** What the ceiling leaves for later. */
  readonly left: readonly Item[];
  /** US dollars. */
  readonly cost: number;
}

/** US dollars a request: the price of S3 Standard. Thirteen HEADs are dearer than one page, and twelve are not. */
export const HEAD_COST = 0.0004 / 1_000;
export const PAGE_COST = 0.005 / 1_000;
/** Keys on one page of a LIST at most. */
export const PAGE_KEYS = 1_000;
/** Of the requests under the ceiling, those that go to the oldest first. */
const OLDEST_SHARE = 1 / 4;

/** Part of a range that one request answers for. */
interface Unit<Item, Location> {
  readonly range: KeyRange<Item, Location>;
  readonly page: boolean;
  /** Indices into `waiting`, the last one exclusive. */
  readonly from: number;
  readonly to: number;
}

/**
 * The cheapest way to look at everything, when it fits under the ceiling. If not, the cheapest that does: a page
 * takes the place of HEADs where that saves most requests for the money. If nothing does, the ceiling is used up
 * with the way of fewest requests, newest first, but for a share that goes to the oldest: what waits must not
 * wait for ever because new ones keep coming.
 */
export function plan<Item, Location>(
  ranges: readonly KeyRange<Item, Location>[],
  ceiling: number,
): Plan<Item, Location> {
  if (ceiling < 1) return { steps: [], left: ranges.flatMap(({ waiting }) => waiting.map(itemOf)), cost: 0 };
  const units = cover(ranges, ceiling);
  const ordered = inTurn(units, ceiling);
  const chosen = ordered.slice(0, ceiling);
  return {
    steps: chosen.map(stepOf),
    left: ordered.slice(ceiling).flatMap((unit) => waitingOf(unit).map(itemOf)),
    cost: chosen.reduce((sum, unit) => sum + costOf(unit), 0),
  };
}

/** Units that answer for every range, no more of them than the ceiling if there is such a way. */
function cover<Item, Location>(
  ranges: readonly KeyRange<Item, Location>[],
  ceiling: number,
): Unit<Item, Location>[] {
  const all = (surcharge: number) => ranges.flatMap((range) => coverRange(range, surcharge));
  const cheapest = all(0);
  if (cheapest.length <= ceiling) return cheapest;
  // A surcharge on every request makes pages cheaper by comparison. Above this one nothing changes any more.
  let enough = PAGE_COST * PAGE_KEYS;
  let fitting = all(enough);
  if (fitting.length >= ceiling) return fitting;
  let tooLittle = 0;
  for (let round = 0; round < 24 && fitting.length < ceiling; round += 1) {
    const middle = (tooLittle + enough) / 2;
    const units = all(middle);
    if (units.length > ceiling) tooLittle = middle;
    else [enough, fitting] = [middle, units];
  }
  return spend(fitting, ceiling - fitting.length);
}

/** Requests that are left over under the ceiling turn pages back into HEADs where those are cheaper. */
function spend<Item, Location>(
  units: readonly Unit<Item, Location>[],
  requests: number,
): Unit<Item, Location>[] {
  const saving = (unit: Unit<Item, Location>) => costOf(unit) - (unit.to - unit.from) * HEAD_COST;
  const worth = units
    .filter((unit) => unit.page && unit.to - unit.from > 1 && saving(unit) > 0)
    .sort((a, b) => saving(b) / (b.to - b.from - 1) - saving(a) / (a.to - a.from - 1));
  const split = new Set<Unit<Item, Location>>();
  let left = requests;
  for (const unit of worth) {
    const extra = unit.to - unit.from - 1;
    if (extra > left) continue;
    left -= extra;
    split.add(unit);
  }
  return units.flatMap((unit) => (split.has(unit) ? headsOf(unit) : [unit]));
}

/**
 * The cheapest units for one range when each request costs so much more: for every reference the least that it and
 * all before it cost, its own request being a HEAD or the page that ends with it and begins with another one.
 */
function coverRange<Item, Location>(
  range: KeyRange<Item, Location>,
  surcharge: number,
): Unit<Item, Location>[] {
  const { waiting, listable } = range;
  const count = waiting.length;
  const head = HEAD_COST + surcharge;
  const page = PAGE_COST + surcharge;
  if (!listable) return headsOf({ range, page: false, from: 0, to: count });
  const cost = new Float64Array(count + 1);
  /** Where the request begins that answers for the reference; itself for a HEAD. */
  const begin = new Int32Array(count);
  const isPage = new Uint8Array(count);
  /** The first reference that a page which ends at this one can hold: no later beginning is cheaper. */
  let first = 0;
  for (let index = 0; index < count; index += 1) {
    const rank = waiting[index]?.rank ?? 0;
    const before = cost[index] ?? 0;
    while (rank - (waiting[first]?.rank ?? 0) >= PAGE_KEYS) first += 1;
    const byPage = (cost[first] ?? 0) + page;
    const byHead = before + head;
    cost[index + 1] = Math.min(byPage, byHead);
    isPage[index] = byPage < byHead ? 1 : 0;
    begin[index] = byPage < byHead ? first : index;
  }
  const units: Unit<Item, Location>[] = [];
  for (let to = count; to > 0;) {
    const from = begin[to - 1] ?? 0;
    units.push({ range, page: isPage[to - 1] === 1, from, to });
    to = from;
  }
  return units;
}

/** Newest first, and at even distances the oldest of the rest, so that they get their share of the ceiling. */
function inTurn<Item, Location>(
  units: readonly Unit<Item, Location>[],
  ceiling: number,
): Unit<Item, Location>[] {
  const dated = units.map((unit) => {
    const waiting = waitingOf(unit);
    return {
      unit,
      newest: waiting.reduce((most, { at }) => Math.max(most, at), -Infinity),
      oldest: waiting.reduce((least, { at }) => Math.min(least, at), Infinity),
      asked: waiting.every(({ asked }) => asked),
    };
  });
  const newestFirst = [...dated].sort((a, b) => b.newest - a.newest);
  if (units.length <= ceiling) return newestFirst.map(({ unit }) => unit);
  const oldestFirst = [...dated].sort((a, b) => Number(a.asked) - Number(b.asked) || a.oldest - b.oldest);
  const every = Math.max(1, Math.floor(ceiling / Math.max(1, Math.floor(ceiling * OLDEST_SHARE))));
  const taken = new Set<Unit<Item, Location>>();
  const queues = { newest: newestFirst.values(), oldest: oldestFirst.values() };
  while (taken.size < units.length) {
    const queue = (taken.size + 1) % every === 0 ? queues.oldest : queues.newest;
    for (let next = queue.next(); next.done !== true; next = queue.next()) {
      if (taken.has(next.value.unit)) continue;
      taken.add(next.value.unit);
      break;
    }
  }
  return [...taken];
}

function waitingOf<Item, Location>({ range, from, to }: Unit<Item, Location>): readonly Wanted<Item>[] {
  return range.waiting.slice(from, to);
}

function itemOf<Item>({ item }: Wanted<Item>): Item {
  return item;
}

function headsOf<Item, Location>({ range, from, to }: Unit<Item, Location>): Unit<Item, Location>[] {
  return range.waiting
    .slice(from, to)
    .map((_, index) => ({ range, page: false, from: from + index, to: from + index + 1 }));
}

function costOf<Item, Location>(unit: Unit<Item, Location>): number {
  return unit.page ? PAGE_COST : HEAD_COST;
}

function stepOf<Item, Location>(unit: Unit<Item, Location>): Step<Item, Location> {
  const { location } = unit.range;
  const waiting = waitingOf(unit);
  const [first] = waiting;
  const last = waiting.at(-1);
  if (first === undefined || last === undefined) throw new Error('A request that answers for nothing');
  if (!unit.page) return { kind: 'head', location, item: first.item };
  return {
    kind: 'list',
    location: location,
    prefix: commonPrefix(first.key, last.key),
    startAfter: first.key.slice(0, -1),
    items: waiting.map(itemOf),
  };
}

/** Of two keys in order: all keys between them begin with it as well. */
function commonPrefix(first: string, last: string): string {
  let length = 0;
  while (length < first.length && first.charCodeAt(length) === last.charCodeAt(length)) length += 1;
  // Half a character is none.
  if (/[\uD800-\uDBFF]$/.test(first.slice(0, length))) length -= 1;
  return first.slice(0, length);
}
