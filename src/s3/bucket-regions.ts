import type { Thrown } from './thrown.ts';
import { regionOf, statusOf } from './thrown.ts';

/** The statuses with which S3 names another region, as botocore reads them. */
const ELSEWHERE: ReadonlySet<number | null> = new Set([301, 302, 307, 308, 400]);

export interface BucketRegions {
  /** The region that S3 named for the bucket; null: it named none. */
  of(bucket: string | undefined): string | null;
  /** A middleware of the client: asks once more where S3 names another region than the asked one. */
  readonly follow: <Args extends { readonly input: object }, Output>(
    next: (args: Args) => Promise<Output>,
  ) => (args: Args) => Promise<Output>;
}

/**
 * Keeps the region of each bucket elsewhere, as botocore does. The SDK follows S3 to another region as well, but forgets
 * it after each request, follows no 307, and mixes up requests that are under way at the same time.
 */
export function createBucketRegions(own: string): BucketRegions {
  const learned = new Map<string, string>();
  return {
    of: (bucket = '') => learned.get(bucket) ?? null,
    follow: (next) => async (args) => {
      const { Bucket: bucket = '' } = args.input as { readonly Bucket?: string };
      const asked = learned.get(bucket) ?? own;
      try {
        return await next(args);
      } catch (error) {
        const thrown = Object(error) as Thrown;
        const named = ELSEWHERE.has(statusOf(thrown)) ? regionOf(thrown) : null;
        // An access point is asked in the region of its ARN.
        if (named === null || named === asked || bucket === '' || bucket.startsWith('arn:')) throw error;
        learned.set(bucket, named);
        return next(args);
      }
    },
  };
}
