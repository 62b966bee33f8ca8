import type { Reference } from '../airflow/reference.ts';
import type { Histogram } from '../lib/histogram.ts';
import { withoutPasswords } from '../lib/without-passwords.ts';
import type { Ledger } from '../window/ledger.ts';
import type { RowStore } from '../window/row-store.ts';
import { topPlaces } from './evidence.ts';

/** The paths with the most rows. A base has one number for each suffix; the rows of all of them count for one path. */
export function pathsOf(
  ledger: Ledger,
  based: Pick<Histogram, 'each'>,
): readonly { readonly path: string; readonly rows: number }[] {
  const { bases } = ledger.rows();
  return topPlaces('path', { counts: based, nameOf: (base) => prefixOf(bases.at(base)) }).map(
    ({ value, rows }) => ({
      path: value,
      rows,
    }),
  );
}

export function prefixesOf({ bases }: Pick<RowStore, 'bases'>, numbers: Iterable<number>): readonly string[] {
  return [...new Set(Array.from(numbers, (base) => prefixOf(bases.at(base))))];
}

/** The password is removed because a row may hold a key and its secret in place of a connection id. */
function prefixOf(base: Omit<Reference, 'key'>): string {
  const connection = base.connection === '' ? '' : `${base.connection}@`;
  return withoutPasswords(`${base.scheme}://${connection}${base.bucket}/${base.prefix}`);
}
