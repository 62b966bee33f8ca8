/**
 * What looks at things gave, each kept for as long as nothing has changed that it rests on, and then made anew: it is
 * never added to, so that it cannot drift.
 */
export interface Looks<Thing extends object, Found> {
  /** `restsOn`: in words all that may make a look give another answer, by what the last one found. */
  at(thing: Thing, look: () => Found, restsOn: (found: Found) => string): Found;
  /** Nothing is kept any more. */
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
