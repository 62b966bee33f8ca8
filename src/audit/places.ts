import { startOf } from './key-sql.ts';
import type { Base } from './named-object.ts';

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

/** Each place once, with the first of its connections through which it is to be asked, if it has one. */
export function distinctPlaces(bases: readonly Base[], isAsked: (base: Base) => boolean): Base[] {
  return byPlaces(bases).map((place) => place.find(isAsked) ?? place[0]);
}
