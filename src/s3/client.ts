import { Readable } from 'node:stream';
import type { ServiceInputTypes, ServiceOutputTypes } from '@aws-sdk/client-s3';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import type { Logger } from 'pino';
import { absenceByGet } from './absence-by-get.ts';
import { archiveOf } from './archive.ts';
import { createBucketLooks } from './bucket-looks.ts';
import type { Outcome, S3Observer, Sending } from './calls.ts';
import { answerOf, createCalls } from './calls.ts';
import { clockSkewSeconds, correctClockOnce } from './clock.ts';
import type { S3Connection } from './connection.ts';
import type { Unknown } from './failure.ts';
import { isBodilessBadRequest, NO_ANSWER_OF_S3 } from './failure.ts';
import { isSignedByS3 } from './in-between.ts';
import type { ListAnswer } from './listing.ts';
import { takeListing } from './listing.ts';
import type { BucketAnswer } from './look-for-bucket.ts';
import { lookForBucket } from './look-for-bucket.ts';
import { openClient } from './sdk-client.ts';
import { openTransport } from './transport.ts';

/** `missing` is given only when the bucket is known to exist. */
export type HeadAnswer = SeenObject | { readonly kind: 'missing' } | Unknown;

export interface PresentObject {
  readonly kind: 'present';
  readonly bytes: number;
  /** The archive that the object has to be restored from before it can be read, in S3's words; null: it can be read. */
  readonly archive: string | null;
}

export interface SeenObject extends PresentObject {
  /** Epoch ms; null when the storage does not say it. */
  readonly lastModified: number | null;
}

/** `version`: the version that the bucket keeps, which may be a delete marker; null when it keeps no versions. */
export type DoneAnswer = { readonly kind: 'done'; readonly version: string | null } | Unknown;
/** `attempts`: when above 1, an earlier attempt may also have written, and only its answer was lost. */
export type PutAnswer =
  | { readonly kind: 'done'; readonly version: string | null; readonly attempts: number }
  | Unknown;
/** `version`: the version of the object in the bucket; null when the bucket keeps no versions. */
export type GetAnswer =
  | { readonly kind: 'got'; readonly body: Uint8Array; readonly version: string | null }
  | { readonly kind: 'missing' }
  | Unknown;
/** `archived`: the storage does not hand out the object until it is restored. */
export type PeekAnswer = { readonly kind: 'readable' | 'archived' | 'missing' } | Unknown;

/** A target whose caller measures time. */
interface Measured {
  /** Called when the request is sent, after the wait for its turn and for credentials. */
  readonly onSent?: () => void;
}

export interface ObjectAddress extends Measured {
  readonly bucket: string;
  readonly key: string;
}

export interface ListTarget extends Measured {
  readonly bucket: string;
  readonly prefix: string;
  /** Continuation token of the page before; null for the first page. */
  readonly after: string | null;
  /** Only for the first page: leaves out the keys up to and including this one. */
  readonly startAfter?: string;
  readonly maxKeys?: number;
}

/** None of the requests throws: an `Unknown` says what went wrong. */
export interface ObjectStore {
  /** `prefix`: the path of the object, for which S3 may have rules of its own. */
  head(target: ObjectAddress & { readonly prefix?: string }, signal: AbortSignal): Promise<HeadAnswer>;
  /** Reads one page with one request. */
  list(target: ListTarget, signal: AbortSignal): Promise<ListAnswer>;
  put(target: ObjectAddress & { readonly body: Uint8Array }, signal: AbortSignal): Promise<PutAnswer>;
  get(target: ObjectAddress, signal: AbortSignal): Promise<GetAnswer>;
  /** Asks for one byte and drops it: the caller only wants to know whether the object can be read. */
  peek(target: Omit<ObjectAddress, 'onSent'>, signal: AbortSignal): Promise<PeekAnswer>;
  /**
   * Answers `done` even when there was no such object, because S3 does not tell. With `version`, deletes only that
   * version, for good.
   */
  delete(target: ObjectAddress & { readonly version?: string }, signal: AbortSignal): Promise<DoneAnswer>;
  /**
   * Looks for the bucket as s3fs does before each write: by HEAD, and if HEAD fails for any reason, by asking for the
   * bucket's region. It stops before the third request of s3fs, which creates the bucket.
   */
  seeBucket(bucket: string, signal: AbortSignal): Promise<BucketAnswer>;
  /**
   * Seconds by which the storage's clock is ahead; 0: less than a minute off; null: no answer has told the time. Sends
   * nothing.
   */
  clockSkewSeconds(): number | null;
  /** Closes the kept-alive connections. Abort the requests under way first. */
  close(): void;
}

