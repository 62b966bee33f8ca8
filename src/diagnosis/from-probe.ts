import type { ProbeResult, ProbeStep } from '../probe/bucket.ts';
import { isAboutAsking } from '../probe/credentials-fix.ts';
import { isOfTheBucket, refusalWords } from '../probe/refusal-words.ts';
import type { S3Operation } from '../s3/calls.ts';
import type { CodeFrom } from './problem-sources.ts';
import type { Ruling } from './problem.ts';
import { say } from './problem.ts';

type FailedStep = Extract<ProbeStep, { readonly ok: false }>;

/** Reasons for which a bucket is out of reach when no operation works. */
const UNREACHABLE: ReadonlySet<FailedStep['reason']> = new Set([
  'unreachable',
  'timeout',
  'no_such_bucket',
  'wrong_region',
  'server_error',
]);

/** Says what a probe of `bucket` shows. */
export function fromProbe({ steps }: ProbeResult, bucket: string): Record<CodeFrom<'probe'>, Ruling> {
  const step = (operation: S3Operation) => steps.find((one) => one.operation === operation);
  const put = step('put');
  const blind = steps.find((one): one is FailedStep => isBlind(one));
  const isOneAnswered = steps.some((one) => one.ok === true || isRefusal(one));
  return {
    not_watching:
      blind !== undefined
        ? say(`The exporter cannot ask for the bucket ${bucket}: ${blind.detail}.`)
        : isOneAnswered
          ? 'clear'
          : 'unknown',
    write_denied: ruling(
      put,
      isRefusal,
      (step) =>
        `A test write to the bucket ${bucket} was refused: ${step.detail}; ${refusalWords(step, 'put', null)}.`,
    ),
    writes_failing: ruling(failedWrite(steps) ?? put, isFailure, (step) =>
      step.operation === 'put'
        ? `A test write to the bucket ${bucket} failed: ${step.detail}${failureWords(step)}.`
        : `The bucket ${bucket} took a test write and gave back something else: ${step.operation}, ${step.detail}.`,
    ),
    reads_denied: ruling(
      refusedRead(steps) ?? step('get'),
      isRefusal,
      (step) =>
        `Reading a test object in the bucket ${bucket} was refused: ${step.operation}, ${step.detail}; ${refusalWords(step, step.operation, null)}.`,
    ),
    deletes_denied: ruling(
      step('delete'),
      isRefusal,
      (step) =>
        `Deleting a test object in the bucket ${bucket} was refused: ${step.detail}; ${refusalWords(step, 'delete', null)}.`,
    ),
    bucket_unreachable: unreachable(steps, bucket) ?? (isOneAnswered ? 'clear' : 'unknown'),
    permissions_unverifiable: ruling(
      step('list'),
      // What refuses everything is said of the write, and once.
      (list) => isRefusal(list) && !(put?.ok === false && isOfAll(list) && isSameRefusal(list, put)),
      (step) =>
        `Listing the bucket ${bucket} is refused: ${step.detail}; ${refusalWords(step, 'list', null)}.`,
    ),
  };
}

/** A step that worked is clear; one that failed in another way than the problem's own tells nothing of it. */
function ruling(
  step: ProbeStep | undefined,
  isIts: (step: FailedStep) => boolean,
  words: (step: FailedStep) => string,
): Ruling {
  if (step === undefined || step.ok === null) return 'unknown';
  if (step.ok) return 'clear';
  return isIts(step) ? say(words(step)) : 'unknown';
}

/** Nothing was asked of the bucket: there are no credentials, or STS or an agent gave none. */
function isBlind(step: ProbeStep): boolean {
  return step.ok === false && isAboutAsking(step.said);
}

/** The storage read who asks, and said no. */
function isRefusal(step: ProbeStep): boolean {
  if (step.ok !== false || step.said?.by !== 's3') return false;
  return step.reason === 'denied' || step.reason === 'clock_skew'
    ? step.said.cause !== 'quota'
    : step.said.cause === 'kms' || step.said.cause === 'kms_state';
}

/** It is about who asks or about the bucket, and not about what is asked for. */
function isOfAll({ said }: FailedStep): boolean {
  return said?.cause === 'identity' || isOfTheBucket(said);
}

function isSameRefusal(one: FailedStep, other: FailedStep): boolean {
  return one.said?.cause === other.said?.cause && one.said?.policy === other.said?.policy;
}

/** It failed for another reason than a refusal, and not one that passes by itself. */
function isFailure(step: FailedStep): boolean {
  if (isRefusal(step) || isBlind(step)) return false;
  if (step.reason === 'content_mismatch') return true;
  if (step.said === null || step.said.by === 'exporter' || step.said.by === 'network') return false;
  const { cause, status, by } = step.said;
  if (cause === 'quota' || cause === 'not_supported' || cause === 'object_lock') return true;
  return by === 'proxy' || (step.reason === 'server_error' && status !== null && status < 500);
}

/** The put if it failed, or what read it back and found something else; a listing that lags is no failed write. */
function failedWrite(steps: ProbeResult['steps']): ProbeStep | undefined {
  const mismatch = steps.find(
    (one) => one.ok === false && one.reason === 'content_mismatch' && one.operation !== 'list',
  );
  return mismatch ?? steps.find((one) => one.operation === 'put');
}

/**
 * A read that was refused although the object is there: S3 refuses to show a missing object to somebody who may not
 * list, so without the put a refusal proves nothing.
 */
function refusedRead(steps: ProbeResult['steps']): ProbeStep | undefined {
  const put = steps.find((one) => one.operation === 'put');
  if (put?.ok !== true) return undefined;
  return steps.find((one) => (one.operation === 'get' || one.operation === 'head') && isRefusal(one));
}

function unreachable(steps: ProbeResult['steps'], bucket: string): Ruling | null {
  if (steps.some((one) => one.ok === true)) return null;
  const failed = steps.filter((one) => one.ok === false);
  const down = failed.find(
    (one) => !isBlind(one) && (UNREACHABLE.has(one.reason) || one.said?.by === 'proxy'),
  );
  if (down === undefined) return null;
  return say(`No request to the bucket ${bucket} succeeds: ${answererOf(down)} (${down.detail}).`);
}

/** Who has to be looked at, where the reason alone leaves that open. */
function answererOf({ reason, said }: FailedStep): string {
  if (said?.by === 'proxy') return 'a proxy or a web console answers in place of S3';
  if (reason !== 'server_error' || said?.by !== 's3') return reason;
  if (said.status === null) return 'what answers is not S3';
  return said.status >= 500 ? 'the storage itself fails' : reason;
}

function failureWords(step: FailedStep): string {
  if (step.said?.by === 'proxy') return '; a proxy in between answers in place of S3';
  return step.said?.cause == null ? '' : `; ${refusalWords(step, 'put', null)}`;
}
