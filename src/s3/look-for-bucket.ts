import { GetBucketLocationCommand, HeadBucketCommand } from '@aws-sdk/client-s3';
import type { Outcome } from './calls.ts';
import { unknownOf, unknownOfBucket } from './calls.ts';
import type { Unknown } from './failure.ts';

/** Whether the bucket was seen, and by which request. When neither request shows the bucket, s3fs would create it. */
export type BucketAnswer =
  | { readonly kind: 'seen'; readonly by: 'HeadBucket' | 'GetBucketLocation' }
  | { readonly kind: 'unseen'; readonly head: Unknown; readonly location: Unknown };

/** Looks for a bucket as s3fs does, up to the request that would create it. */
export async function lookForBucket(
  bucket: string,
  send: {
    readonly head: (command: HeadBucketCommand) => Promise<Outcome<unknown>>;
    readonly location: (command: GetBucketLocationCommand) => Promise<Outcome<unknown>>;
  },
): Promise<BucketAnswer> {
  const head = await send.head(new HeadBucketCommand({ Bucket: bucket }));
  if (head.kind === 'answered') return { kind: 'seen', by: 'HeadBucket' };
  const location = await send.location(new GetBucketLocationCommand({ Bucket: bucket }));
  if (location.kind === 'answered') return { kind: 'seen', by: 'GetBucketLocation' };
  return { kind: 'unseen', head: unknownOfBucket(head), location: unknownOf(location) };
}
