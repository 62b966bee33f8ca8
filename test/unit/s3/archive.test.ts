import { describe, expect, test } from 'vitest';
import { archiveOf, mayBeArchived } from '../../../src/s3/archive.ts';

const RESTORED = 'ongoing-request="false", expiry-date="Fri, 21 Dec 2100 00:00:00 GMT"';
const RESTORING = 'ongoing-request="true"';

describe('the headers of an object tell whether it has to be restored', () => {
  test.each<
    readonly [
      storageClass: string | null,
      restore: string | null,
      status: string | null,
      archive: string | null,
    ]
  >([
    [null, null, null, null],
    ['STANDARD', null, null, null],
    ['STANDARD_IA', null, null, null],
    ['ONEZONE_IA', null, null, null],
    ['REDUCED_REDUNDANCY', null, null, null],
    ['EXPRESS_ONEZONE', null, null, null],
    // GLACIER_IR answers within milliseconds.
    ['GLACIER_IR', null, null, null],
    ['GLACIER', null, null, 'GLACIER'],
    ['GLACIER', RESTORING, null, 'GLACIER'],
    ['GLACIER', RESTORED, null, null],
    ['DEEP_ARCHIVE', null, null, 'DEEP_ARCHIVE'],
    ['DEEP_ARCHIVE', RESTORING, null, 'DEEP_ARCHIVE'],
    ['DEEP_ARCHIVE', RESTORED, null, null],
    ['INTELLIGENT_TIERING', null, null, null],
    ['INTELLIGENT_TIERING', null, 'ARCHIVE_ACCESS', 'ARCHIVE_ACCESS'],
    ['INTELLIGENT_TIERING', null, 'DEEP_ARCHIVE_ACCESS', 'DEEP_ARCHIVE_ACCESS'],
    ['INTELLIGENT_TIERING', RESTORING, 'ARCHIVE_ACCESS', 'ARCHIVE_ACCESS'],
    // A storage class of Ceph's or MinIO's own.
    ['COLD-POOL', null, null, null],
  ])('%s, %s, %s: %s', (storageClass, restore, archiveStatus, archive) => {
    expect(
      archiveOf({
        storageClass: storageClass ?? undefined,
        restore: restore ?? undefined,
        archiveStatus: archiveStatus ?? undefined,
      }),
    ).toBe(archive);
  });
});

describe('a listing leaves open what only a HEAD tells', () => {
  const NOW = Date.UTC(2026, 10, 28);
  test.each<readonly [storageClass: string, days: number, isOpen: boolean]>([
    ['STANDARD', 1_000, false],
    ['STANDARD_IA', 1_000, false],
    ['GLACIER_IR', 1_000, false],
    ['GLACIER', 0, true],
    ['DEEP_ARCHIVE', 0, true],
    // No object moves into an archive tier before 90 days have passed.
    ['INTELLIGENT_TIERING', 0, false],
    ['INTELLIGENT_TIERING', 88, false],
    ['INTELLIGENT_TIERING', 90, true],
    ['INTELLIGENT_TIERING', 400, true],
  ])('%s, written %i days ago: %s', (storageClass, days, isOpen) => {
    expect(mayBeArchived({ storageClass, lastModified: NOW - days * 86_400_000 }, NOW)).toBe(isOpen);
  });
});
