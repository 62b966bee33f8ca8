import { HeadBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { explainFailure } from '../../../src/s3/failure.ts';

test.each(['eu-west-1 ', '"eu-west-1"', 'eu+west', 'eu-west-1 # c'])(
  'the SDK sends nothing to the region %j, and no STS is blamed for it',
  async (region) => {
    const credentials = { accessKeyId: 'K', secretAccessKey: 's' };
    const client = new S3Client({ region, endpoint: 'http://127.0.0.1:1', credentials });
    const error: unknown = await client.send(new HeadBucketCommand({ Bucket: 'b' })).catch((e: unknown) => e);
    expect(explainFailure(error, { now: 0, sent: false, hasBody: true })).toMatchObject({
      reason: 'wrong_region',
      detail: 'not sent: the region is no name of a region',
      said: { by: 'exporter', status: null, unasked: true },
    });
  },
);
