import type { ProbeResult, ProbeStep } from '../probe/bucket.ts';
import { isUnasked } from '../probe/credentials-fix.ts';
import type { FailedStep } from '../probe/reach.ts';
import { isInPlaceOfS3, isRefusal, isSlow, outOfReach } from '../probe/reach.ts';
import { refusalWords } from '../probe/refusal-words.ts';
import { NO_ANSWER_OF_S3 } from '../s3/failure.ts';
import { isConflictOfTheMoment } from '../s3/refusal.ts';
import { isUnauthorised, ruling } from './probe-step.ts';
import type { Ruling, Undecided } from './problem.ts';
import { momentOf, say, undecided } from './problem.ts';

/**
 * Whether the step failed for another reason than a refusal, and does not pass by itself. `isLasting`: the failure has
 * lasted already.
 */
function isFailure(step: FailedStep, isLasting: boolean): boolean {
  if (isRefusal(step) || isUnasked(step)) return false;
  if (step.reason === 'content_mismatch') return true;
  if (step.said === null || step.said.by === 'exporter') return false;
  if (isLasting) return true;
  if (step.said.by === 'network') return false;
  const { cause, status } = step.said;
  if (cause === 'quota' || cause === 'not_supported' || cause === 'object_lock') return true;
  if (isInPlaceOfS3(step)) return status !== null && status < 500;
  return (
    status !== null && status < 500 && step.reason === 'server_error' && !isConflictOfTheMoment(step.said)
  );
}

/** Whether the answer is not one of S3: a web page, or a success without what S3 sends with one. */
function isForeign(step: ProbeStep): boolean {
  return step.ok === false && (step.detail === NO_ANSWER_OF_S3 || isInPlaceOfS3(step));
}

/** Why a failed put tells nothing yet; null: it tells something, or it did not fail. */
export function passing(put: ProbeStep | undefined, writesFailSince: number | null): Undecided | null {
  if (put?.ok !== false || isRefusal(put) || isFailure(put, writesFailSince !== null)) return null;
  if (isUnasked(put)) return null;
  return undecided(
    isSlow(put)
      ? `a test put had ${put.detail}, and a worker waits longer`
      : `a test put failed (${put.detail}), which may pass`,
  );
}

/** Whether writes fail for another reason than a refusal. */
export function failing(
  steps: ProbeResult['steps'],
  {
    asker,
    bucket,
    writesFailSince,
  }: Pick<ProbeResult, 'asker' | 'writesFailSince'> & { readonly bucket: string },
): Ruling {
  const isIts = (step: FailedStep) => isFailure(step, writesFailSince !== null);
  return ruling(failedWrite(steps), isIts, (step) => {
    if (step.operation !== 'put' && steps.some(isForeign))
      return say(
        `What answers for the bucket ${bucket} is not S3: it took a test write and gave back something else (${step.operation}, ${step.detail}).`,
      );
    if (step.operation !== 'put')
      return say(
        `The bucket ${bucket} took a test write and gave back something else: ${step.operation}, ${step.detail}.`,
      );
    if (writesFailSince !== null && !isInPlaceOfS3(step) && !isFailure(step, false))
      return say(
        `Each test write to the bucket ${bucket} has failed since ${momentOf(writesFailSince)}, lately with ${step.detail}${failureWords(step)}.`,
      );
    if (!isInPlaceOfS3(step))
      return say(`A test write to the bucket ${bucket} failed: ${step.detail}${failureWords(step)}.`);
    // A proxy that answers every request is reported as bucket_unreachable alone.
    if (outOfReach(steps) !== null) return 'unknown';
    if (asker === 'exporter' || isUnauthorised(step))
      return undecided(
        `a proxy answered a test put of the exporter in place of S3 (${step.detail}), which says nothing of the workers`,
      );
    return say(`A test write to the bucket ${bucket} failed: ${step.detail}${failureWords(step)}.`);
  });
}

/**
 * The step that read the object back and found something else, or else the put. A listing that lags is no failed write.
 */
function failedWrite(steps: ProbeResult['steps']): ProbeStep | undefined {
  const mismatch = steps.find(
    (one) => one.ok === false && one.reason === 'content_mismatch' && one.operation !== 'list',
  );
  // A GET gave back what was put, so it is HEAD that errs.
  const isWhole = steps.some(({ operation, ok }) => operation === 'get' && ok === true);
  if (mismatch?.operation === 'head' && isWhole) return undefined;
  return mismatch ?? steps.find((one) => one.operation === 'put');
}

function failureWords(step: FailedStep): string {
  if (isInPlaceOfS3(step)) return '; a proxy in between answers in place of S3';
  return step.said?.cause == null ? '' : `; ${refusalWords(step, 'put', null)}`;
}
