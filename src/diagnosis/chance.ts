/** Anything less likely than this does not count as chance. */
export const SIGNIFICANCE = 0.01;

/**
 * Whether a change is too unlikely to be chance. `turned` values went one way, and before the last of them `others`
 * went the other way. Since then `since` values went the other way. If the order told nothing, every order of these
 * values would be equally likely. The exporter looks all the time, and such a streak may begin after each of `turned`:
 * the chance is multiplied by `turned`.
 */
export function isTurned({
  turned,
  others,
  since,
}: {
  readonly turned: number;
  readonly others: number;
  readonly since: number;
}): boolean {
  if (since <= 0 || turned <= 0) return false;
  const drawn = turned + others;
  return atLeast(turned, { drawn, marked: turned, total: drawn + since }) * turned < SIGNIFICANCE;
}

/** P(at least `seen` marked among `drawn` from `total`, of which `marked` are): hypergeometric tail. */
export function atLeast(
  seen: number,
  { drawn, marked, total }: { drawn: number; marked: number; total: number },
): number {
  const choose = (n: number, k: number) => logFactorial(n) - logFactorial(k) - logFactorial(n - k);
  const others = total - marked;
  const least = Math.max(seen, drawn - others);
  let term = Math.exp(choose(marked, least) + choose(others, drawn - least) - choose(total, drawn));
  let p = 0;
  for (let k = least; k <= Math.min(drawn, marked); k += 1) {
    p += term;
    term *= ((marked - k) * (drawn - k)) / ((k + 1) * (others - drawn + k + 1));
    // Beyond the expected count each term is smaller than the one before: the rest changes nothing.
    if (term <= p * 1e-12) break;
  }
  return p;
}

/** Up to this n the sum is exact and cheap. Above it Stirling's series is as precise as the type can be. */
const EXACT_UP_TO = 256;
const LOG_FACTORIALS = new Float64Array(EXACT_UP_TO + 1);
for (let n = 2; n <= EXACT_UP_TO; n += 1) LOG_FACTORIALS[n] = (LOG_FACTORIALS[n - 1] ?? 0) + Math.log(n);

function logFactorial(n: number): number {
  if (n <= EXACT_UP_TO) return LOG_FACTORIALS[n] ?? Number.NaN;
  return (n + 0.5) * Math.log(n) - n + 0.5 * Math.log(2 * Math.PI) + 1 / (12 * n) - 1 / (360 * n ** 3);
}
