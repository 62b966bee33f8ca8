/**
 * Plans how the waiting references are looked up: by one HEAD each, or by pages of LIST, which answer for all keys
 * between two keys. Pure: it knows about the bucket only what its arguments say.
 */

/** A reference that waits for a look. */
export interface Wanted<Item> {
  readonly item: Item;
  readonly key: string;
  /** How many keys of the range are believed to come before it. */
  readonly rank: number;
  /** When its row was written, epoch ms. */
  readonly at: number;
  /** S3 was asked before and gave no answer: such a reference never blocks one that was not asked about yet. */
  readonly asked: boolean;
}

/** References whose keys follow one another in a bucket, with few other keys between them: one LIST can cover them. */
export interface KeyRange<Item, Location> {
  readonly location: Location;
  /** False: S3 refuses to list here, or its listings do not help. */
  readonly listable: boolean;
  /** In the order of keys, and therefore of ranks. */
  readonly waiting: readonly Wanted<Item>[];
}

/** Each step is one request. */
export type Step<Item, Location> =
  | { readonly kind: 'head'; readonly location: Location; readonly item: Item }
  | {
      readonly kind: 'list';
      readonly location: Location;
      /** The common beginning of all the wanted keys. */
      readonly prefix: string;
      /** A key before the first wanted one, with hardly any key between. */
      readonly startAfter: string;
      /** The references that the page should answer for, in the order of keys. */
      readonly items: readonly Item[];
    };

export interface Plan<Item, Location> {
  /** In the best order for sending: wherever the plan is cut short, the newest and the oldest have had their share. */
  readonly steps: readonly Step<Item, Location>[];
  /** The references that the ceiling leaves for later. */
  readonly left: readonly Item[];
  /** US dollars. */
  readonly cost: number;
}

/**
 * US dollars for one request, at the price of S3 Standard. Thirteen HEADs cost more than one page, twelve cost less.
 */
export const HEAD_COST = 0.0004 / 1_000;
export const PAGE_COST = 0.005 / 1_000;
/** The most keys that one page of a LIST holds. */
export const PAGE_KEYS = 1_000;
/** Share of the requests under the ceiling that goes to the oldest first. */
const OLDEST_SHARE = 1 / 4;

/** Part of a range that one request covers. */
interface Unit<Item, Location> {
  readonly range: KeyRange<Item, Location>;
  readonly page: boolean;
  /** Indices into `waiting`, the last one exclusive. */
  readonly from: number;
  readonly to: number;
}

/**
 * The cheapest way to look at everything, when it fits under the ceiling. If not, the cheapest way that does fit: a
 * page replaces HEADs where that saves most requests for the money. If none fits, the way of fewest requests uses up
 * the ceiling, newest first. A share goes to the oldest, so that they do not wait for ever while new ones keep coming.
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

/** Units that cover every range, within the ceiling if that is possible. */
function cover<Item, Location>(
  ranges: readonly KeyRange<Item, Location>[],
  ceiling: number,
): Unit<Item, Location>[] {
  const all = (surcharge: number) => ranges.flatMap((range) => unitsOf(range, surcharge));
  const cheapest = all(0);
  if (cheapest.length <= ceiling) return cheapest;
  const countOf = (surcharge: number) =>
    ranges.reduce((sum, range) => sum + cheapestUnits(range, surcharge).count, 0);
  // A surcharge on every request makes pages cheaper by comparison. Above this surcharge the result no longer changes.
  let enough = PAGE_COST * PAGE_KEYS;
  let fitting = countOf(enough);
  if (fitting >= ceiling) return all(enough);
  let tooLittle = 0;
  for (let round = 0; round < 24 && fitting < ceiling; round += 1) {
    const middle = (tooLittle + enough) / 2;
    const count = countOf(middle);
    if (count > ceiling) tooLittle = middle;
    else [enough, fitting] = [middle, count];
  }
  return spend(all(enough), ceiling - fitting);
}

/** Turns pages back into HEADs where HEADs are cheaper, with the requests left under the ceiling. */
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

/** How a range is covered. Numbers alone, because a plan tries some two dozen surcharges. */
interface Covered {
  readonly count: number;
  /** For each reference, the index at which the unit that ends with it begins. */
  readonly begin: Int32Array;
  /** For each reference, 1 when that unit is a page. */
  readonly isPage: Uint8Array;
}

/**
 * The cheapest units for one range when each request costs a surcharge. For every reference it takes the least total
 * cost up to and including that reference. The reference's own request is a HEAD, or a page that begins earlier and
 * ends with it.
 */
function cheapestUnits<Item, Location>(
  { waiting, listable }: KeyRange<Item, Location>,
  surcharge: number,
): Covered {
  const size = waiting.length;
  const head = HEAD_COST + surcharge;
  const page = listable ? PAGE_COST + surcharge : Infinity;
  const cost = new Float64Array(size + 1);
  const begin = new Int32Array(size);
  const isPage = new Uint8Array(size);
  /** The first reference that fits on a page ending at the current one: no later start is cheaper. */
  let first = 0;
  for (let index = 0; index < size; index += 1) {
    const rank = waiting[index]?.rank ?? 0;
    const before = cost[index] ?? 0;
    while (rank - (waiting[first]?.rank ?? 0) >= PAGE_KEYS) first += 1;
    const byPage = (cost[first] ?? 0) + page;
    const byHead = before + head;
    cost[index + 1] = Math.min(byPage, byHead);
    isPage[index] = byPage < byHead ? 1 : 0;
    begin[index] = byPage < byHead ? first : index;
  }
  let count = 0;
  for (let to = size; to > 0; to = begin[to - 1] ?? 0) count += 1;
  return { count, begin, isPage };
}

/** The last units first. */
function unitsOf<Item, Location>(range: KeyRange<Item, Location>, surcharge: number): Unit<Item, Location>[] {
  const { count, begin, isPage } = cheapestUnits(range, surcharge);
  const units: Unit<Item, Location>[] = [];
  for (let to = range.waiting.length; units.length < count;) {
    const from = begin[to - 1] ?? 0;
    units.push({ range, page: isPage[to - 1] === 1, from, to });
    to = from;
  }
  return units;
}

/**
 * Newest first, with the oldest of the rest at even intervals, so that they get their share of the ceiling. In both,
 * those that S3 gave no answer about come last, so that they do not stand before the others in each cycle.
 */
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
  const newestFirst = [...dated].sort((a, b) => Number(a.asked) - Number(b.asked) || b.newest - a.newest);
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

/** The common prefix of two ordered keys: all keys between them begin with it as well. */
function commonPrefix(first: string, last: string): string {
  let length = 0;
  while (length < first.length && first.charCodeAt(length) === last.charCodeAt(length)) length += 1;
  // Half of a surrogate pair is no character.
  if (/[\uD800-\uDBFF]$/.test(first.slice(0, length))) length -= 1;
  return first.slice(0, length);
}
