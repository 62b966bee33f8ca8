import type { Reference, RowPlace } from './reference.ts';

/** What a reference has in common with others, and what with none. */
export interface CompactReference {
  readonly base: ReferenceBase;
  readonly uuid: string;
}

/** What the references of one backend share. */
export interface ReferenceBase extends Omit<Reference, 'key'> {
  /** What stands before the uuid of the leaf: nothing up to Airflow 3.3, `ti-` or `write-` from 3.4 on. */
  readonly leaf: '' | 'ti-' | 'write-';
}

type Place = RowPlace & { readonly key: string };

const LEAF = /\/(ti-|write-|)([0-9a-f-]{36})(?:\/[^/]*)?$/;

/**
 * Takes apart a reference that can be put together again from its row, one uuid and what many share; null when it
 * is spelt in another way (ids that were shortened, a key that was hashed).
 */
export function compactReference(reference: Reference, place: Place): CompactReference | null {
  const match = LEAF.exec(reference.key.slice(0, reference.key.length - reference.suffix.length));
  if (match === null) return null;
  const [, leaf = '', uuid = ''] = match;
  const { scheme, connection, bucket, prefix, suffix } = reference;
  const base = { scheme, connection, bucket, prefix, suffix, leaf: leaf as ReferenceBase['leaf'] };
  return keyOf(base, uuid, place) === reference.key ? { base, uuid } : null;
}

export function expandReference({ base, uuid }: CompactReference, place: Place): Reference {
  const { leaf, ...shared } = base;
  return { ...shared, key: keyOf(base, uuid, place) };
}

function keyOf(base: ReferenceBase, uuid: string, { dagId, runId, taskId, key }: Place): string {
  const folder = `${base.prefix === '' ? '' : `${base.prefix}/`}${dagId}/${runId}/${taskId}`;
  const name = base.leaf === '' ? uuid : `${base.leaf}${uuid}/${quote(key)}.json`;
  return `${folder}/${name}${base.suffix}`;
}

/** Python's `urllib.parse.quote(…, safe='')`. */
function quote(text: string): string {
  if (/^[\w.~-]*$/.test(text)) return text;
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
