/** Counts how often small numbers occur. */
export interface Histogram {
  add(number: number): void;
  join(counts: Counts): void;
  each(visit: (number: number, times: number) => void): void;
  /** Gives the counts, and begins anew. */
  take(): Counts;
}

/** The numbers that occurred, each followed by its count. */
export type Counts = Uint32Array;

export const NO_COUNTS: Counts = new Uint32Array();

export function createHistogram(): Histogram {
  let times = new Uint32Array(64);
  let distinct = 0;

  function addTimes(number: number, more: number): void {
    if (number >= times.length) {
      const larger = new Uint32Array(Math.max(number + 1, 2 * times.length));
      larger.set(times);
      times = larger;
    }
    const before = times[number] ?? 0;
    if (before === 0) distinct += 1;
    times[number] = before + more;
  }

  return {
    add(number) {
      addTimes(number, 1);
    },
    join(counts) {
      for (let at = 0; at < counts.length; at += 2) addTimes(counts[at] ?? 0, counts[at + 1] ?? 0);
    },
    each(visit) {
      for (let number = 0; number < times.length; number += 1) {
        const count = times[number] ?? 0;
        if (count > 0) visit(number, count);
      }
    },
    take() {
      const counts = new Uint32Array(2 * distinct);
      let at = 0;
      for (let number = 0; at < counts.length; number += 1) {
        const count = times[number] ?? 0;
        if (count === 0) continue;
        counts[at] = number;
        counts[at + 1] = count;
        at += 2;
      }
      times.fill(0);
      distinct = 0;
      return counts;
    },
  };
}

/** The numbers that occurred. */
export function numbersOf(counts: Counts): number[] {
  return Array.from({ length: counts.length / 2 }, (_, at) => counts[2 * at] ?? 0);
}
