import { SUFFIX, UUID, UUID4 } from '../airflow/object-key.ts';
import type { Base } from './named-object.ts';
import { text } from './sql-text.ts';

/** Whether a location is below one of the places. */
export function below(places: readonly Base[]): string {
  if (places.length === 0) return 'false';
  return `(${places.map((place) => `starts_with(location, ${text(startOf(place))})`).join(' OR ')})`;
}

/** The same for a bucket and a key. */
export function keysBelow(places: readonly Base[]): string {
  if (places.length === 0) return 'false';
  const one = ({ bucket, prefix }: Base) =>
    `bucket = ${text(bucket)}${prefix === '' ? '' : ` AND starts_with(key, ${text(`${prefix}/`)})`}`;
  return `(${places.map(one).join(' OR ')})`;
}

/** What stands behind the innermost place that a location is below; the location itself where it is below none. */
export function relative(bases: readonly Base[]): string {
  return byPlace(bases, (start) => `substr(location, ${Array.from(start).length + 1})`, 'location');
}

/** The first part of that, which is the dag. */
export function dagOf(bases: readonly Base[]): string {
  const part = (number: number) => `split_part(location, '/', ${number})`;
  return byPlace(bases, (start) => part(start.split('/').length), part(1));
}

function byPlace(bases: readonly Base[], inside: (start: string) => string, outside: string): string {
  const innermostFirst = bases.map(startOf).sort((a, b) => b.length - a.length);
  const cases = innermostFirst.map(
    (start) => `WHEN starts_with(location, ${text(start)}) THEN ${inside(start)}`,
  );
  return cases.length === 0 ? outside : `CASE ${cases.join(' ')} ELSE ${outside} END`;
}

export function startOf({ bucket, prefix }: Base): string {
  return `${bucket}/${prefix === '' ? '' : `${prefix}/`}`;
}

const LEAF = `${UUID4}${SUFFIX}`;

/**
 * Whether the XCom backend alone can have written what is called so below a base: dag, run and task before a leaf with a
 * uuid. A key of a state store may be a uuid as well: behind the index of a mapped task, or behind `assets/<name>`.
 */
export function isXComKey(column: string): string {
  const matches = (pattern: string) => `regexp_matches(${column}, ${text(pattern)})`;
  // CASE looks no further than it has to: most keys need two of the three patterns.
  return `CASE WHEN ${matches(`^[^/]+/.+/[^/]+/${LEAF}$`)}
      THEN NOT ${matches(`(^[^/]+/.+/[^/]+/-?[0-9]+|(^|/)assets/[^/]+)/${LEAF}$`)}
      ELSE ${matches(`^[^/]+/.+/[^/]+/(ti|write)-${UUID}/[^/]+\\.json${SUFFIX}$`)} END`;
}

/** The task instance that 3.4 puts into a key; '' where there is none. */
export function taskInstanceOf(column: string): string {
  return `CASE WHEN contains(${column}, '/ti-') THEN regexp_extract(${column}, ${text(`/ti-(${UUID})/[^/]+$`)}, 1) ELSE '' END`;
}
