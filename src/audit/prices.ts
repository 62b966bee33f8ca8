const KIB = 1024;
const GIB = 2 ** 30;

const STANDARD = 0.023;
/** The bytes that an object in an archive is billed for besides its own: at the price of its class, and of STANDARD. */
const INDEX = 32 * KIB;
const NAME = 8 * KIB;

/**
 * List prices of us-east-1 as of November 2026, in dollars for a GB and month. `least`: the fewest bytes that an object
 * is billed for.
 */
const CLASSES: Readonly<Record<string, { price: number; least?: number; isArchive?: boolean }>> = {
  STANDARD: { price: STANDARD },
  INTELLIGENT_TIERING: { price: 0.023 },
  REDUCED_REDUNDANCY: { price: 0.024 },
  STANDARD_IA: { price: 0.0125, least: 128 * KIB },
  ONEZONE_IA: { price: 0.01, least: 128 * KIB },
  GLACIER_IR: { price: 0.004, least: 128 * KIB },
  GLACIER: { price: 0.0036, isArchive: true },
  DEEP_ARCHIVE: { price: 0.00099, isArchive: true },
};

/** SQL for the dollars a month of one object; NULL for a class without a known price. */
export function monthlyDollars(bytes: string, storageClass: string): string {
  const cases = Object.entries(CLASSES).map(([name, { price, least = 0, isArchive = false }]) => {
    const own = `greatest(${bytes}, ${least})`;
    const billed = isArchive ? `(${own} + ${INDEX}) * ${price} + ${NAME} * ${STANDARD}` : `${own} * ${price}`;
    return `WHEN '${name}' THEN (${billed}) / ${GIB}`;
  });
  return `CASE ${storageClass} ${cases.join(' ')} END`;
}
