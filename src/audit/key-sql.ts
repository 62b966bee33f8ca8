import { ACCESS_POINT } from '../airflow/bucket.ts';
import { SUFFIX, UUID, UUID4 } from '../airflow/object-key.ts';
import type { Base } from './named-object.ts';
import { text } from './sql-text.ts';

/** The bucket of a location: everything before the first slash, or before the second one of an access point's ARN. */
export function bucketOf(column: string): string {
  return `CASE WHEN starts_with(${column}, 'arn:') THEN regexp_extract(${column}, ${text(`^(${ACCESS_POINT}/[^/]*|[^/]*)`)}, 1)
    ELSE split_part(${column}, '/', 1) END`;
}

/** The key of a location. */
export function keyOf(column: string): string {
  return `substr(${column}, length(${bucketOf(column)}) + 2)`;
}

/** Whether a location has empty segments or segments of one dot, which some servers leave out of a key. */
export function isFoldable(column: string): string {
  return `(contains(${column}, '//') OR contains(${column}, '/./'))`;
}

/** The location without such segments. */
export function folded(column: string): string {
  return `CASE WHEN ${isFoldable(column)} THEN regexp_replace(${column}, '/(\\./|/)+', '/', 'g') ELSE ${column} END`;
}

/** Whether a location is below one of the places. */
export function below(places: readonly Base[]): string {
  if (places.length === 0) return 'false';
  return `(${places.map((place) => `starts_with(location, ${text(startOf(place))})`).join(' OR ')})`;
}

/** Whether a bucket and a key are below one of the places. */
export function keysBelow(places: readonly Base[]): string {
  if (places.length === 0) return 'false';
  const one = ({ bucket, prefix }: Base) =>
    `bucket = ${text(bucket)}${prefix === '' ? '' : ` AND starts_with(key, ${text(`${prefix}/`)})`}`;
  return `(${places.map(one).join(' OR ')})`;
}

/** The rest of a location after the innermost place that it is below; the whole location when it is below none. */
export function relative(bases: readonly Base[]): string {
  return byPlace(bases, (base) => `substr(location, ${Array.from(startOf(base)).length + 1})`, 'location');
}

/** The first part of that rest, which is the dag. */
export function dagOf(bases: readonly Base[]): string {
  const part = (number: number) => `split_part(location, '/', ${number})`;
  return byPlace(bases, (base) => part(startOf(base).split('/').length), part(1));
}

/** A value for each location, by the innermost place that it is below. */
export function byPlace<Place extends Base>(
  bases: readonly Place[],
  inside: (base: Place) => string,
  outside: string,
): string {
  const innermostFirst = bases.toSorted((a, b) => startOf(b).length - startOf(a).length);
  const cases = innermostFirst.map(
    (base) => `WHEN starts_with(location, ${text(startOf(base))}) THEN ${inside(base)}`,
  );
  return cases.length === 0 ? outside : `CASE ${cases.join(' ')} ELSE ${outside} END`;
}

export function startOf({ bucket, prefix }: Base): string {
  return `${bucket}/${prefix === '' ? '' : `${prefix}/`}`;
}

const LEAF = `${UUID4}${SUFFIX}`;

/**
 * Whether only the XCom backend can have written an object with this path below a base: dag, run and task, then a leaf
 * with a uuid. A key of a state store may be a uuid as well, after a map index or after `assets/<name>`: the answer for
 * such a path is false.
 */
export function isXComKey(column: string): string {
  const matches = (pattern: string) => `regexp_matches(${column}, ${text(pattern)})`;
  // CASE tries no more patterns than it has to: most keys need two of the three.
  return `CASE WHEN ${matches(`^[^/]+/.+/[^/]+/${LEAF}$`)}
      THEN NOT ${matches(`(^[^/]+/.+/[^/]+/-?[0-9]+|(^|/)assets/[^/]+)/${LEAF}$`)}
      ELSE ${matches(`^[^/]+/.+/[^/]+/(ti|write)-${UUID}/[^/]+\\.json${SUFFIX}$`)} END`;
}

/** The id of the task instance that 3.4 puts into a key; '' when the key has none. */
export function taskInstanceOf(column: string): string {
  return `CASE WHEN contains(${column}, '/ti-') THEN regexp_extract(${column}, ${text(`/ti-(${UUID})/[^/]+$`)}, 1) ELSE '' END`;
}
