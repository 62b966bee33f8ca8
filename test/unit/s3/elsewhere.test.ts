import { GetObjectCommand, HeadObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { openClient } from '../../../src/s3/sdk-client.ts';
import type { S3Connection } from '../../../src/s3/connection.ts';
import { connectionWith } from '../../support/s3.ts';

interface Sent {
  readonly hostname: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Answers as AWS does for a bucket in eu-west-1. The host of a bucket leads to its region. */
function bucketInIreland(
  answerThere: { readonly status: number; readonly code: string },
  {
    told = { variants: { useGlobalEndpoint: true } },
    wrong = 400,
  }: { readonly told?: Partial<S3Connection>; readonly wrong?: number } = {},
) {
  const asked: string[] = [];
  const handle = ({ hostname, headers }: Sent) => {
    const region = /Credential=[^/]+\/\d+\/([^/]+)\//.exec(headers['authorization'] ?? '')?.[1] ?? '';
    asked.push(`${hostname} ${region}`);
    const { status, code } =
      region === 'eu-west-1' ? answerThere : { status: wrong, code: 'AuthorizationHeaderMalformed' };
    const body = status === 200 ? '' : `<Error><Code>${code}</Code><Region>eu-west-1</Region></Error>`;
    const answered = { 'x-amz-bucket-region': 'eu-west-1', 'content-type': 'application/xml', etag: '"0"' };
    return Promise.resolve({
      response: { statusCode: status, headers: answered, body: Readable.from([Buffer.from(body)]) },
    });
  };
  const client = openClient(connectionWith(told), { requestHandler: { handle } });
  return { asked, client };
}

const BOTH = ['bucket.s3.amazonaws.com us-east-1', 'bucket.s3.eu-west-1.amazonaws.com eu-west-1'];

test('without a region, a bucket elsewhere is asked in the region that S3 names, as botocore does', async () => {
  const { asked, client } = bucketInIreland({ status: 200, code: '' });
  await client.send(new PutObjectCommand({ Bucket: 'bucket', Key: 'k', Body: new Uint8Array(1) }));
  expect(asked).toEqual(BOTH);
});

test('the refusal there is S3’s own', async () => {
  const { asked, client } = bucketInIreland({ status: 400, code: 'ExpiredToken' });
  const sent = client.send(new GetObjectCommand({ Bucket: 'bucket', Key: 'k' }));
  await expect(sent).rejects.toMatchObject({ name: 'ExpiredToken' });
  expect(asked).toEqual(BOTH);
});

test.each<[string, Partial<S3Connection>, number]>([
  ['a 400 of the global host', { variants: { useGlobalEndpoint: true } }, 400],
  ['a 307 of the global host', { variants: { useGlobalEndpoint: true } }, 307],
  ['a 301 of another region', { region: 'eu-central-1' }, 301],
])('%s names the region once, and it is kept for the bucket', async (_, told, wrong) => {
  const { asked, client } = bucketInIreland({ status: 200, code: '' }, { told, wrong });
  const head = (n: number) => client.send(new HeadObjectCommand({ Bucket: 'bucket', Key: `k${n}` }));
  await head(0);
  expect(asked).toHaveLength(2);
  await Promise.all(Array.from({ length: 16 }, (__, n) => head(n)));
  expect(asked.slice(2)).toEqual(
    Array.from({ length: 16 }, () => 'bucket.s3.eu-west-1.amazonaws.com eu-west-1'),
  );
});

test('many that begin at once are all answered from the region that S3 names', async () => {
  const { asked, client } = bucketInIreland({ status: 200, code: '' });
  const heads = Array.from({ length: 16 }, (_, n) =>
    client.send(new HeadObjectCommand({ Bucket: 'bucket', Key: `k${n}` })),
  );
  const answers = await Promise.all(heads);
  expect(answers.map(({ ETag }) => ETag)).toEqual(Array.from({ length: 16 }, () => '"0"'));
  expect(asked.filter((one) => one === BOTH[1])).toHaveLength(16);
});
