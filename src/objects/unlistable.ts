import { isAccessPointName } from '../airflow/bucket.ts';
import { NO_ANSWER_OF_S3 } from '../s3/failure.ts';
import type { Unknown } from '../s3/failure.ts';
import type { Stores } from '../s3/stores.ts';
import type { Place } from './allowance.ts';
import { isSamePlace } from './allowance.ts';

/** A place that a cycle has tried to list in vain. */
export interface Unlistable {
  readonly place: Place;
  readonly why: string;
}

const STANDS_IN = 'and what stands in for it may lead to another server';
const NOT_KNOWN = `its connection is not known here, ${STANDS_IN}: give AIRFLOW_CONN_…, or an empty one, aws://, if the workers use a role`;
const NONE_NAMED = `its rows name no connection, ${STANDS_IN}: name that path in xcom.path too`;

/**
 * Whether the storage answers a LIST but does not list, and asking again would not help: it does not know the request,
 * or a page lacks the fields that every page has. A HEAD may work all the same.
 */
export function isNoListing({ reason, said: { status }, detail }: Unknown): boolean {
  // A connection that stands in for another puts words before it.
  if (detail.endsWith(NO_ANSWER_OF_S3)) return true;
  return reason === 'server_error' && status !== null && (status < 500 || status === 501);
}

/**
 * The first place of which no listing can tell, and why; null: there is none. Through what stands in for a connection,
 * or by another name, a listing shows other objects than the rows name, or theirs under other names: none is an orphan.
 */
export function refusedAmong(
  places: readonly Place[],
  {
    stores,
    unlistable,
  }: { readonly stores: Pick<Stores, 'knows'>; readonly unlistable: readonly Unlistable[] },
): string | null {
  const buckets = new Set(places.map(({ bucket }) => bucket));
  const whyNot = (place: Place): string | undefined => {
    if (!stores.knows(place.connection)) return place.connection === '' ? NONE_NAMED : NOT_KNOWN;
    if (buckets.size > 1 && isAccessPointName(place.bucket))
      return 'an access point, so rows may name its objects by another name of its bucket';
    return unlistable.find((one) => isSamePlace(one.place, place))?.why;
  };
  for (const place of places) {
    const why = whyNot(place);
    if (why !== undefined) return `s3://${place.bucket}/${place.prefix} (${why})`;
  }
  return null;
}
