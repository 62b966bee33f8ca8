import { expect, test } from 'vitest';
import { uncheckedReason } from '../../../src/objects/findings.ts';
import type { S3Reason } from '../../../src/s3/reason.ts';

test.each<[S3Reason, string]>([
  ['denied', 'denied'],
  ['clock_skew', 'denied'],
  ['throttled', 'throttled'],
  ['timeout', 'timeout'],
  ['unreachable', 'unreachable'],
  ['no_such_bucket', 'unreachable'],
  ['wrong_region', 'unreachable'],
  ['server_error', 'unreachable'],
])('a reference that %s leaves unchecked counts as %s', (reason, label) => {
  expect(uncheckedReason(reason)).toBe(label);
});
