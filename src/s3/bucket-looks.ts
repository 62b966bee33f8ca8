import type { Unknown } from './failure.ts';

/**
 * Remembers which buckets exist. HEAD answers 404 for a missing bucket and for a missing key; LIST names the one that
 * is missing.
 */
export interface BucketLooks {
  /** The bucket has just answered a request. */
  seen(bucket: string): void;
  /**
   * Null: the bucket exists. Asks S3 unless a remembered answer covers a request sent at `sentAt` (performance.now()).
   * Concurrent calls share one look.
   */
  lookFor(
    object: { readonly bucket: string; readonly key: string },
    asked: { readonly sentAt: number; readonly signal: AbortSignal },
  ): Promise<Unknown | null>;
}

/** How long a failed look counts: a bucket that does not exist must not double every HEAD. */
const unseenMs = 5_000;

/** `look` lists with a prefix; null: the bucket exists. */
export function createBucketLooks(
  look: (
    bucket: string,
    within: { readonly prefix: string; readonly signal: AbortSignal },
  ) => Promise<Unknown | null>,
): BucketLooks {
  /** `covers`: the answer holds for requests sent up to this time; the bucket may be deleted later. */
  const looks = new Map<string, { covers: number; readonly answer: Promise<Unknown | null> }>();

  return {
    seen: (bucket) => {
      looks.set(bucket, { covers: performance.now(), answer: Promise.resolve(null) });
    },
    lookFor: async ({ bucket, key }, { sentAt, signal }) => {
      const known = looks.get(bucket);
      if (known !== undefined && sentAt <= known.covers) {
        const answer = await known.answer;
        // An abort by another caller says nothing about the bucket to this caller.
        if (answer?.reason !== 'aborted' || signal.aborted) return answer;
      }
      // The prefix is the key's folder: a policy may allow nothing else, and a directory bucket accepts only whole
      // folders.
      const prefix = key.slice(0, key.lastIndexOf('/') + 1) || key;
      const newLook = { covers: Infinity, answer: look(bucket, { prefix, signal }) };
      looks.set(bucket, newLook);
      const answer = await newLook.answer;
      newLook.covers = performance.now() + (answer === null ? 0 : unseenMs);
      return answer;
    },
  };
}
