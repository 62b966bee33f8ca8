import { HeadBucketCommand } from '@aws-sdk/client-s3';
import type { S3Connection } from './connection.ts';
import { openClient } from './sdk-client.ts';

/** The parts of the SDK's request that make its URL. */
interface Built {
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  readonly path: string;
}

/**
 * The URL that the SDK sends a HEAD of this bucket to. Its rules alone know every partition and variant of AWS. Nothing
 * is sent, and no credentials are asked for.
 *
 * @throws {Error} the SDK's own, when it has no address for the bucket.
 */
export async function bucketUrl(connection: S3Connection, bucket: string): Promise<string> {
  // A region is no part of the host at an endpoint of one's own, and the SDK refuses what is no name of a region.
  const region = connection.endpoint === null ? connection.region : null;
  const client = openClient(
    { ...connection, region, role: null, agent: null },
    { credentials: { accessKeyId: '-', secretAccessKey: '-' } },
  );
  // Boxed, because the compiler does not see that the middleware assigns it.
  const seen: { request: Built | null } = { request: null };
  client.middlewareStack.add(
    () =>
      ({ request }) => {
        seen.request = request as Built;
        return Promise.reject(new Error('the URL is known, and nothing is to be sent'));
      },
    { step: 'build', name: 'bucketUrl' },
  );
  try {
    await client.send(new HeadBucketCommand({ Bucket: bucket }));
  } catch (error) {
    if (seen.request === null) throw error;
  } finally {
    client.destroy();
  }
  if (seen.request === null) throw new Error('the SDK made no request');
  const { protocol, hostname, port, path } = seen.request;
  return `${protocol}//${hostname}${port === undefined ? '' : `:${port}`}${path.replace(/(?<=.)\/$/, '')}`;
}
