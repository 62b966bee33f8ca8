import { describe, expect, test } from 'vitest';
import { splitPath } from '../../../src/airflow/reference.ts';
import {
  inForceRule,
  isS3Path,
  parseXComPath,
  parseXComPaths,
  standingRule,
} from '../../../src/airflow/xcom-path.ts';

describe('parseXComPath', () => {
  test.each([
    ['s3://bucket', { scheme: 's3', connection: null, bucket: 'bucket', prefix: '' }],
    ['s3://bucket/', { scheme: 's3', connection: null, bucket: 'bucket', prefix: '' }],
    ['s3://aws_xcom@bucket/xcom', { scheme: 's3', connection: 'aws_xcom', bucket: 'bucket', prefix: 'xcom' }],
    ['s3://c@b/key/', { scheme: 's3', connection: 'c', bucket: 'b', prefix: 'key' }],
    ['s3://b//a//b/', { scheme: 's3', connection: null, bucket: 'b', prefix: '/a//b' }],
    ['s3://team@aws@b/k', { scheme: 's3', connection: 'team@aws', bucket: 'b', prefix: 'k' }],
    ['s3://b/a@b/%20?x#y', { scheme: 's3', connection: null, bucket: 'b', prefix: 'a@b/%20?x#y' }],
    ['S3A://c@b/k', { scheme: 's3a', connection: 'c', bucket: 'b', prefix: 'k' }],
    ['s3://@b', { scheme: 's3', connection: null, bucket: 'b', prefix: '' }],
    ['gs://c@b/k', { scheme: 'gs', connection: 'c', bucket: 'b', prefix: 'k' }],
    ['file:///opt/xcom/', { scheme: 'file', connection: null, bucket: '', prefix: '/opt/xcom' }],
    ['/opt/xcom', { scheme: '', connection: null, bucket: '', prefix: '/opt/xcom' }],
    ['xcom', { scheme: '', connection: null, bucket: '', prefix: 'xcom' }],
  ])('%s', (raw, parts) => {
    expect(parseXComPath(raw)).toEqual({ raw, ...parts });
  });

  test.each(['s3://', 's3:///key', 's3://conn@/key', 's3:/bucket/key'])('refuses %s', (raw) => {
    expect(() => parseXComPath(raw)).toThrow(RangeError);
  });

  test.each(['s3://AKIA:geheim@bucket/key', 's3://AKIA%3Ageheim@bucket/key'])(
    'refuses keys in the place of a connection id and does not repeat them: %s',
    (raw) => {
      const read = () => parseXComPath(raw);
      expect(read).toThrow(/id of an Airflow connection/);
      expect(read).not.toThrow(/geheim|AKIA/);
    },
  );

  test('only the three schemes of S3 are S3', () => {
    const schemes = ['s3://b', 's3a://b', 's3n://b', 'gs://b', 'file:///b', '/b'];
    expect(schemes.map((raw) => isS3Path(parseXComPath(raw)))).toEqual([
      true,
      true,
      true,
      false,
      false,
      false,
    ]);
  });
});

/**
 * Run with Airflow 2.9.3, 2.11.2, 3.1.8, 3.3.2 and 3.4.0b2: given the first text, all of them write below the second.
 */
test.each([
  ['s3://c@b/x\n', 's3://c@b/x'],
  ['s3://c@b/x\r\n', 's3://c@b/x'],
  [' s3://c@b/x ', 's3://c@b/x '],
  ['\ns3://c@b/x', 's3://c@b/x'],
  ['s3://c@b/x\ty', 's3://c@b/xy'],
  ['s3://c@b\n/x', 's3://c@b/x'],
  ['s3:\n//c@b/x', 's3://c@b/x'],
  ['s3://c@b/x\n/y', 's3://c@b/x/y'],
  ['s3://c@b/x\nxcom_objectstorage_threshold = 5', 's3://c@b/xxcom_objectstorage_threshold = 5'],
  ['s3://c@b/x\u00a0', 's3://c@b/x\u00a0'],
  ['/data/x\n', '/data/x'],
])('%j is the path %j to Airflow', (text, path) => {
  expect(parseXComPaths(text)).toEqual([parseXComPath(path)]);
});

test('a hard space before the scheme is no scheme to Airflow', () => {
  expect(parseXComPaths('\u00a0s3://c@b/x')).toMatchObject([{ scheme: '', bucket: '' }]);
});

describe('parseXComPaths', () => {
  test('keeps the order, drops what is empty', () => {
    expect(parseXComPaths('s3://new/x, s3://old/x,').map((path) => path.raw)).toEqual([
      's3://new/x',
      's3://old/x',
    ]);
    expect(parseXComPaths('')).toEqual([]);
  });

  test('a comma inside a prefix starts no new path', () => {
    expect(parseXComPaths('s3://b/a,b').map((path) => path.prefix)).toEqual(['a,b']);
  });
});

