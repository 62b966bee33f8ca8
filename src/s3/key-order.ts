const SURROGATE = /[\uD800-\uDFFF]/;

/** S3's order: by the bytes of UTF-8. */
export function compareKeys(a: string, b: string): number {
  return SURROGATE.test(a) || SURROGATE.test(b) ? compareBytes(a, b) : compareUnits(a, b);
}

/** Without characters outside the basic plane, UTF-16 order is the same; one check of each key is enough. */
export function inKeyOrder<Item>(items: readonly Item[], keyOf: (item: Item) => string): Item[] {
  const compare = items.some((item) => SURROGATE.test(keyOf(item))) ? compareBytes : compareUnits;
  return items.toSorted((a, b) => compare(keyOf(a), keyOf(b)));
}

function compareUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
