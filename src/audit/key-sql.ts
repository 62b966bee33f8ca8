import { SUFFIX, UUID, UUID4 } from '../airflow/object-key.ts';
import type { Base } from './named-object.ts';
import { text } from './sql-text.ts';

/** Whether a location is below one of the places. */
export function below(places: readonly Base[], column = 'location'): string {
  if (places.length === 0) return 'false';
  return `(${places.map((place) => `starts_with(${column}, ${text(startOf(place))})`).join(' OR ')})`;
}

/** What stands behind the innermost place that a location is below; the location itself where it is below none. */
export function relative(bases: readonly Base[], column = 'location'): string {
  const innermost = bases.toSorted((a, b) => startOf(b).length - startOf(a).length);
  if (innermost.length === 0) return column;
  return `CASE ${innermost
    .map((base) => {
      const start = startOf(base);
      return `WHEN starts_with(${column}, ${text(start)}) THEN substr(${column}, ${Array.from(start).length + 1})`;
    })
    .join(' ')} ELSE ${column} END`;
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
  return `((${matches(`^[^/]+/.+/[^/]+/${LEAF}$`)}
      AND NOT ${matches(`^[^/]+/.+/[^/]+/-?[0-9]+/${LEAF}$`)} AND NOT ${matches(`(^|/)assets/[^/]+/${LEAF}$`)})
    OR ${matches(`^[^/]+/.+/[^/]+/(ti|write)-${UUID}/[^/]+\\.json${SUFFIX}$`)})`;
}

/** The task instance that 3.4 puts into a key; '' where there is none. */
export function taskInstanceOf(column: string): string {
  return `regexp_extract(${column}, ${text(`/ti-(${UUID})/[^/]+$`)}, 1)`;
}
