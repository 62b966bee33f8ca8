/**
 * The generated rules with every time divided by a factor, so that an hour becomes a minute. This covers `for`,
 * `keep_firing_for` and the ranges in brackets; every `interval` becomes 1 s. Nothing else changes, least of all the names of recordings.
 */
export function scaledRules(text: string, factor: number): string {
  return scaledExpression(text, factor)
    .replaceAll(
      /^(\s*(?:for|keep_firing_for): )(\w+)$/gm,
      (_, key: string, time: string) => `${key}${shorter(time, factor)}`,
    )
    .replaceAll(/^(\s*interval: )\w+$/gm, '$11s');
}

/** Scales the times of one PromQL expression in the same way. */
export function scaledExpression(expr: string, factor: number): string {
  return expr.replaceAll(/\[(\d+[smhd])\]/g, (_, range: string) => `[${shorter(range, factor)}]`);
}

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

export function secondsOf(duration: string): number {
  return Number.parseInt(duration, 10) * (SECONDS[duration.slice(-1)] ?? Number.NaN);
}

/** A duration in whole seconds, at least one: Prometheus scrapes every second here. */
function shorter(duration: string, factor: number): string {
  return `${Math.max(1, Math.round(secondsOf(duration) / factor))}s`;
}
