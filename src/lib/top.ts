/** Keeps the best few of many numbered items and uses memory only for these few. */
export interface Top {
  offer(item: number, score: number): void;
  /** The kept items, highest score first. */
  items(): number[];
  /** The lowest score of the kept items; null: there is still room for any item. */
  floor(): number | null;
}

/** Keeps the items in a heap with the worst item on top; the next better item replaces it. */
export function createTop(size: number): Top {
  const items: number[] = [];
  const scores: number[] = [];
  const score = (at: number) => scores[at] ?? Number.POSITIVE_INFINITY;

  function swap(one: number, other: number): void {
    const item = items[one] ?? 0;
    const itsScore = score(one);
    items[one] = items[other] ?? 0;
    scores[one] = score(other);
    items[other] = item;
    scores[other] = itsScore;
  }
  function rise(from: number): void {
    for (let at = from; at > 0;) {
      const parent = (at - 1) >> 1;
      if (score(parent) <= score(at)) return;
      swap(at, parent);
      at = parent;
    }
  }
  function sink(): void {
    for (let at = 0; ;) {
      const left = 2 * at + 1;
      const least = score(left + 1) < score(left) ? left + 1 : left;
      if (score(at) <= score(least)) return;
      swap(at, least);
      at = least;
    }
  }

  return {
    offer(item, itsScore) {
      if (items.length < size) {
        items.push(item);
        scores.push(itsScore);
        rise(items.length - 1);
      } else if (size > 0 && itsScore > score(0)) {
        items[0] = item;
        scores[0] = itsScore;
        sink();
      }
    },
    items() {
      return items
        .map((item, at) => ({ item, score: score(at) }))
        .sort((a, b) => b.score - a.score)
        .map(({ item }) => item);
    },
    floor: () => (items.length < size ? null : score(0)),
  };
}

/** The best few items of several lists, each sorted with its best item first. */
export function bestOf(
  size: number,
  lists: readonly (readonly number[])[],
  scoreOf: (item: number) => number,
): number[] {
  const best = createTop(size);
  const first = ([item = 0]: readonly number[]) => scoreOf(item);
  // Starting with the list that has the best item lets most other lists stop early.
  for (const list of lists.filter(({ length }) => length > 0).toSorted((a, b) => first(b) - first(a))) {
    for (const item of list) {
      const score = scoreOf(item);
      if (score <= (best.floor() ?? -Infinity)) break;
      best.offer(item, score);
    }
  }
  return best.items();
}
