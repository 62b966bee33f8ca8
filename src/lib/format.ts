/** 1536 -> `1.5 KiB`, 1024 -> `1 KiB`: binary units, because people set thresholds that are powers of two. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  const power = Math.min(Math.floor(Math.log2(Math.max(Math.abs(bytes), 1)) / 10), units.length - 1);
  const value = bytes / 1024 ** power;
  return `${Number(value.toFixed(1))} ${units[power] ?? ''}`;
}

/** Size with its bytes: 1000 -> `1000 B`, 2600 -> `2.5 KiB (2,600 B)`. A threshold below 0 is no size: -1 -> `-1`. */
export function sizeWords(bytes: number): string {
  if (bytes < 0) return String(bytes);
  if (bytes > Number.MAX_SAFE_INTEGER) return 'more than 8 PiB';
  return bytes < 1_024 ? formatBytes(bytes) : `${formatBytes(bytes)} (${formatCount(bytes)} B)`;
}

/** Groups the digits so that they are easy to read: 1234567 -> `1,234,567`. */
export function formatCount(count: number): string {
  return count.toLocaleString('en-US');
}

/**
 * 0.0042 -> `4 ms`, 90 -> `1 min 30 s`, 86400 -> `24 h`, 172800 -> `2 d`: at most two units. Days begin at two, because
 * people set windows in that way.
 */
export function formatSeconds(seconds: number): string {
  if (seconds > 0 && seconds < 1) return `${Math.round(seconds * 1_000)} ms`;
  if (seconds < 10) return `${Number(seconds.toFixed(1))} s`;
  let rest = Math.round(seconds);
  const parts: string[] = [];
  for (const [unit, size] of [
    ['d', 86_400],
    ['h', 3_600],
    ['min', 60],
    ['s', 1],
  ] as const) {
    const count = unit === 'd' && rest < 2 * size ? 0 : Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count} ${unit}`);
  }
  return parts.slice(0, 2).join(' ');
}

/** Cuts text to `length` characters, with an ellipsis in place of the rest. */
export function shorten(text: string, length: number): string {
  const characters = Array.from(text);
  return characters.length <= length ? text : `${characters.slice(0, length - 1).join('')}…`;
}

/** The moment as in logs and in Airflow's interface: `22:14:05 UTC`, with the day if it is not the day of `now`. */
export function formatMoment(at: number, now: number): string {
  const [day = '', time = ''] = new Date(at).toISOString().split('T');
  const clock = `${time.slice(0, 8)} UTC`;
  return new Date(now).toISOString().startsWith(day) ? clock : `${day} ${clock}`;
}