export interface ObjectStoreOptions {
  readonly observer: S3Observer;
  readonly log: Logger;
  /** The longest that a call may take from its turn on, retries and body included. Default 7,000. */
  readonly requestTimeoutMs?: number;
  /** The most calls under way at once. Default 16. */
  readonly concurrency?: number;
}

/**
 * Sends nothing yet.
 *
 * @throws {Error} when the file of certificate authorities cannot be read.
 */
export function openObjectStore(connection: S3Connection, options: ObjectStoreOptions): ObjectStore {
  const { observer, log, requestTimeoutMs = 7_000, concurrency = 16 } = options;
  const requestHandler = openTransport(connection, { requestTimeoutMs, concurrency });
  const client = openClient(connection, { requestHandler });
  correctClockOnce(client, log);
  // This middleware copies requests and answers for a log of the SDK that nobody keeps.
  client.middlewareStack.remove('loggerMiddleware');
  const calls = createCalls({ observer, log, requestTimeoutMs, concurrency });

  /**
   * Watches through a middleware of the command, because the client's middlewares do not know which call they serve.
   */
  function send<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
    command: Parameters<typeof client.send<Input, Output>>[0],
    { abortSignal, watchAttempt }: Sending,
  ): Promise<Output> {
    command.middlewareStack.add((next) => (args) => watchAttempt(() => next(args)), {
      step: 'deserialize',
      priority: 'high',
      name: 'watchAttempt',
    });
    return client.send(command, { abortSignal });
  }

  const looks = createBucketLooks(async (bucket, { prefix, signal }) => {
    const listed = await list({ bucket, prefix, after: null, maxKeys: 1 }, signal);
    if (listed.kind === 'listed') return null;
    // A page without the fields that every page has tells nothing about the bucket, but a HEAD does.
    const isSeen = listed.detail === NO_ANSWER_OF_S3 && (await seeBucket(bucket, signal)).kind === 'seen';
    return isSeen ? null : listed;
  });

  function seeBucket(bucket: string, signal: AbortSignal): Promise<BucketAnswer> {
    return lookForBucket(bucket, {
      head: (command) => calls.run('head', { signal, send: (sending) => send(command, sending) }),
      location: (command) => calls.run('get', { signal, send: (sending) => send(command, sending) }),
    });
  }

  function seen<T>(bucket: string, outcome: Outcome<T>): Outcome<T> {
    if (outcome.kind === 'answered') looks.seen(bucket);
    return outcome;
  }

  async function list(target: ListTarget, signal: AbortSignal): Promise<ListAnswer> {
    const { bucket, prefix, after, startAfter, maxKeys } = target;
    const input = {
      Bucket: bucket,
      Prefix: prefix,
      ...(after === null ? {} : { ContinuationToken: after }),
      ...(startAfter === undefined ? {} : { StartAfter: startAfter }),
      ...(maxKeys === undefined ? {} : { MaxKeys: maxKeys }),
    };
    const outcome = await calls.run('list', {
      signal,
      onSent: target.onSent,
      send: async (sending) => {
        const command = new ListObjectsV2Command(input);
        const listed = takeListing(command);
        await send(command, sending);
        const page = listed();
        // With the same token again a listing would never end.
        const isAnswer = page !== null && (page.next === null || page.next !== after);
        return isAnswer && page.objects.every(({ key }) => key.startsWith(prefix)) ? page : null;
      },
    });
    return answerOf(seen(bucket, outcome));
  }

  async function peek(target: ObjectAddress, signal: AbortSignal): Promise<PeekAnswer> {
    const input = { Bucket: target.bucket, Key: target.key, Range: 'bytes=0-0' };
    const outcome = await calls.run('get', {
      signal,
      send: async (sending): Promise<PeekAnswer | null> => {
        const { Body, ETag } = await send(new GetObjectCommand(input), sending);
        if (Body instanceof Readable) Body.destroy();
        return ETag === undefined ? null : { kind: 'readable' };
      },
    });
    if (outcome.kind === 'unknown' && outcome.said.cause === 'archived') return { kind: 'archived' };
    const answer = seen(target.bucket, outcome);
    return answer.kind === 'answered' ? answer.answer : answer;
  }

  return {
    list,

    head: async (target, signal) => {
      const input = { Bucket: target.bucket, Key: target.key };
      let sentAt = 0;
      // Boxed, because the compiler does not see that the callback below assigns it.
      const last = { isSigned: true };
      const outcome = await calls.run('head', {
        signal,
        onSent: target.onSent,
        send: async (sending): Promise<HeadAnswer | null> => {
          sentAt = performance.now();
          const answer = await send(new HeadObjectCommand(input), sending).catch((error: unknown) => {
            last.isSigned = isSignedByS3(error);
            throw error;
          });
          const { ContentLength: bytes, ETag, StorageClass: storageClass, LastModified } = answer;
          if (bytes === undefined || ETag === undefined) return null;
          const said = { storageClass, restore: answer.Restore, archiveStatus: answer.ArchiveStatus };
          return {
            kind: 'present',
            bytes,
            archive: archiveOf(said),
            lastModified: LastModified?.getTime() ?? null,
          };
        },
      });
      if (outcome.kind === 'missing') {
        const asked = last.isSigned ? null : absenceByGet(await peek(target, signal));
        return asked ?? (await looks.lookFor(target, { sentAt, signal })) ?? outcome;
      }
      // An expired token is one example: S3 would name it in the body, but a HEAD has no body.
      if (outcome.kind === 'unknown' && isBodilessBadRequest(outcome)) {
        return (await looks.lookFor(target, { sentAt, signal })) ?? outcome;
      }
      const answer = seen(target.bucket, outcome);
      return answer.kind === 'answered' ? answer.answer : answer;
    },

    get: async (target, signal) => {
      const input = { Bucket: target.bucket, Key: target.key };
      const outcome = await calls.run('get', {
        signal,
        onSent: target.onSent,
        send: async (sending): Promise<GetAnswer | null> => {
          const { Body, ETag, VersionId } = await send(new GetObjectCommand(input), sending);
          if (Body === undefined || ETag === undefined) return null;
          return { kind: 'got', body: await Body.transformToByteArray(), version: VersionId ?? null };
        },
      });
      const answer = seen(target.bucket, outcome);
      return answer.kind === 'answered' ? answer.answer : answer;
    },

    peek,

    put: async (target, signal) => {
      const input = { Bucket: target.bucket, Key: target.key, Body: target.body };
      const outcome = await calls.run('put', {
        signal,
        onSent: target.onSent,
        send: async (sending): Promise<PutAnswer | null> => {
          const { ETag, VersionId, $metadata } = await send(new PutObjectCommand(input), sending);
          if (ETag === undefined) return null;
          return { kind: 'done', version: VersionId ?? null, attempts: $metadata.attempts ?? 1 };
        },
      });
      return answerOf(seen(target.bucket, outcome));
    },

    delete: async (target, signal) => {
      const { bucket, key, version } = target;
      const input = { Bucket: bucket, Key: key, ...(version === undefined ? {} : { VersionId: version }) };
      const outcome = await calls.run('delete', {
        signal,
        onSent: target.onSent,
        send: async (sending): Promise<DoneAnswer> => {
          const { VersionId } = await send(new DeleteObjectCommand(input), sending);
          return { kind: 'done', version: VersionId ?? null };
        },
      });
      // Some servers, unlike AWS, do tell that the object did not exist.
      return outcome.kind === 'missing' ? { kind: 'done', version: null } : answerOf(seen(bucket, outcome));
    },

    seeBucket,

    clockSkewSeconds: () => clockSkewSeconds(client),

    close: () => {
      client.destroy();
    },
  };
}
