import { quotedIf } from './quoted-if.ts';

const durationPattern = /^(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/;
/** A hundred years. The clock of JavaScript ends far beyond it, and a time before its beginning is no time. */
const mostMs = 36_500 * 86_400_000;
const unitMs = [86_400_000, 3_600_000, 60_000, 1_000] as const;

/**
 * The milliseconds of a duration such as `24h`, `90m`, `1d` or `1h30m`: whole numbers, each unit once, largest first,
 * as Prometheus writes them.
 *
 * @throws {RangeError} when the text is not a duration, or the duration is 0 or longer than a hundred years.
 */
export function parseDuration(text: string): number {
  const counts = durationPattern.exec(text)?.slice(1) ?? [];
  const ms = unitMs.reduce((sum, unit, index) => sum + unit * Number(counts[index] ?? 0), 0);
  if (ms > mostMs) throw new RangeError('is longer than 36500d, a hundred years');
  if (ms <= 0) {
    throw new RangeError(
      `${quotedIf(/^[\s\d.dhms-]{0,20}$/i, text)} is not a duration: write it as 24h, 90m, 30s, 1d or 1h30m`,
    );
  }
  return ms;
}
