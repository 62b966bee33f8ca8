import { GetObjectCommand } from '@aws-sdk/client-s3';
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { addAbortSignal } from 'node:stream';
import type { Readable } from 'node:stream';
import { messageOf } from '../lib/message-of.ts';
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

/** Downloads over one connection: credentials are asked for once. */
export interface Downloads {
  /**
   * Writes an object of any size into a file, with only one piece of it in memory at a time.
   *
   * @throws {Error} when the file cannot be written, or at the signal.
   */
  download(target: ObjectAddress & { readonly file: string }, signal: AbortSignal): Promise<DownloadAnswer>;
  close(): void;
}

/** A download may pause for longer than a small request. */
const SILENCE_MS = 60_000;

/** Sends nothing yet. @throws {Error} when the file of certificate authorities cannot be read. */
export function openDownloads(connection: S3Connection): Downloads {
  const requestHandler = openTransport(connection, { requestTimeoutMs: SILENCE_MS, concurrency: 1 });
  const client = openClient(connection, { requestHandler });
  return {
    async download({ bucket, key, file }, signal) {
      try {
        const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }), {
          abortSignal: signal,
        });
        return { kind: 'downloaded', ...(await save(addAbortSignal(signal, Body as Readable), file)) };
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof DiskFailure) throw error;
        return isNoSuchKey(error, 'get')
          ? { kind: 'missing' }
          : explainFailure(error, { now: Date.now(), sent: true, hasBody: true });
      }
    },
    close: () => {
      client.destroy();
    },
  };
}

async function save(body: AsyncIterable<Buffer>, file: string): Promise<{ bytes: number; md5: string }> {
  const md5 = createHash('md5');
  let bytes = 0;
  const out = await onDisk(file, open(file, 'w'));
  try {
    for await (const piece of body) {
      md5.update(piece);
      bytes += piece.length;
      await onDisk(file, out.writeFile(piece));
    }
  } finally {
    await onDisk(file, out.close());
  }
  return { bytes, md5: md5.digest('hex') };
}

/** The file cannot be written, which is no word of object storage. */
class DiskFailure extends Error {}

async function onDisk<T>(file: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    throw new DiskFailure(`Cannot write ${file}: ${messageOf(cause)}`, { cause });
  }
}
