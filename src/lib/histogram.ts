/** How often each of some small numbers came, as far as any did. */
export interface Histogram {
  add(number: number): void;
  entries(): Iterable<readonly [number: number, times: number]>;
}

export function createHistogram(): Histogram {
  let times = new Uint32Array(64);
  return {
    add(number) {
      if (number >= times.length) {
        const larger = new Uint32Array(Math.max(number + 1, 2 * times.length));
        larger.set(times);
        times = larger;
      }
      times[number] = (times[number] ?? 0) + 1;
    },
    *entries() {
      for (const [number, count] of times.entries()) if (count > 0) yield [number, count];
    },
  };
}
