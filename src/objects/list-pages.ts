import { isOfPath, isOfS3 } from '../s3/failure.ts';
import type { ListedObject } from '../s3/listing.ts';
import type { Stores } from '../s3/stores.ts';
import type { Allowance, Place } from './allowance.ts';
import { isSamePlace } from './allowance.ts';
import type { Location } from './locations.ts';
import type { Unlistable } from './unlistable.ts';
import { isNoListing } from './unlistable.ts';

/** How far a location was listed. `failed`: S3 refused the next page, or answered with a fault of its own. */
export type Extent = 'whole' | 'part' | 'failed';

interface PageOptions {
  readonly stores: Pick<Stores, 'of'>;
  readonly allowance: Allowance;
  /** The most pages to ask for. */
  readonly pages: number;
  /** The places that this cycle has tried to list in vain. */
  readonly unlistable: Unlistable[];
  /** The point at which the listing of a place goes on. */
  readonly listing: { next: { readonly place: Place; readonly after: string } | null };
  /** Whether no other place of the run could be counted without this one. A failure then counts for its bucket. */
  readonly isOnly: boolean;
  readonly take: (objects: readonly ListedObject[]) => Promise<void>;
}

/** Hands over page after page, from where the listing ended last. */
export async function listPages(
  location: Location,
  options: PageOptions,
  signal: AbortSignal,
): Promise<Extent> {
  const { stores, allowance, pages, unlistable, listing, isOnly } = options;
  const { connection, bucket, folder: prefix } = location;
  const { next } = listing;
  let after = next !== null && isSamePlace(next.place, location) ? next.after : null;
  for (let page = 0; page < Math.min(pages, allowance.beginnable()); page += 1) {
    const answer = await stores.of(connection).list({ bucket, prefix, after }, signal);
    if (answer.kind === 'unknown') {
      // Without permission to list, or a storage that lists, HEAD still works.
      if (isOfPath(answer)) unlistable.push({ place: location, why: 'S3 refuses to list it' });
      else if (isOnly && !isNoListing(answer)) allowance.judge([{ place: location, unknown: answer }]);
      // The first page shows that nothing is listed here; a later one may only not go on.
      else if (after === null || !isNoListing(answer))
        unlistable.push({ place: location, why: `a LIST of it gave ${answer.detail}` });
      return isOfS3(answer) && answer.reason !== 'throttled' ? 'failed' : 'part';
    }
    allowance.answered(location);
    await options.take(answer.objects);
    after = answer.next;
    listing.next = after === null ? null : { place: location, after };
    if (after === null) return 'whole';
  }
  return 'part';
}
