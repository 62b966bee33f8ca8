/**
 * Objects in an archive are there and cannot be read before somebody restores them: GET answers 403 InvalidObjectState.
 * Sources: the S3 API reference, HeadObject (`x-amz-storage-class`, `x-amz-restore`, `x-amz-archive-status`), and the S3
 * user guide, "Working with archived objects" and "Managing storage costs with S3 Intelligent-Tiering".
 */

/** Storage classes whose objects have to be restored before they can be read. GLACIER_IR is none: it answers at once. */
export const ARCHIVE_CLASSES: readonly string[] = ['GLACIER', 'DEEP_ARCHIVE'];

/** It has tiers that are archives, of which a listing says nothing. */
const TIERED = 'INTELLIGENT_TIERING';
/** No object gets into such a tier before 90 days without access; the last day allows for clocks that differ. */
const TIERED_READABLE_MS = 89 * 86_400_000;

/** The headers of an object that say where it is. */
export interface ArchiveHeaders {
  readonly storageClass: string | undefined;
  /** As `ongoing-request="true"`. */
  readonly restore: string | undefined;
  /** The tier of INTELLIGENT_TIERING that is an archive. */
  readonly archiveStatus: string | undefined;
}

/** The archive that an object is in and not restored from, in S3's words; null: it can be read. */
export function archiveOf({ storageClass, restore, archiveStatus }: ArchiveHeaders): string | null {
  if (archiveStatus !== undefined && archiveStatus !== '') return archiveStatus;
  if (storageClass === undefined || !ARCHIVE_CLASSES.includes(storageClass)) return null;
  return restore !== undefined && /ongoing-request="false"/.test(restore) ? null : storageClass;
}

/** Whether a listing leaves open if the object can be read. `now`: epoch ms. */
export function mayBeArchived(
  { storageClass, lastModified }: { readonly storageClass: string; readonly lastModified: number },
  now: number,
): boolean {
  if (storageClass === TIERED) return now - lastModified >= TIERED_READABLE_MS;
  return ARCHIVE_CLASSES.includes(storageClass);
}
