import type { ProbeStep } from '../probe/bucket.ts';
import type { FailedStep } from '../probe/reach.ts';
import type { Ruling } from './problem.ts';

/**
 * A step that worked is clear. A step that failed in another way than the problem's own says nothing about the problem.
 */
export function ruling(
  step: ProbeStep | undefined,
  isIts: (step: FailedStep) => boolean,
  rule: (step: FailedStep) => Ruling,
): Ruling {
  if (step === undefined || step.ok === null) return 'unknown';
  if (step.ok) return 'clear';
  return isIts(step) ? rule(step) : 'unknown';
}

/** Whether something asked for a password, and not with an error code of S3. */
export function isUnauthorised({ said }: FailedStep): boolean {
  return said?.code == null && (said?.status === 401 || said?.status === 407);
}