describe('a reference is as configured', () => {
  const reference = (path: string) => {
    const { scheme, connection, bucket, prefix } = parseXComPath(path);
    return { scheme, connection: connection ?? '', bucket, prefix, suffix: '' };
  };

  test.each([
    ['at the path', 's3://c@b/xcom', 's3://c@b/xcom', true],
    ['below it', 's3://c@b/xcom', 's3://c@b/xcom/v2', true],
    ['far below it', 's3://c@b/xcom', 's3://c@b/xcom/team/a/v2', true],
    ['below a bucket', 's3://c@b', 's3://c@b/anything', true],
    ['at a bucket', 's3://c@b/', 's3://c@b', true],
    ['at the second path', 's3://c@b/xcom, s3://d@pool/xcom', 's3://d@pool/xcom', true],
    ['below the second path', 's3://c@b/xcom, s3://d@pool', 's3://d@pool/xcom', true],
    ['anywhere, where nothing is configured', '', 's3://c@b/xcom', true],
    // 2.10.5 to 3.1.8 write the first form, 3.3.2 and 3.4 the second.
    ['without the dots of the path', 's3://c@b/a/./b', 's3://c@b/a/b', true],
    ['with the dots of the path', 's3://c@b/a/./b', 's3://c@b/a/./b/v2', true],
    ['with dots that the path has not', 's3://c@b/a/b', 's3://c@b/a/./b', false],
    ['with two dots, which stay', 's3://c@b/a/../b', 's3://c@b/b', false],
    ['by another name of S3', 's3a://c@b/xcom', 's3a://c@b/xcom', true],
    ['beside it', 's3://c@b/xcom', 's3://c@b/xcom-old', false],
    ['above it', 's3://c@b/xcom/v2', 's3://c@b/xcom', false],
    ['in another bucket', 's3://c@b/xcom', 's3://c@b2/xcom', false],
    ['with another connection', 's3://c@b/xcom', 's3://d@b/xcom', false],
    ['without the connection', 's3://c@b/xcom', 's3://b/xcom', false],
    ['with another scheme', 's3://c@b/xcom', 's3a://c@b/xcom', false],
    ['with a slash more', 's3://c@b//xcom', 's3://c@b/xcom', false],
    ['with the connection of one and the bucket of another', 's3://c@b, s3://d@pool', 's3://d@b', false],
  ])('%s', (_, paths, path, is) => {
    expect(inForceRule(parseXComPaths(paths))(reference(path))).toBe(is);
  });
});

test.each([
  [
    'arn:aws:s3:eu-west-1:123456789012:accesspoint/ap/a/b',
    'arn:aws:s3:eu-west-1:123456789012:accesspoint/ap',
    'a/b',
  ],
  [
    'arn:aws-cn:s3:cn-north-1:123456789012:accesspoint/ap',
    'arn:aws-cn:s3:cn-north-1:123456789012:accesspoint/ap',
    '',
  ],
  [
    'arn:aws:s3:eu-west-1:123456789012:accesspoint:ap/a',
    'arn:aws:s3:eu-west-1:123456789012:accesspoint:ap',
    'a',
  ],
])('an access point is a bucket with its slash, as s3fs takes it: %s', (place, bucket, prefix) => {
  expect(parseXComPaths(`s3://conn@${place}`)).toMatchObject([{ connection: 'conn', bucket, prefix }]);
  expect(parseXComPaths(`s3://${place}`)).toMatchObject([{ connection: null, bucket, prefix }]);
  const key = prefix === '' ? 'k' : `${prefix}/k`;
  expect(splitPath(`s3://conn@${bucket}/${key}`)).toEqual({ scheme: 's3', connection: 'conn', bucket, key });
});

test.each([
  ['at the path', 's3://c@b/xcom', 'in_force'],
  ['under another prefix', 's3://c@b/old', 'elsewhere'],
  ['in another bucket', 's3://c@old/xcom', 'elsewhere'],
  ['with another connection', 's3://d@b/xcom', 'elsewhere'],
  ['without the connection', 's3://b/xcom', 'elsewhere'],
  ['without it, and elsewhere', 's3://b/exports', 'open'],
  ['without it, and below', 's3://b/xcom/exports', 'open'],
  ['with another one, and elsewhere', 's3://d@lake/raw', 'open'],
])('%s a place stands as it has to do with the path', (_, path, standing) => {
  const { scheme, connection, bucket, prefix } = parseXComPath(path);
  const base = { scheme, connection: connection ?? '', bucket, prefix, suffix: '' };
  expect(standingRule(parseXComPaths('s3://c@b/xcom'))(base)).toBe(standing);
  expect(standingRule(null)(base)).toBe('untold');
  // Without a connection that workers use, a bucket says nothing about the path.
  expect(standingRule(parseXComPaths('s3://other/xcom'))({ ...base, connection: '' })).toBe('open');
});

test('s3n has no host up to Airflow 3.1, and its bucket is the first part of the path', () => {
  const parts = { scheme: 's3n', connection: 'conn', bucket: 'bkt', key: 'a/k' };
  expect(splitPath('s3n://conn@/bkt/a/k')).toEqual(parts);
  expect(splitPath('s3n://conn@bkt/a/k')).toEqual(parts);
  expect(splitPath('s3n:///bkt/a/k')).toEqual({ ...parts, connection: '' });
});
