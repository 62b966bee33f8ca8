/**
 * Keeps the result of a look at a thing as long as nothing changes that the result depends on; then looks again. A
 * result is never updated in place, so it cannot drift.
 */
export interface Looks<Thing extends object, Found> {
  /** `restsOn`: gives, for the last result, a text of everything that may change the result of a look. */
  at(thing: Thing, look: () => Found, restsOn: (found: Found) => string): Found;
  /** Drops all results. */
  forget(): void;
}

export function createLooks<Thing extends object, Found>(): Looks<Thing, Found> {
  let looks = new WeakMap<Thing, { readonly found: Found; readonly rests: string }>();
  return {
    at(thing, look, restsOn) {
      const last = looks.get(thing);
      if (last !== undefined && restsOn(last.found) === last.rests) return last.found;
      const found = look();
      looks.set(thing, { found, rests: restsOn(found) });
      return found;
    },
    forget() {
      looks = new WeakMap();
    },
  };
}
