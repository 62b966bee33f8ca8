import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { bucketUrl } from '../../../src/s3/bucket-url.ts';
import type { EndpointVariants, S3Connection } from '../../../src/s3/connection.ts';
import { connectionWith } from '../../support/s3.ts';

const FIPS = { useFipsEndpoint: true } as const;
const DUAL = { useDualstackEndpoint: true } as const;
const GLOBAL = { useGlobalEndpoint: true } as const;
const FAST = { useAccelerateEndpoint: true } as const;

/** Each was run with `head_bucket` of botocore 1.44.8, which asks the same host. */
describe('the host of AWS that is asked', () => {
  test.each<[string, EndpointVariants, string]>([
    ['eu-west-1', {}, 's3.eu-west-1.amazonaws.com'],
    ['eu-west-1', DUAL, 's3.dualstack.eu-west-1.amazonaws.com'],
    ['eu-west-1', FAST, 's3-accelerate.amazonaws.com'],
    ['us-east-1', GLOBAL, 's3.amazonaws.com'],
    ['us-east-1', {}, 's3.us-east-1.amazonaws.com'],
    ['us-east-1', { ...GLOBAL, ...FIPS }, 's3-fips.us-east-1.amazonaws.com'],
    ['us-east-1', { ...GLOBAL, ...DUAL }, 's3.dualstack.us-east-1.amazonaws.com'],
    ['us-east-1', { ...GLOBAL, ...FAST }, 's3-accelerate.amazonaws.com'],
    ['us-gov-west-1', FIPS, 's3-fips.us-gov-west-1.amazonaws.com'],
    ['us-gov-west-1', { ...FIPS, ...DUAL }, 's3-fips.dualstack.us-gov-west-1.amazonaws.com'],
    ['cn-north-1', {}, 's3.cn-north-1.amazonaws.com.cn'],
    ['eusc-de-east-1', {}, 's3.eusc-de-east-1.amazonaws.eu'],
    ['us-iso-east-1', {}, 's3.us-iso-east-1.c2s.ic.gov'],
    ['us-isob-east-1', {}, 's3.us-isob-east-1.sc2s.sgov.gov'],
    ['eu-isoe-west-1', {}, 's3.eu-isoe-west-1.cloud.adc-e.uk'],
  ])('%s %j', async (region, variants, host) => {
    expect(await bucketUrl(connectionWith({ region, variants }), 'xcom-bucket')).toBe(
      `https://xcom-bucket.${host}/`,
    );
  });
});

test('the endpoint of a variable is that of a connection that has it, and of no other', async () => {
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
  vi.stubEnv('AWS_ENDPOINT_URL', 'http://other:1');
  expect(await bucketUrl(connectionWith({ region: 'eu-west-1' }), 'xcom-bucket')).toBe(
    'https://xcom-bucket.s3.eu-west-1.amazonaws.com/',
  );
});

test.each<[string, Partial<S3Connection>, string, string]>([
  [
    'a bucket with dots',
    { region: 'eu-west-1' },
    'my.bucket',
    'https://s3.eu-west-1.amazonaws.com/my.bucket',
  ],
  [
    'an access point of AWS',
    { region: 'eu-west-1' },
    'arn:aws:s3:eu-west-2:123456789012:accesspoint/xcom',
    'https://xcom-123456789012.s3-accesspoint.eu-west-2.amazonaws.com/',
  ],
  [
    'an access point behind a VPC endpoint',
    { endpoint: 'https://accesspoint.vpce-1a-2b.s3.eu-west-1.vpce.amazonaws.com', forcePathStyle: true },
    'arn:aws:s3:eu-west-1:123456789012:accesspoint/xcom',
    'https://xcom-123456789012.accesspoint.vpce-1a-2b.s3.eu-west-1.vpce.amazonaws.com/',
  ],
  [
    'an endpoint with a port and a path',
    { endpoint: 'http://minio:9000/s3', forcePathStyle: true },
    'xcom',
    'http://minio:9000/s3/xcom',
  ],
  ['a host of its own', { endpoint: 'http://minio:9000' }, 'xcom', 'http://xcom.minio:9000/'],
  ['an address', { endpoint: 'http://[::1]:9000' }, 'xcom', 'http://[::1]:9000/xcom'],
  [
    'a region that is no name, which is no part of such a host',
    { endpoint: 'http://minio:9000', region: 'us_east_1', forcePathStyle: true },
    'xcom',
    'http://minio:9000/xcom',
  ],
])('%s', async (_, told, bucket, url) => {
  expect(await bucketUrl(connectionWith(told), bucket)).toBe(url);
});

test('no address: the error of the SDK', async () => {
  const asked = bucketUrl(connectionWith({ region: 'cn-north-1', variants: FAST }), 'xcom');
  await expect(asked).rejects.toThrow('S3 Accelerate cannot be used in this region');
});
