/**
 * Values that many rows share, each kept once under a small number. A value is dropped with the last row that
 * holds it, because names come and go for weeks.
 */
export interface Interner<Value> {
  /** Gives the number, above 0, of the value with this name; holds the value once more. */
  hold(name: string, make: () => Value): number;
  /** Gives the number of the value with this name; 0: nobody holds such a value. */
  find(name: string): number;
  holdAgain(id: number): void;
  release(id: number): void;
  /** @throws {Error} for a number that nobody holds. */
  at(id: number): Value;
  /** All numbers are below this limit. */
  limit(): number;
  /** How many values are held. */
  size(): number;
  /** All values that are held. */
  entries(): Iterable<readonly [id: number, name: string, value: Value]>;
  /** Puts a value back under its number; nobody holds it yet. */
  restore(id: number, name: string, value: Value): void;
  /** Drops the values that nobody holds after {@link restore}. */
  sweep(): void;
}

interface Held<Value> {
  readonly name: string;
  readonly value: Value;
  holds: number;
}

export function createInterner<Value>(): Interner<Value> {
  const ids = new Map<string, number>();
  // No value has the number 0.
  const held: (Held<Value> | null)[] = [null];
  const free: number[] = [];

  function drop(id: number, name: string): void {
    ids.delete(name);
    held[id] = null;
    free.push(id);
  }

  return {
    hold(name, make) {
      const known = ids.get(name);
      const there = known === undefined ? null : held[known];
      if (known !== undefined && there) {
        there.holds += 1;
        return known;
      }
      const id = free.pop() ?? held.length;
      held[id] = { name, value: make(), holds: 1 };
      ids.set(name, id);
      return id;
    },
    find: (name) => ids.get(name) ?? 0,
    holdAgain(id) {
      const one = held[id];
      if (one) one.holds += 1;
    },
    release(id) {
      const one = held[id];
      if (!one) return;
      one.holds -= 1;
      if (one.holds <= 0) drop(id, one.name);
    },
    at(id) {
      const one = held[id];
      if (!one) throw new Error(`Nothing is held under the number ${id}`);
      return one.value;
    },
    limit: () => held.length,
    size: () => ids.size,
    *entries() {
      for (const [id, one] of held.entries()) if (one !== null) yield [id, one.name, one.value];
    },
    restore(id, name, value) {
      while (held.length <= id) held.push(null);
      held[id] = { name, value, holds: 0 };
      ids.set(name, id);
    },
    sweep() {
      free.length = 0;
      for (const [id, one] of held.entries()) {
        if (id === 0) continue;
        if (one === null) free.push(id);
        else if (one.holds === 0) drop(id, one.name);
      }
    },
  };
}
