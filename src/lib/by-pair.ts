/** A map from two names to a value. Ten thousand joined names would be ten thousand new strings. */
export interface ByPair<Value> {
  get(first: string, second: string): Value | undefined;
  set(first: string, second: string, value: Value): void;
  isEmpty(): boolean;
}

export function createByPair<Value>(): ByPair<Value> {
  const values = new Map<string, Map<string, Value>>();
  return {
    get: (first, second) => values.get(first)?.get(second),
    set(first, second, value) {
      const ofFirst = values.get(first);
      if (ofFirst === undefined) values.set(first, new Map([[second, value]]));
      else ofFirst.set(second, value);
    },
    isEmpty: () => values.size === 0,
  };
}
