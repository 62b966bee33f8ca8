import { startOf } from './key-sql.ts';
import type { Base } from './named-object.ts';
import type { ServerOf } from './servers.ts';

/** The connection is left out: several may lead to one place. */
export function isSamePlace(a: Omit<Base, 'connection'>, b: Omit<Base, 'connection'>): boolean {
  return a.bucket === b.bucket && a.prefix === b.prefix;
}

/** The bases of each place, in the order in which the places come first. */
export function byPlaces(bases: readonly Base[]): (readonly [Base, ...Base[]])[] {
  const places = new Map<string, [Base, ...Base[]]>();
  for (const base of bases) {
    const place = places.get(startOf(base));
    if (place === undefined) places.set(startOf(base), [base]);
    else place.push(base);
  }
  return [...places.values()];
}

/** Each place once, with the first of its connections that is known. */
export function distinctPlaces(bases: readonly Base[], serverOf: ServerOf): Base[] {
  return byPlaces(bases).map(
    (place) => place.find(({ connection }) => serverOf(connection) !== null) ?? place[0],
  );
}
