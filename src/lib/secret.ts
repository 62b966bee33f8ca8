/**
 * A string that cannot be printed: every conversion to text gives `***`.
 * Call `reveal()` only where the value is handed to the client that needs it.
 */
export interface Secret {
  reveal(): string;
  toString(): string;
  toJSON(): string;
}

export function secret(value: string): Secret {
  const masked = '***';
  return Object.freeze({
    reveal: () => value,
    toString: () => masked,
    toJSON: () => masked,
    [Symbol.for('nodejs.util.inspect.custom')]: () => masked,
  });
}
