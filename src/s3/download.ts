import { GetObjectCommand } from '@aws-sdk/client-s3';
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ObjectAddress } from './client.ts';
import type { S3Connection } from './connection.ts';
import type { Unknown } from './failure.ts';
import { explainFailure, isNoSuchKey } from './failure.ts';
import { openClient } from './sdk-client.ts';
import { openTransport } from './transport.ts';

export type DownloadAnswer =
  | { readonly kind: 'downloaded'; readonly bytes: number; readonly md5: string }
  | { readonly kind: 'missing' }
  | Unknown;

/** A download may pause for longer than a small request. */
const SILENCE_MS = 60_000;

/** Writes an object of any size into a file, with only one piece of it in memory at a time. */
export async function downloadObject(
  connection: S3Connection,
  { bucket, key, file }: ObjectAddress & { readonly file: string },
  signal: AbortSignal,
): Promise<DownloadAnswer> {
  const requestHandler = openTransport(connection, { requestTimeoutMs: SILENCE_MS, concurrency: 1 });
  const client = openClient(connection, { requestHandler });
  try {
    const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }), {
      abortSignal: signal,
    });
    const md5 = createHash('md5');
    let bytes = 0;
    await pipeline(
      Body as Readable,
      async function* (pieces: AsyncIterable<Buffer>) {
        for await (const piece of pieces) {
          md5.update(piece);
          bytes += piece.length;
          yield piece;
        }
      },
      createWriteStream(file),
      { signal },
    );
    return { kind: 'downloaded', bytes, md5: md5.digest('hex') };
  } catch (error) {
    signal.throwIfAborted();
    return isNoSuchKey(error, 'get')
      ? { kind: 'missing' }
      : explainFailure(error, { now: Date.now(), sent: true, hasBody: true });
  } finally {
    client.destroy();
  }
}
