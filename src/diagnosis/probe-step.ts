import type { ProbeStep } from '../probe/bucket.ts';
import type { Ruling } from './problem.ts';

export type FailedStep = Extract<ProbeStep, { readonly ok: false }>;

/** A step that worked is clear; one that failed in another way than the problem's own tells nothing of it. */
export function ruling(
  step: ProbeStep | undefined,
  isIts: (step: FailedStep) => boolean,
  rule: (step: FailedStep) => Ruling,
): Ruling {
  if (step === undefined || step.ok === null) return 'unknown';
  if (step.ok) return 'clear';
  return isIts(step) ? rule(step) : 'unknown';
}

/** The storage read who asks, and said no. */
export function isRefusal(step: ProbeStep | undefined): boolean {
  if (step?.ok !== false || step.said?.by !== 's3') return false;
  return step.reason === 'denied' || step.reason === 'clock_skew'
    ? step.said.cause !== 'quota'
    : step.said.cause === 'kms' || step.said.cause === 'kms_state';
}

/** Asked for a password, by whoever answers, and not by a word of S3. */
export function isUnauthorised({ said }: FailedStep): boolean {
  return said?.code == null && (said?.status === 401 || said?.status === 407);
}
