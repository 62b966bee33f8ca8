import { HeadBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { credentialsFix } from '../../../src/probe/credentials-fix.ts';
import { explainFailure } from '../../../src/s3/failure.ts';

test.each([
  ['an access key', { accessKeyId: 'K\n', secretAccessKey: 's' }],
  ['a token', { accessKeyId: 'K', secretAccessKey: 's', sessionToken: 't\r\n' }],
])('%s with a line break makes no request, and no endpoint is blamed for it', async (_, credentials) => {
  const client = new S3Client({ region: 'eu-west-1', endpoint: 'http://127.0.0.1:1', credentials });
  const error: unknown = await client.send(new HeadBucketCommand({ Bucket: 'b' })).catch((e: unknown) => e);
  const failure = explainFailure(error, { now: 0, sent: true, hasBody: false });
  expect(failure).toMatchObject({
    reason: 'denied',
    detail: expect.stringMatching(/^not sent: .* has a line break in it/) as unknown,
    said: { by: 'credentials', status: null },
  });
  expect(credentialsFix(failure)).toMatch(/^Take the line break out/);
});
