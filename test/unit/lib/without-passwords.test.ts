import { expect, test } from 'vitest';
import { withoutPasswords } from '../../../src/lib/without-passwords.ts';

test.each([
  ['Cannot read postgresql://me:pa:ss/w@rd@db/a: ENOENT', 'Cannot read postgresql://me:***@db/a: ENOENT'],
  ['seen is s3://AKIA:secret@bucket/xcom.', 'seen is s3://AKIA:***@bucket/xcom.'],
  ['redis://:secret@cache', 'redis://:***@cache'],
  ['s3://aws_xcom@bucket/a,s3://other@bucket/b', 's3://aws_xcom@bucket/a,s3://other@bucket/b'],
  ['http://localhost:10048/ and me@example.org', 'http://localhost:10048/ and me@example.org'],
])('%s', (text, shown) => {
  expect(withoutPasswords(text)).toBe(shown);
});
