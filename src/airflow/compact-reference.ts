import type { ObjectKey, TaskIds } from './object-key.ts';
import { folderOf, formatObjectKey, nameOfKey, parseObjectKey } from './object-key.ts';
import type { Reference } from './reference.ts';

/** A reference split into the part that it shares with others and the part that is its own. */
export interface CompactReference {
  readonly base: ReferenceBase;
  readonly uuid: string;
}

/** The part that the references of one backend share. */
export interface ReferenceBase extends Omit<Reference, 'key'> {
  /** The text directly before the uuid: nothing, `ti-` or `write-`. */
  readonly leaf: ObjectKey['owner'];
}

type Place = TaskIds & { readonly key: string };

/**
 * Splits a reference that can be rebuilt from its row, one uuid and the shared part. Null: the reference is spelt in
 * another way, for example with shortened ids. Objects with shortened ids lie elsewhere than the rest of their run.
 */
export function compactReference(reference: Reference, place: Place): CompactReference | null {
  const parts = parseObjectKey(reference.key);
  if (parts === null) return null;
  const { scheme, connection, bucket, prefix, suffix } = reference;
  const base = { scheme, connection, bucket, prefix, suffix, leaf: parts.owner };
  return keyOf(base, parts.uuid, place) === reference.key ? { base, uuid: parts.uuid } : null;
}

export function expandReference({ base, uuid }: CompactReference, place: Place): Reference {
  const { leaf, ...shared } = base;
  return { ...shared, key: keyOf(base, uuid, place) };
}

function keyOf({ prefix, leaf, suffix }: ReferenceBase, uuid: string, place: Place): string {
  const name = leaf === '' ? '' : nameOfKey(place.key);
  return formatObjectKey({ folder: folderOf(prefix, place), owner: leaf, uuid, name, suffix });
}
