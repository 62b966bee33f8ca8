/** Minutes since the epoch, and the smallest size in that minute; it is smaller than all sizes before. */
export type Step = readonly [minute: number, smallest: number];

export const MINUTE = 60_000;

export function stepsOf(sizes: Iterable<Step>): Step[] {
  let smallest = Infinity;
  return [...sizes]
    .sort(([a, one], [b, other]) => a - b || one - other)
    .filter(([, size]) => {
      if (size >= smallest) return false;
      smallest = size;
      return true;
    });
}
