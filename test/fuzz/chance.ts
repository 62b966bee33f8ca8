/** Numbers that look random and are the same for the same seed. */
export interface Chance {
  /** 0 <= n < below */
  int(below: number): number;
  pick<T>(from: readonly T[]): T;
  bytes(length: number): Buffer;
  /** True once in `inSoMany` calls on average. */
  once(inSoMany: number): boolean;
}

/** mulberry32 */
export function chanceOf(seed: number): Chance {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const int = (below: number) => Math.floor(next() * below);
  return {
    int,
    pick: (from) => from[int(from.length)] as never,
    bytes: (length) => Buffer.from(Array.from({ length }, () => int(256))),
    once: (inSoMany) => int(inSoMany) === 0,
  };
}

export const seed = Number(process.env['FUZZ_SEED'] ?? 1);
const shares = 6;
/** The time that each part of the suite may take of the whole, ms. */
export const shareMs = (Number(process.env['FUZZ_MINUTES'] ?? 1) * 60_000) / shares;

/** Runs rounds until the time is over, each with a seed of its own. Names the seed of a round that fails. */
export async function rounds(work: (chance: Chance, round: number) => Promise<void> | void): Promise<number> {
  const end = performance.now() + shareMs;
  let round = 0;
  do {
    const own = seed + round * 7_919;
    try {
      await work(chanceOf(own), round);
    } catch (cause) {
      throw new Error(`Round ${round}: repeat it with --seed ${own}: ${String(cause)}`, { cause });
    }
    round += 1;
  } while (performance.now() < end);
  return round;
}

const PIECES = [
  'a', 'Z', '0', ' ', '"', "'", '\\', '/', '%', '?', '#', '&', '=', '+', ':', ';', '<', '>', '{', '}', '[', ']',
  '..', '\t', '\n', '\r', '\u0001', '\u007f', 'é', 'ж', '漢', '😀', '\u202e', '\ufeff', 's3://', 'file://', '%00', '${x}',
  '<script>', '--', '$1', 'NULL', '__proto__', 'constructor',
]; // prettier-ignore

/** A text that code may stumble over. It has no NUL and no half of a surrogate pair: Postgres refuses both. */
export function hostileText(chance: Chance, longest: number): string {
  const length = chance.int(longest);
  let text = '';
  while (text.length < length) text += chance.pick(PIECES);
  // A surrogate pair must not be cut.
  return Array.from(text).slice(0, longest).join('').trim();
}
