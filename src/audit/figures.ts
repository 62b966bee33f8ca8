import type { Duck } from './duck.ts';
import { below, dagOf } from './key-sql.ts';
import { NOT_TOLD } from './inventory.ts';
import type { Base } from './named-object.ts';
import { monthlyDollars } from './prices.ts';

/** A number of objects, with their size and their price. */
export interface Amount {
  readonly objects: number;
  readonly bytes: number;
  /** Dollars a month at list prices; null when prices are not known. */
  readonly dollars: number | null;
}

export interface ByClass extends Amount {
  readonly storageClass: string;
}
export interface ByDag {
  readonly dag: string;
  readonly all: Amount;
  readonly orphaned: Amount;
}
export interface ByMonth {
  readonly month: string;
  readonly all: Amount;
  readonly orphaned: Amount;
}

export interface References {
  /** Rows that Airflow reads, and rows of state stores, whose object is there and can be read. */
  readonly live: number;
  /** The object is not in the listing, and no second look found the object or showed that the row is gone. */
  readonly absent: number;
  /** The rows are so young that an inventory may lack their objects. */
  readonly young: number;
  /** The object has to be restored from an archive before it can be read. */
  readonly unreadable: readonly { readonly storageClass: string; readonly references: number }[];
  /** The object is or may be in an archive class, and storage did not say whether it can be read. */
  readonly unsure: number;
  /** The connection is not known, or leads to another server than the one where the place was listed. */
  readonly unjudged: number;
  /** The object is or may be there, as nobody asked for it or got an answer, but not in the listing: its age is not known. */
  readonly undated: number;
  /** The object is in a place that was not listed. */
  readonly outside: number;
  /** Rows of archives, which name objects too. */
  readonly archived: number;
  /** Rows with a path that is not their own. */
  readonly foreign: number;
}

export interface Figures {
  readonly references: References;
  readonly objects: {
    readonly all: Amount;
    readonly named: Amount;
    readonly orphaned: Amount;
    readonly deletable: Amount;
    readonly young: Amount;
    readonly other: Amount;
  };
  readonly byClass: readonly (ByClass & { readonly orphaned: Amount })[];
  readonly byDag: readonly ByDag[];
  readonly byMonth: readonly ByMonth[];
  readonly oldest: Oldest | null;
  /** The places with the most references of which it is not known whether their objects are there. */
  readonly undecided: readonly Undecided[];
}

/** References that the listing could not decide, by the bucket and first folder in their paths. */
export interface Undecided {
  readonly place: string;
  /** `outside`: the place was not listed. `young`: the rows are too young for the inventory. `unsure`: as in References. */
  readonly why: 'outside' | 'young' | 'unsure';
  readonly references: number;
}

/** The oldest object that something names. */
export interface Oldest {
  readonly location: string;
  readonly at: number;
  readonly kind: string;
  readonly source: string;
}

const MOST_DAGS = 1_000;
const MOST_PLACES = 20;
const HOUR_MS = 3_600_000;

