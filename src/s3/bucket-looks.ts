import { isOfPath } from './failure.ts';
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
   * Concurrent calls share one look. A refusal counts for its path alone: S3 may allow the same below another one.
   */
  lookFor(
    object: { readonly bucket: string; readonly key: string; readonly prefix?: string },
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
  const refusals = new Map<string, { readonly covers: number; readonly answer: Unknown }>();

  function noteRefusal(path: string, answer: Unknown): void {
    const now = performance.now();
    for (const [name, { covers }] of refusals) if (covers < now) refusals.delete(name);
    refusals.set(path, { covers: now + unseenMs, answer });
  }

  return {
    seen: (bucket) => {
      looks.set(bucket, { covers: performance.now(), answer: Promise.resolve(null) });
    },
    lookFor: async ({ bucket, key, prefix: pathOfKey }, { sentAt, signal }) => {
      // The prefix is the key's folder: a policy may allow nothing else, and a directory bucket accepts only whole
      // folders.
      const prefix = key.slice(0, key.lastIndexOf('/') + 1) || key;
      const path = JSON.stringify([bucket, pathOfKey ?? prefix]);
      for (;;) {
        const known = looks.get(bucket);
        if (known !== undefined && sentAt <= known.covers) {
          const answer = await known.answer;
          // An abort by another caller says nothing about the bucket to this caller.
          const isAborted = answer?.reason === 'aborted' && !signal.aborted;
          if (!isAborted && (answer === null || !isOfPath(answer))) return answer;
        }
        const refusal = refusals.get(path);
        if (refusal !== undefined && sentAt <= refusal.covers) return refusal.answer;
        // While this call waited, another may have begun the look that it needs.
        if (looks.get(bucket) === known) break;
      }
      const newLook = { covers: Infinity, answer: look(bucket, { prefix, signal }) };
      looks.set(bucket, newLook);
      const answer = await newLook.answer;
      if (answer !== null && isOfPath(answer)) noteRefusal(path, answer);
      newLook.covers = performance.now() + (answer === null ? 0 : unseenMs);
      return answer;
    },
  };
}
