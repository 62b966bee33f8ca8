import type { S3Client } from '@aws-sdk/client-s3';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { createHash } from 'node:crypto';
import { open as openFile } from 'node:fs/promises';
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
   * @throws {Error} when the file cannot be written, when the file of certificate authorities cannot be read, or at the
   *   signal.
   */
  download(target: ObjectAddress & { readonly file: string }, signal: AbortSignal): Promise<DownloadAnswer>;
  close(): void;
}

/** A download may pause for longer than a small request. */
const SILENCE_MS = 60_000;

/** Opens nothing before the first download: files in a folder need no connection. */
export function openDownloads(connection: S3Connection): Downloads {
  let opened: S3Client | null = null;
  return {
    async download({ bucket, key, file }, signal) {
      const client = (opened ??= open(connection));
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
      opened?.destroy();
    },
  };
}

function open(connection: S3Connection): S3Client {
  const requestHandler = openTransport(connection, { requestTimeoutMs: SILENCE_MS, concurrency: 1 });
  return openClient(connection, { requestHandler });
}

async function save(body: AsyncIterable<Buffer>, file: string): Promise<{ bytes: number; md5: string }> {
  const md5 = createHash('md5');
  let bytes = 0;
  const out = await onDisk(file, openFile(file, 'w'));
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