export async function figuresOf(
  duck: Duck,
  options: { places: readonly Base[]; bases: readonly Base[]; isApart: string; hasPrices: boolean },
): Promise<Figures> {
  const { places, bases, hasPrices } = options;
  const dollars = hasPrices ? sumOfAll(monthlyDollars('bytes', 'class')) : 'NULL::DOUBLE';
  const sums = `count(*)::DOUBLE AS objects, coalesce(sum(bytes), 0)::DOUBLE AS bytes, ${dollars} AS dollars`;

  const month = `date_trunc('month', make_timestamp_ms(at_ms::BIGINT))`;
  // Each side is read once; the figures below are sums of these tables.
  await duck.run(`CREATE OR REPLACE TABLE amounts AS
    SELECT class, ${month} AS month, ${dagOf(bases)} AS dag, ${sums} FROM objects GROUP BY ALL`);
  await duck.run(`CREATE OR REPLACE TABLE unnamed_amounts AS
    SELECT verdict, ${sums} FROM unnamed GROUP BY ALL`);
  await duck.run(`CREATE OR REPLACE TABLE orphan_amounts AS
    SELECT class, ${month} AS month, dag, held, ${sums} FROM orphans GROUP BY ALL`);

  async function summed(table: string, by: string): Promise<Map<string, Amount>> {
    const rows = await duck.run<Amount & { name: string }>(
      `SELECT name, objects, bytes, round(dollars, 6) AS dollars
       FROM (SELECT ${by} AS name, sum(objects) AS objects, sum(bytes) AS bytes, ${sumOfAll('dollars')} AS dollars
             FROM ${table} GROUP BY 1) ORDER BY bytes DESC, name`,
    );
    return new Map(rows.map(({ name, ...amount }) => [name, amount]));
  }
  const monthName = `strftime(month, '%Y-%m')`;
  const [classes, orphanClasses, months, orphanMonths, dags, orphanDags] = [
    await summed('amounts', 'class'),
    await summed('orphan_amounts', 'class'),
    await summed('amounts', monthName),
    await summed('orphan_amounts', monthName),
    await summed('amounts', 'dag'),
    await summed('orphan_amounts', 'dag'),
  ];
  const verdicts = await summed('unnamed_amounts', 'verdict');
  const holds = await summed('orphan_amounts', 'held');
  const zero: Amount = { objects: 0, bytes: 0, dollars: hasPrices ? 0 : null };
  const all = total([zero, ...classes.values()]);
  const orphaned = verdicts.get('orphaned') ?? zero;
  const young = verdicts.get('young') ?? zero;
  const other = verdicts.get('other') ?? zero;
  return {
    references: unlessNotTold(await referencesOf(duck, options), classes),
    objects: {
      all,
      named: less(all, [orphaned, young, other]),
      orphaned,
      deletable: holds.get('') ?? zero,
      young,
      other,
    },
    byClass: [...classes].map(([storageClass, amount]) => ({
      storageClass,
      ...amount,
      orphaned: orphanClasses.get(storageClass) ?? zero,
    })),
    byDag: [...dags]
      .map(([name, amount]) => ({ dag: name, all: amount, orphaned: orphanDags.get(name) ?? zero }))
      .slice(0, MOST_DAGS),
    byMonth: [...months]
      .map(([name, amount]) => ({ month: name, all: amount, orphaned: orphanMonths.get(name) ?? zero }))
      .sort((a, b) => (a.month < b.month ? -1 : 1)),
    oldest: await oldestOf(duck),
    undecided: await undecidedOf(duck, places),
  };
}

/** The sum, or NULL where a part of it is not known: SQL's own sum leaves such a part out. */
function sumOfAll(column: string): string {
  return `CASE WHEN count(*) = count(${column}) THEN sum(${column}) END`;
}

async function referencesOf(
  duck: Duck,
  { places, isApart }: { places: readonly Base[]; isApart: string },
): Promise<References> {
  const [named] = await duck.run<Record<'judged' | 'unjudged' | 'outside' | 'archived' | 'foreign', number>>(
    `SELECT (count(*) FILTER (WHERE own AND here AND NOT apart))::DOUBLE AS judged,
      (count(*) FILTER (WHERE own AND here AND apart))::DOUBLE AS unjudged, (count(*) FILTER (WHERE own AND NOT here))::DOUBLE AS outside,
      (count(*) FILTER (WHERE kind = 'archive'))::DOUBLE AS archived, (count(*) FILTER (WHERE kind = 'foreign'))::DOUBLE AS "foreign"
     FROM (SELECT kind, kind IN ('row', 'state') AS own, ${below(places)} AS here, ${isApart} AS apart FROM named)`,
  );
  const absent = await duck.run<{ verdict: string; n: number }>(
    `SELECT verdict, count(*)::DOUBLE AS n FROM absent WHERE verdict <> 'unjudged' GROUP BY 1`,
  );
  const cold = await duck.run<{ verdict: string; storageClass: string; references: number }>(
    `SELECT verdict, class AS "storageClass", count(*)::DOUBLE AS "references" FROM unreadable
     WHERE verdict IN ('unreadable', 'unsure', 'vanished') GROUP BY ALL ORDER BY ALL`,
  );
  const count = (...some: readonly string[]) =>
    sum(absent.filter(({ verdict }) => some.includes(verdict)).map(({ n }) => n));
  const { judged = 0, unjudged = 0, outside = 0, archived = 0, foreign = 0 } = named ?? {};
  const all = sum(absent.map(({ n }) => n));
  const found = count('present', 'overlooked');
  const ofVerdict = (one: string) => cold.filter(({ verdict }) => verdict === one);
  return {
    live: judged - all + found - sum(cold.map(({ references }) => references)),
    absent: all - found - count('young', 'vanished'),
    young: count('young'),
    unreadable: ofVerdict('unreadable').map(({ storageClass, references }) => ({ storageClass, references })),
    unsure: sum(ofVerdict('unsure').map(({ references }) => references)),
    unjudged,
    undated: count('overlooked', 'unanswered', 'unsure', 'unasked'),
    outside,
    archived,
    foreign,
  };
}

