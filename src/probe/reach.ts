import type { ProbeStep } from './bucket.ts';
import { isUnasked } from './credentials-fix.ts';

export type FailedStep = Extract<ProbeStep, { readonly ok: false }>;

/** Reasons that put a bucket out of reach when no operation works and S3 answers none. */
const UNREACHABLE: ReadonlySet<FailedStep['reason']> = new Set([
  'unreachable',
  'timeout',
  'no_such_bucket',
  'wrong_region',
  'server_error',
]);

/**
 * The failure that puts the bucket out of reach; null: S3 was reached, or nothing shows that it was not. One failure is
 * not enough: an answer of S3 to another request speaks against it.
 */
export function outOfReach(steps: readonly ProbeStep[]): FailedStep | null {
  if (steps.some(({ ok }) => ok === true)) return null;
  const failed = steps.filter((one) => one.ok === false && !isUnasked(one)) as FailedStep[];
  // This is S3's own word about the bucket, so a refusal of another request does not speak against it.
  const told = failed.find(({ reason }) => reason === 'no_such_bucket') ?? failed.find(isOfAnotherRegion);
  if (told !== undefined) return told;
  const isProxied = failed.some(isInPlaceOfS3);
  if (failed.some((one) => isHeldBack(one) || isAnswerOfS3(one, isProxied))) return null;
  return (
    failed.find(isSlow) ?? failed.find((one) => UNREACHABLE.has(one.reason) || isInPlaceOfS3(one)) ?? null
  );
}

/** Whether the storage recognised who asks, and refused. */
export function isRefusal(step: ProbeStep | undefined): boolean {
  if (step?.ok !== false || step.said?.by !== 's3') return false;
  return step.reason === 'denied' || step.reason === 'clock_skew'
    ? step.said.cause !== 'quota'
    : step.said.cause === 'kms' || step.said.cause === 'kms_state';
}

/**
 * Whether S3 points to another region. Tested: botocore signs the request again for that region, so Airflow's pushes go
 * on. The exporter does not sign again.
 */
export function isOfAnotherRegion({ reason, said }: FailedStep): boolean {
  return reason === 'wrong_region' && said?.by === 's3';
}

/** Whether a server that is there did not answer in our time. S3fs waits 15 s for an answer, and asks five times more. */
export function isSlow(step: Pick<FailedStep, 'reason' | 'said'>): boolean {
  return step.reason === 'timeout' && step.said?.by === 'exporter';
}

/** Whether a proxy answers where S3 was meant to. */
export function isInPlaceOfS3(step: FailedStep): boolean {
  return step.said?.by === 'proxy' && !isUnasked(step) && !isHeldBack(step);
}

/**
 * Whether a gateway asked for fewer requests: S3 may be behind it, and did not hear this one. A HEAD that it answers
 * with 503 counts as throttled too, and tells nothing of the kind.
 */
function isHeldBack({ said }: FailedStep): boolean {
  return said?.by === 'proxy' && said.status === 429;
}

/** A refused HEAD has no body and no code. If a proxy answered other requests, it may have refused the HEAD as well. */
function isAnswerOfS3(step: FailedStep, isProxied: boolean): boolean {
  if (step.said?.by !== 's3') return false;
  if (step.said.code === null) return isRefusal(step) && !isProxied;
  return isRefusal(step) || !UNREACHABLE.has(step.reason);
}
