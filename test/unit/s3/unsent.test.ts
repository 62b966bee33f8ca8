import { pino } from 'pino';
import { expect, test } from 'vitest';
import { openObjectStore } from '../../../src/s3/client.ts';
import type { S3Connection } from '../../../src/s3/connection.ts';
import { connectionWith, recordRequests } from '../../support/s3.ts';

const AWS = connectionWith({ region: 'eu-west-1' });
const ACCELERATED = { useAccelerateEndpoint: true } as const;
const OF_SEVERAL_REGIONS = 'arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap';

test.each<[string, S3Connection, string, string]>([
  [
    'an accelerated endpoint in China',
    { ...AWS, region: 'cn-north-1', variants: ACCELERATED },
    'bucket',
    'not sent: S3 Accelerate cannot be used in this region',
  ],
  [
    'an accelerated endpoint for a bucket with dots',
    { ...AWS, variants: ACCELERATED },
    'my.bucket',
    'not sent: Path-style addressing cannot be used with S3 Accelerate',
  ],
  [
    'an access point of several regions',
    AWS,
    OF_SEVERAL_REGIONS,
    'not sent: an access point of several regions asks for a signature that the exporter does not make (SigV4a)',
  ],
  [
    'an ARN that is none',
    AWS,
    'arn:aws:s3:eu-west-1',
    'not sent: Invalid ARN: `arn:aws:s3:eu-west-1` was not a valid ARN',
  ],
  [
    'an ARN without a name',
    AWS,
    'arn:aws:s3:eu-west-1:123456789012:',
    'not sent: the AWS SDK makes no request of it',
  ],
])('%s: nothing is sent, and no STS is blamed for it', async (_, connection, bucket, detail) => {
  const observer = recordRequests();
  const store = openObjectStore(connection, { observer, log: pino({ level: 'silent' }) });
  const answer = await store.put({ bucket, key: 'k', body: new Uint8Array(1) }, new AbortController().signal);
  store.close();
  expect(answer).toMatchObject({ reason: 'unreachable', detail, said: { by: 'sdk', status: null } });
  // A request that was not sent is no request that failed.
  expect([observer.requests.put, observer.failures]).toEqual([0, []]);
});
