import { describe, expect, test } from 'vitest';
import { comparedAt, refuseTwoServers, serversOf } from '../../../src/audit/servers.ts';
import type { S3Connection } from '../../../src/s3/connection.ts';

function serverAt(endpoint: string | null, region: string | null): string | null {
  return serversOf({ isKnown: () => true, connectionOf: () => ({ endpoint, region }) as S3Connection })('');
}

describe('the server of a connection', () => {
  test.each<[string, string | null, string | null]>([
    ['AWS', null, null],
    ['AWS', null, 'eu-central-1'],
    ['AWS', 'https://s3.eu-central-1.amazonaws.com', 'eu-central-1'],
    ['AWS', 'https://bucket.vpce-1.s3.us-east-1.vpce.amazonaws.com', null],
    ['AWS China', null, 'cn-north-1'],
    ['AWS China', 'https://s3.cn-northwest-1.amazonaws.com.cn', null],
    ['AWS GovCloud', null, 'us-gov-west-1'],
    ['AWS GovCloud', 'https://s3-fips.us-gov-east-1.amazonaws.com', 'us-gov-east-1'],
    ['AWS GovCloud', 'https://bucket.vpce-1.s3.us-gov-west-1.vpce.amazonaws.com', null],
    ['AWS European Sovereign Cloud', null, 'eusc-de-east-1'],
    ['AWS European Sovereign Cloud', 'https://s3.eusc-de-east-1.amazonaws.eu', null],
    ['minio:9000', 'http://minio:9000/', 'us-east-1'],
    ['amazonaws.com.example.org', 'https://amazonaws.com.example.org', null],
    ['proxy/s3', 'https://proxy/s3/', 'cn-north-1'],
  ])('is %s at %s in %s', (server, endpoint, region) => {
    expect(serverAt(endpoint, region)).toBe(server);
  });
});

test('an audit is refused of buckets of one name in two partitions of AWS, and not of two endpoints of one', () => {
  const place = (connection: string) => ({ bucket: 'bucket', prefix: connection, connection });
  const configured = [place('world'), place('china')];
  const serverOf = (id: string) => serverAt(null, id === 'china' ? 'cn-north-1' : 'us-east-1');
  expect(() => {
    refuseTwoServers(configured, serverOf);
  }).toThrow('xcom.path names a bucket bucket on AWS and one on AWS China: run an audit for each');
  refuseTwoServers(configured, (id) =>
    serverAt(id === 'china' ? 'https://s3.cn-north-1.amazonaws.com.cn' : null, 'cn-north-1'),
  );
});

test('a bucket is compared at the server of its first known connection, and at all endpoints of that server', () => {
  const endpoints: Readonly<Record<string, string | null>> = {
    aws: null,
    private_link: 'https://bucket.vpce-1.s3.us-east-1.vpce.amazonaws.com',
    minio: 'http://minio:9000',
  };
  const place = (connection: string, bucket = 'bucket') => ({ bucket, prefix: 'xcom', connection });
  const serverOf = (id: string) => (id in endpoints ? serverAt(endpoints[id] ?? null, 'us-east-1') : null);
  const bases = [place('nobodys'), place('private_link'), place('minio'), place('minio', 'other')];
  const isCompared = comparedAt(bases, serverOf);
  expect(['nobodys', 'private_link', 'aws', 'minio'].map((id) => isCompared(place(id)))).toEqual([
    false,
    true,
    true,
    false,
  ]);
  expect([isCompared(place('minio', 'other')), isCompared(place('aws', 'other'))]).toEqual([true, false]);
  expect(comparedAt([place('nobodys')], serverOf)(place('nobodys'))).toBe(false);
});
