import { describe, expect, test } from 'vitest';
import { createAllowance } from '../../../src/objects/allowance.ts';
import { unknown } from '../../../src/s3/failure.ts';
import type { Party, Said } from '../../../src/s3/failure.ts';
import type { S3Reason } from '../../../src/s3/reason.ts';

const never = new AbortController().signal;
const PLACE = { connection: '', bucket: 'xcom', prefix: 'one' };
const NEXT = { ...PLACE, prefix: 'two' };

function allow() {
  return createAllowance({ sent: () => 0 }, { requests: 100, until: Infinity, signal: never });
}

describe('a place that was closed', () => {
  test.each<[S3Reason, Party, boolean]>([
    ['denied', 's3', false],
    ['no_such_bucket', 's3', false],
    ['denied', 'proxy', true],
    ['denied', 'sts', true],
    ['timeout', 'exporter', true],
  ])('by %s of %s: after the new beginning it is closed: %s', (reason, by, isClosed) => {
    const allowance = allow();
    allowance.close({ place: PLACE, unknown: unknown(reason, '', by) });
    expect(allowance.isClosed(PLACE)).toBe(true);
    allowance.reopen();
    expect(allowance.isClosed(PLACE)).toBe(isClosed);
  });

  test.each<[Party, Said['cause'], boolean]>([
    ['s3', null, false],
    ['s3', 'permission', false],
    ['s3', 'identity', true],
    ['s3', 'account', true],
    ['proxy', null, true],
  ])('by a refusal of %s for %s: the next path is closed too: %s', (by, cause, isClosed) => {
    const allowance = allow();
    const denied = unknown('denied', '', by);
    allowance.close({ place: PLACE, unknown: { ...denied, said: { ...denied.said, cause } } });
    expect(allowance.isClosed(NEXT)).toBe(isClosed);
  });
});
