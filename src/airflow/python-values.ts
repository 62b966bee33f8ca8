/** The characters that Python's `str.strip` removes and Python's `\s` matches; JavaScript has another set. */
export const PYTHON_SPACE =
  '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';

const START = new RegExp(`^[${PYTHON_SPACE}]+`);
const END = new RegExp(`[${PYTHON_SPACE}]+$`);

export function rstrip(text: string): string {
  return text.replace(END, '');
}

export function strip(text: string): string {
  return rstrip(text).replace(START, '');
}

/** How many digits Python reads at most; it refuses more. */
const MOST_DIGITS = 4_300;

/** The whole number that `int(text)` gives, or null where it raises ValueError. */
export function pythonInt(text: string): bigint | null {
  const [, sign = '', digits] = /^([+-]?)(\d+(?:_\d+)*)$/.exec(asciiDigits(strip(text))) ?? [];
  const bare = digits?.replaceAll('_', '') ?? '';
  if (bare === '' || bare.length > MOST_DIGITS) return null;
  return sign === '-' ? -BigInt(bare) : BigInt(bare);
}

const FLOAT = /^[+-]?(?:\d+(?:_\d+)*\.?(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:e[+-]?\d+(?:_\d+)*)?$/i;

/** The whole number that `float(text)` gives; null when it raises, and for a fraction, an infinity or a NaN. */
export function pythonWholeFloat(text: string): bigint | null {
  const plain = asciiDigits(strip(text));
  if (!FLOAT.test(plain)) return null;
  const number = Number(plain.replaceAll('_', ''));
  return Number.isInteger(number) ? BigInt(number) : null;
}

/**
 * Replaces every decimal digit of Unicode by its ASCII digit. The ten digits of a script have consecutive code points.
 */
function asciiDigits(text: string): string {
  return text.replace(/[^\x00-\x7f]/gu, (character) => {
    if (!/\p{Nd}/u.test(character)) return character;
    const code = character.codePointAt(0) ?? 0;
    let value = 0;
    while (value < 9 && /\p{Nd}/u.test(String.fromCodePoint(code - value - 1))) value += 1;
    return String(value);
  });
}
