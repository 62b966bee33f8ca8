/** Ends a switch over a union: the compiler rejects the call as long as a member of the union is not handled. */
export function assertNever(value: never): never {
  throw new Error(`Unexpected value: ${String(value)}`);
}
