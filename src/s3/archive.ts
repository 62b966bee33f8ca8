/**
 * Objects in an archive exist but cannot be read until somebody restores them: GET answers 403 InvalidObjectState.
 * Sources: the S3 API reference, HeadObject (`x-amz-storage-class`, `x-amz-restore`, `x-amz-archive-status`), and the
 * S3 user guide, "Working with archived objects" and "Managing storage costs with S3 Intelligent-Tiering".
 */

/**
 * Storage classes whose objects must be restored before they can be read. GLACIER_IR is not one: its objects are
 * readable at once.
 */
export const ARCHIVE_CLASSES: readonly string[] = ['GLACIER', 'DEEP_ARCHIVE'];

/** Some tiers of this storage class are archives, and a listing does not show which tier an object is in. */
export const TIERED = 'INTELLIGENT_TIERING';
/** No object moves to an archive tier before 90 days without access. One day less allows for clocks that differ. */
const TIERED_READABLE_MS = 89 * 86_400_000;

/** The headers of an object that say whether it is in an archive. */
export interface ArchiveHeaders {
  readonly storageClass: string | undefined;
  /** For example `ongoing-request="true"`. */
  readonly restore: string | undefined;
  /** The archive tier of INTELLIGENT_TIERING that the object is in. */
  readonly archiveStatus: string | undefined;
}

/** The archive that the object has to be restored from, in S3's words; null when the object can be read. */
export function archiveOf({ storageClass, restore, archiveStatus }: ArchiveHeaders): string | null {
  if (archiveStatus !== undefined && archiveStatus !== '') return archiveStatus;
  if (storageClass === undefined || !ARCHIVE_CLASSES.includes(storageClass)) return null;
  return restore !== undefined && /ongoing-request="false"/.test(restore) ? null : storageClass;
}

/** Whether a listing cannot tell if the object is readable. `now`: epoch ms. */
export function mayBeArchived(
  { storageClass, lastModified }: { readonly storageClass: string; readonly lastModified: number },
  now: number,
): boolean {
  if (storageClass === TIERED) return now - lastModified >= TIERED_READABLE_MS;
  return ARCHIVE_CLASSES.includes(storageClass);
}
