import { compareKeys, inKeyOrder } from '../s3/key-order.ts';
import type { Duck } from './duck.ts';
import type { Base } from './named-object.ts';

/** A part of a bucket that is listed by itself: the keys after `after`, up to and including `upTo`. */
export interface Lane {
  readonly bucket: string;
  readonly connection: string;
  /** Ends with a slash, or is ''. */
  readonly prefix: string;
  readonly after: string | null;
  readonly upTo: string | null;
}

/**
 * The places that lie in no other place: a place below `xcom` is listed with `xcom`. All places in a bucket have to be on
 * one server.
 */
export function outermost(bases: readonly Base[]): Base[] {
  const contains = (outer: Base, inner: Base) =>
    outer.bucket === inner.bucket &&
    outer.prefix !== inner.prefix &&
    (outer.prefix === '' || inner.prefix.startsWith(`${outer.prefix}/`));
  return bases.filter((base) => !bases.some((other) => contains(other, base)));
}

/** How many names are looked at to find out where the keys lie. */
const SAMPLE = 4_000;

/** Cuts a place into lanes where rows name many objects, so that all lanes take about as long. */
export async function lanesOf(duck: Duck, base: Base, most: number): Promise<Lane[]> {
  const prefix = base.prefix === '' ? '' : `${base.prefix}/`;
  const start = `${base.bucket}/${prefix}`;
  const names = await duck.run<{ location: string }>(
    `SELECT location FROM (SELECT location FROM named WHERE starts_with(location, $1)) USING SAMPLE ${SAMPLE} ROWS`,
    [start],
  );
  const cuts = cutsOf(
    names.map(({ location }) => location.slice(base.bucket.length + 1)),
    most,
  );
  return [null, ...cuts].map((after, index) => ({
    bucket: base.bucket,
    connection: base.connection,
    prefix,
    after,
    upTo: cuts[index] ?? null,
  }));
}

/** At most `most` - 1 of the keys, in S3's order and evenly apart. */
export function cutsOf(keys: readonly string[], most: number): string[] {
  const sorted = inKeyOrder([...new Set(keys)], (key) => key);
  const lanes = Math.min(most, Math.ceil(sorted.length / 4));
  const cuts = Array.from({ length: Math.max(0, lanes - 1) }, (_, index) =>
    sorted.at(Math.floor(((index + 1) * sorted.length) / lanes)),
  );
  return [...new Set(cuts.filter((cut) => cut !== undefined))];
}

/** Whether these keys follow `before` and each other in the byte order of S3. */
export function areInOrder(keys: readonly string[], before: string | null): boolean {
  let last = before;
  for (const key of keys) {
    if (last !== null && compareKeys(last, key) >= 0) return false;
    last = key;
  }
  return true;
}
