import type { Unknown } from './failure.ts';

/** What is known of buckets: a HEAD answers 404 for a missing bucket as for a missing key, and LIST names what it misses. */
export interface BucketLooks {
  /** A request to the bucket was answered just now. */
  seen(bucket: string): void;
  /**
   * Null: the bucket is there. Looks unless what is known says something of a request that was sent at `sentAt`
   * (performance.now()). Shared by the calls that want to know at the same time.
   */
  lookFor(
    object: { readonly bucket: string; readonly key: string },
    asked: { readonly sentAt: number; readonly signal: AbortSignal },
  ): Promise<Unknown | null>;
}

/** How long a failed look counts: a bucket that is not there must not double every HEAD. */
const unseenMs = 5_000;

/** `look` lists with a prefix; null: the bucket is there. */
export function createBucketLooks(
  look: (
    bucket: string,
    within: { readonly prefix: string; readonly signal: AbortSignal },
  ) => Promise<Unknown | null>,
): BucketLooks {
  /** `covers`: the latest start of a request of which the answer says something; the bucket may be gone since. */
  const looks = new Map<string, { covers: number; readonly answer: Promise<Unknown | null> }>();

  return {
    seen: (bucket) => {
      looks.set(bucket, { covers: performance.now(), answer: Promise.resolve(null) });
    },
    lookFor: async ({ bucket, key }, { sentAt, signal }) => {
      const known = looks.get(bucket);
      if (known !== undefined && sentAt <= known.covers) {
        const answer = await known.answer;
        // Another caller's abort says nothing to this one.
        if (answer?.reason !== 'aborted' || signal.aborted) return answer;
      }
      // Within the key's folder: a policy may allow nothing else, and a directory bucket takes whole folders alone.
      const prefix = key.slice(0, key.lastIndexOf('/') + 1) || key;
      const newLook = { covers: Infinity, answer: look(bucket, { prefix, signal }) };
      looks.set(bucket, newLook);
      const answer = await newLook.answer;
      newLook.covers = performance.now() + (answer === null ? 0 : unseenMs);
      return answer;
    },
  };
}
