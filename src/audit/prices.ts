const KIB = 1024;
const GIB = 2 ** 30;

/**
 * List prices of us-east-1 as of November 2026, in dollars for a GB and month. `least`: the fewest bytes that an object
 * is billed for. `more`: the bytes that each object is billed for besides its own.
 */
const CLASSES: Readonly<Record<string, { price: number; least?: number; more?: number }>> = {
  STANDARD: { price: 0.023 },
  INTELLIGENT_TIERING: { price: 0.023 },
  REDUCED_REDUNDANCY: { price: 0.024 },
  STANDARD_IA: { price: 0.0125, least: 128 * KIB },
  ONEZONE_IA: { price: 0.01, least: 128 * KIB },
  GLACIER_IR: { price: 0.004, least: 128 * KIB },
  GLACIER: { price: 0.0036, more: 40 * KIB },
  DEEP_ARCHIVE: { price: 0.00099, more: 40 * KIB },
};

/** SQL for the dollars a month of one object; NULL for a class without a known price. */
export function monthlyDollars(bytes: string, storageClass: string): string {
  const cases = Object.entries(CLASSES).map(([name, { price, least = 0, more = 0 }]) => {
    const billed = `greatest(${bytes}, ${least}) + ${more}`;
    return `WHEN '${name}' THEN (${billed}) / ${GIB} * ${price}`;
  });
  return `CASE ${storageClass} ${cases.join(' ')} END`;
}
