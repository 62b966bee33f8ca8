import type { HeadAnswer, ObjectAddress, ObjectStore } from '../s3/client.ts';
import type { Unknown } from '../s3/failure.ts';
import { unknown } from '../s3/failure.ts';

/** The words for a HEAD that claims that a key exists which was never written. */
export const FALSELY_THERE = 'a key that was never written is said to be there';

/** The answers to a push's requests before its PUT. */
export interface WorkerWay {
  /**
   * Whether the new key is free; null: S3 answered that it is. Airflow up to 3.3 asks this; the backend of 3.4 writes
   * without asking.
   */
  readonly look: Unknown | null;
  /**
   * Whether the bucket exists. `unseen`: s3fs sends CreateBucket instead of the PUT. `untried`: s3fs does not get that
   * far.
   */
  readonly bucket:
    | { readonly kind: 'seen'; readonly by: 'HeadBucket' | 'GetBucketLocation' }
    | { readonly kind: 'unseen'; readonly failure: Unknown }
    | { readonly kind: 'untried' };
}

/**
 * Sends the requests of a worker's push before its PUT, in the same order. CreateBucket is never sent.
 * Source: s3fs 2026.9.0 below Airflow 3.3.2 and 3.4.0b2, run by test/airflow/world/push.py against door.py.
 */
export async function goWorkerWay(
  store: Pick<ObjectStore, 'head' | 'seeBucket'>,
  address: ObjectAddress,
  signal: AbortSignal,
): Promise<WorkerWay> {
  const answer = await store.head(address, signal);
  const look = lookOf(answer);
  // A refusal ends the push only in Airflow up to 3.3. All releases create a missing bucket.
  if (
    look !== null &&
    look.reason !== 'denied' &&
    look.reason !== 'no_such_bucket' &&
    look.detail !== FALSELY_THERE
  )
    return { look, bucket: { kind: 'untried' } };
  const seen = await store.seeBucket(address.bucket, signal);
  return { look, bucket: seen.kind === 'seen' ? seen : { kind: 'unseen', failure: joined(seen) } };
}

function lookOf(answer: HeadAnswer): Unknown | null {
  if (answer.kind === 'missing') return null;
  return answer.kind === 'present' ? unknown('server_error', FALSELY_THERE, 's3') : answer;
}

/**
 * Why the bucket is missing; null: it was seen, or no answer says that it is missing. SeaweedFS creates a missing
 * bucket on a PUT, so this must be known before a write to Airflow's place. A server that does not know the caller may
 * also answer 404 to a HEAD, and so may a proxy in place of S3.
 */
export async function missingBucket(
  store: Pick<ObjectStore, 'seeBucket'>,
  bucket: string,
  signal: AbortSignal,
): Promise<Unknown | null> {
  const seen = await store.seeBucket(bucket, signal);
  if (seen.kind === 'seen') return null;
  const { head, location } = seen;
  if (location.reason === 'no_such_bucket') return location;
  const isOfS3 = location.said.by === 's3' && location.said.cause !== 'identity';
  const isMissing = head.reason === 'no_such_bucket' && isOfS3;
  return isMissing ? { ...head, detail: joined(seen).detail } : null;
}

/** The second answer gives the reason, because a HEAD has no body; the detail names both. */
function joined({ head, location }: { readonly head: Unknown; readonly location: Unknown }): Unknown {
  return { ...location, detail: `HeadBucket ${head.detail}, GetBucketLocation ${location.detail}` };
}
