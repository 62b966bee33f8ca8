import { Readable } from 'node:stream';
import type { ListObjectsV2CommandOutput, ServiceInputTypes, ServiceOutputTypes } from '@aws-sdk/client-s3';
import {
  DeleteObjectCommand,
  GetBucketLocationCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import type { Logger } from 'pino';
import { archiveOf } from './archive.ts';
import { createBucketLooks } from './bucket-looks.ts';
import type { Outcome, S3Observer, Sending } from './calls.ts';
import { answerOf, createCalls, NO_ANSWER_OF_S3, unknownOf, unknownOfBucket } from './calls.ts';
import { clockSkewSeconds, correctClockOnce } from './clock.ts';
import type { S3Connection } from './connection.ts';
import { clientConfig, openTransport } from './connection.ts';
import type { Unknown } from './failure.ts';
import { isBodilessBadRequest } from './failure.ts';

/** `missing` is said only when the bucket is known to be there. */
export type HeadAnswer = PresentObject | { readonly kind: 'missing' } | Unknown;

export interface PresentObject {
  readonly kind: 'present';
  readonly bytes: number;
  /** The archive that it has to be restored from before it can be read, in S3's words; null: it can be read. */
  readonly archive: string | null;
}

export interface ListedObject {
  readonly key: string;
  readonly bytes: number;
  /** Epoch milliseconds, on the storage's clock. */
  readonly lastModified: number;
  /** In S3's words, e.g. `GLACIER`; what a server does not say is `STANDARD`. */
  readonly storageClass: string;
}

export type ListAnswer =
  | {
      readonly kind: 'listed';
      readonly objects: readonly ListedObject[];
      /** Continuation token: what `after` takes for the next page; null on the last one. */
      readonly next: string | null;
    }
  | Unknown;

/** `version`: what the bucket keeps of it, a marker of a deletion too; null where it keeps no versions. */
export type DoneAnswer = { readonly kind: 'done'; readonly version: string | null } | Unknown;
/** `attempts`: an earlier one may have written as well, and only its answer was lost. */
export type PutAnswer =
  | { readonly kind: 'done'; readonly version: string | null; readonly attempts: number }
  | Unknown;
/** `version`: what the bucket keeps of it; null where it keeps no versions. */
export type GetAnswer =
  | { readonly kind: 'got'; readonly body: Uint8Array; readonly version: string | null }
  | { readonly kind: 'missing' }
  | Unknown;
/** `archived`: the storage does not give it out before it is restored. */
export type PeekAnswer = { readonly kind: 'readable' | 'archived' | 'missing' } | Unknown;

/** Whether the bucket was seen, and by which request. s3fs would make one that neither of the two shows. */
export type BucketAnswer =
  | { readonly kind: 'seen'; readonly by: 'HeadBucket' | 'GetBucketLocation' }
  | { readonly kind: 'unseen'; readonly head: Unknown; readonly location: Unknown };

export interface ObjectAddress {
  readonly bucket: string;
  readonly key: string;
}

export interface ListTarget {
  readonly bucket: string;
  readonly prefix: string;
  /** Continuation token of the page before; null for the first page. */
  readonly after: string | null;
  /** Keys up to this one, it included, are left out; for the first page. */
  readonly startAfter?: string;
  readonly maxKeys?: number;
}

/** None of the requests throws: an `Unknown` says what went wrong. */
export interface ObjectStore {
  head(target: ObjectAddress, signal: AbortSignal): Promise<HeadAnswer>;
  /** One request, one page. */
  list(target: ListTarget, signal: AbortSignal): Promise<ListAnswer>;
  put(target: ObjectAddress & { readonly body: Uint8Array }, signal: AbortSignal): Promise<PutAnswer>;
  get(target: ObjectAddress, signal: AbortSignal): Promise<GetAnswer>;
  /** Asks for one byte and lets go of it: whether the object can be read is all that is wanted. */
  peek(target: ObjectAddress, signal: AbortSignal): Promise<PeekAnswer>;
  /** Also `done` when there was no such object: S3 does not tell. `version`: that one alone, and for good. */
  delete(target: ObjectAddress & { readonly version?: string }, signal: AbortSignal): Promise<DoneAnswer>;
  /**
   * Looks for the bucket as s3fs does before each write: by HEAD, and where that fails for whatever reason by asking for
   * its region. It stops before the third request of s3fs, which makes the bucket.
   */
  seeBucket(bucket: string, signal: AbortSignal): Promise<BucketAnswer>;
  /** Sends nothing. By how much the storage's clock is ahead; 0: by less than a minute. Null: no answer has said it. */
  clockSkewSeconds(): number | null;
  /** Closes the kept-alive connections. Abort what is under way first. */
  close(): void;
}

export interface ObjectStoreOptions {
  readonly observer: S3Observer;
  readonly log: Logger;
  /** The longest that a call takes once it has its turn, retries and body included. Default 7,000. */
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
  const client = new S3Client({ ...clientConfig(connection), requestHandler });
  correctClockOnce(client, log);
  // It copies what is asked and answered for a log of the SDK's own that nobody keeps.
  client.middlewareStack.remove('loggerMiddleware');
  const calls = createCalls({ observer, log, requestTimeoutMs, concurrency });

  /** Watches by a middleware of the command, since those of the client are told nothing of the call that they serve. */
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
    // A page that lacks what every page says tells nothing of the bucket: a HEAD does.
    const isSeen = listed.detail === NO_ANSWER_OF_S3 && (await seeBucket(bucket, signal)).kind === 'seen';
    return isSeen ? null : listed;
  });

  async function seeBucket(bucket: string, signal: AbortSignal): Promise<BucketAnswer> {
    const head = await calls.run('head', {
      signal,
      send: (sending) => send(new HeadBucketCommand({ Bucket: bucket }), sending),
    });
    if (head.kind === 'answered') return { kind: 'seen', by: 'HeadBucket' };
    const location = await calls.run('get', {
      signal,
      send: (sending) => send(new GetBucketLocationCommand({ Bucket: bucket }), sending),
    });
    if (location.kind === 'answered') return { kind: 'seen', by: 'GetBucketLocation' };
    return { kind: 'unseen', head: unknownOfBucket(head), location: unknownOf(location) };
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
      send: async (sending) => readPage(await send(new ListObjectsV2Command(input), sending)),
    });
    return answerOf(seen(bucket, outcome));
  }

  return {
    list,

    head: async (target, signal) => {
      const input = { Bucket: target.bucket, Key: target.key };
      let sentAt = 0;
      const outcome = await calls.run('head', {
        signal,
        send: async (sending): Promise<HeadAnswer | null> => {
          sentAt = performance.now();
          const answer = await send(new HeadObjectCommand(input), sending);
          const { ContentLength: bytes, ETag, StorageClass: storageClass } = answer;
          if (bytes === undefined || ETag === undefined) return null;
          const said = { storageClass, restore: answer.Restore, archiveStatus: answer.ArchiveStatus };
          return { kind: 'present', bytes, archive: archiveOf(said) };
        },
      });
      if (outcome.kind === 'missing') return (await looks.lookFor(target, { sentAt, signal })) ?? outcome;
      // An expired token, for one: its name would be in the body that a HEAD has not.
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
        send: async (sending): Promise<GetAnswer | null> => {
          const { Body, ETag, VersionId } = await send(new GetObjectCommand(input), sending);
          if (Body === undefined || ETag === undefined) return null;
          return { kind: 'got', body: await Body.transformToByteArray(), version: VersionId ?? null };
        },
      });
      const answer = seen(target.bucket, outcome);
      return answer.kind === 'answered' ? answer.answer : answer;
    },

    peek: async (target, signal) => {
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
    },

    put: async (target, signal) => {
      const input = { Bucket: target.bucket, Key: target.key, Body: target.body };
      const outcome = await calls.run('put', {
        signal,
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
        send: async (sending): Promise<DoneAnswer> => {
          const { VersionId } = await send(new DeleteObjectCommand(input), sending);
          return { kind: 'done', version: VersionId ?? null };
        },
      });
      // Some servers, unlike AWS, do tell.
      return outcome.kind === 'missing' ? { kind: 'done', version: null } : answerOf(seen(bucket, outcome));
    },

    seeBucket,

    clockSkewSeconds: () => clockSkewSeconds(client),

    close: () => {
      client.destroy();
    },
  };
}

/** Null for whatever a portal or a proxy answers in place of S3: it must not pass for an empty page. */
function readPage(output: ListObjectsV2CommandOutput): ListAnswer | null {
  const { IsTruncated: truncated, NextContinuationToken: next, Contents: contents = [] } = output;
  if (truncated === undefined || (truncated && next === undefined)) return null;
  const objects: ListedObject[] = [];
  for (const { Key: key, Size: bytes, LastModified: modified, StorageClass } of contents) {
    if (key === undefined || bytes === undefined || modified === undefined) return null;
    objects.push({ key, bytes, lastModified: modified.getTime(), storageClass: StorageClass ?? 'STANDARD' });
  }
  return { kind: 'listed', objects, next: truncated ? (next ?? null) : null };
}
