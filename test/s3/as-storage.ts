import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import type { Storage } from '../faults/storage.ts';
import type { S3Server } from './servers.ts';
import { ACCOUNT } from './servers.ts';

/** Starts one of the servers for a test that knows versitygw and the embedded server. */
export async function startAsStorage(server: S3Server): Promise<Storage> {
  const running = await server.start();
  const { endpoint } = running;
  const { accessKeyId, secretAccessKey, region } = ACCOUNT;
  const aws = new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
  return {
    name: server.name,
    port: Number(new URL(endpoint).port),
    ...ACCOUNT,
    createBucket: async (bucket) => {
      await aws.send(new CreateBucketCommand({ Bucket: bucket }));
    },
    stop: async () => {
      aws.destroy();
      await running.stop();
    },
  };
}