/** Without the classes of objects, it is not known which of them are in an archive. */
function unlessNotTold(references: References, classes: ReadonlyMap<string, unknown>): References {
  if (!classes.has(NOT_TOLD)) return references;
  return { ...references, live: 0, unsure: references.unsure + references.live };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((left, right) => left + right, 0);
}

async function undecidedOf(duck: Duck, places: readonly Base[]): Promise<readonly Undecided[]> {
  // The ARN of an access point has a slash, which belongs to the bucket.
  const place = `concat('s3://', regexp_extract(location, '^(arn:[^/]*/)?[^/]*/([^/]+/)?'))`;
  return duck.run<Undecided>(
    `SELECT ${place} AS place, why, count(*)::DOUBLE AS "references" FROM (
       SELECT location, 'outside' AS why FROM named WHERE kind IN ('row', 'state') AND NOT ${below(places)}
       UNION ALL SELECT location, 'young' FROM absent WHERE verdict = 'young'
       UNION ALL SELECT location, 'unsure' FROM unreadable WHERE verdict = 'unsure')
     GROUP BY ALL ORDER BY "references" DESC, place, why LIMIT ${MOST_PLACES}`,
  );
}

/**
 * Looks only at the first hour that has more objects than unnamed objects: comparing all objects again would take as
 * long as before.
 */
async function oldestOf(duck: Duck): Promise<Oldest | null> {
  const hour = `floor(at_ms / ${HOUR_MS})`;
  const [first] = await duck.run<{ hour: number }>(
    `SELECT hour FROM (SELECT ${hour} AS hour, count(*) AS n FROM objects GROUP BY 1
       UNION ALL SELECT ${hour}, -count(*) FROM unnamed GROUP BY 1)
     GROUP BY hour HAVING sum(n) > 0 ORDER BY hour LIMIT 1`,
  );
  if (first === undefined) return null;
  const [oldest] = await duck.run<Oldest>(
    `SELECT location, "at", kind, source
     FROM named JOIN (SELECT hash(location) AS h, at_ms AS "at" FROM objects WHERE ${hour} = $1) ON hash(location) = h
     ORDER BY "at", location, kind = 'row' DESC LIMIT 1`,
    [first.hour],
  );
  return oldest ?? null;
}

function total(amounts: Iterable<Amount>): Amount {
  let sum: Amount = { objects: 0, bytes: 0, dollars: 0 };
  for (const { objects, bytes, dollars } of amounts)
    sum = {
      objects: sum.objects + objects,
      bytes: sum.bytes + bytes,
      dollars: dollars === null || sum.dollars === null ? null : sum.dollars + dollars,
    };
  return sum;
}

function less(all: Amount, parts: readonly Amount[]): Amount {
  const rest = total(parts);
  return {
    objects: all.objects - rest.objects,
    bytes: all.bytes - rest.bytes,
    dollars:
      all.dollars === null || rest.dollars === null ? null : Number((all.dollars - rest.dollars).toFixed(6)),
  };
}
