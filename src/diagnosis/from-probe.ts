import type { ProbeOperation, ProbeResult, ProbeStep } from '../probe/bucket.ts';
import type { RefusalCause, Said } from '../s3/failure.ts';
import type { CodeFrom } from './problem-catalogue.ts';
import type { Ruling } from './problem.ts';
import { say, undecided } from './problem.ts';

type FailedStep = Extract<ProbeStep, { readonly ok: false }>;

/** Reasons for which a bucket is out of reach when no operation works. */
const UNREACHABLE: ReadonlySet<FailedStep['reason']> = new Set([
  'unreachable',
  'timeout',
  'no_such_bucket',
  'wrong_region',
  'server_error',
]);

/** The action that each operation takes. HEAD has none of its own: the S3 user guide, "Actions, resources, and condition keys". */
const ACTIONS: Readonly<Record<ProbeOperation, string>> = {
  look: 's3:ListBucket',
  bucket: 's3:ListBucket',
  put: 's3:PutObject',
  head: 's3:GetObject',
  get: 's3:GetObject',
  list: 's3:ListBucket',
  delete: 's3:DeleteObject',
};

/** Says what a probe of `bucket` shows. `looksFirst`: see `pushesRefused`. */
export function fromProbe(
  { steps }: ProbeResult,
  { bucket, looksFirst }: { readonly bucket: string; readonly looksFirst: boolean | null },
): Record<CodeFrom<'probe'>, Ruling> {
  const step = (operation: ProbeOperation) => steps.find((one) => one.operation === operation);
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
      ({ detail, said }) =>
        `A test write to the bucket ${bucket} was refused: ${detail}; ${denial(said, 'put')}.`,
    ),
    pushes_refused: pushesRefused(steps, { bucket, looksFirst }),
    writes_failing: ruling(failedWrite(steps) ?? put, isFailure, ({ operation, detail, said }) =>
      operation === 'put'
        ? `A test write to the bucket ${bucket} failed: ${detail}${failureWords(said)}.`
        : `The bucket ${bucket} took a test write and gave back something else: ${operation}, ${detail}.`,
    ),
    reads_denied: ruling(
      refusedRead(steps) ?? step('get'),
      isRefusal,
      ({ operation, detail, said }) =>
        `Reading a test object in the bucket ${bucket} was refused: ${operation}, ${detail}; ${denial(said, operation)}.`,
    ),
    deletes_denied: ruling(
      step('delete'),
      isRefusal,
      ({ detail, said }) =>
        `Deleting a test object in the bucket ${bucket} was refused: ${detail}; ${denial(said, 'delete')}.`,
    ),
    bucket_unreachable: unreachable(steps, bucket) ?? (isOneAnswered ? 'clear' : 'unknown'),
    permissions_unverifiable: ruling(
      step('list'),
      isRefusal,
      ({ detail, said }) => `Listing the bucket ${bucket} is refused: ${detail}; ${denial(said, 'list')}.`,
    ),
  };
}

/**
 * A push that is refused before its PUT. `looksFirst`: whether this Airflow asks for a new key before it writes it, as
 * up to 3.3; null: the release is not known.
 */
function pushesRefused(
  steps: ProbeResult['steps'],
  { bucket, looksFirst }: { readonly bucket: string; readonly looksFirst: boolean | null },
): Ruling {
  // Who is not accepted at all is told so by `write_denied`.
  if (steps.some((one) => one.ok === false && one.said?.cause === 'identity')) return 'unknown';
  const refused = (operation: ProbeOperation) =>
    steps.find(
      (one): one is FailedStep =>
        one.operation === operation && one.ok === false && one.reason === 'denied' && isRefusal(one),
    );
  const unseen = refused('bucket');
  if (unseen !== undefined)
    return say(
      `A push to the bucket ${bucket} fails before it writes: it may not see that the bucket is there (${unseen.detail}), and s3fs then tries to make it.`,
    );
  const look = refused('look');
  const seen = steps.find((one) => one.operation === 'bucket');
  if (look !== undefined && looksFirst === true)
    return say(
      `A push to the bucket ${bucket} fails before it writes: Airflow looks whether the new key is free, and that is refused (${look.detail}); s3:ListBucket or s3:GetObject is missing.`,
    );
  if (look !== undefined && looksFirst === null)
    return undecided(
      'looking for a new key is refused, which fails the pushes of Airflow up to 3.3, and the release is not known',
    );
  return seen?.ok === true ? 'clear' : 'unknown';
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

/** Nothing was asked of the bucket: there are no credentials, or STS gave none. */
function isBlind(step: ProbeStep): boolean {
  return step.ok === false && (step.said?.by === 'credentials' || step.said?.by === 'sts');
}

/** The storage read who asks, and said no. */
function isRefusal(step: ProbeStep): boolean {
  if (step.ok !== false || step.said?.by !== 's3') return false;
  return step.reason === 'denied' || step.reason === 'clock_skew'
    ? step.said.cause !== 'quota'
    : step.said.cause === 'kms';
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
  const by = down.said?.by === 'proxy' ? 'a proxy in between answers' : down.reason;
  const made =
    down.reason === 'no_such_bucket'
      ? ' Airflow’s next push makes it, if its credentials may (s3:CreateBucket), and writes there.'
      : '';
  return say(`No request to the bucket ${bucket} succeeds: ${by} (${down.detail}).${made}`);
}

/** AccessDenied is an authenticated refusal; any other code is about who asks, not about what is allowed. */
function denial(said: Said | null, operation: ProbeOperation): string {
  const action = said?.action ?? ACTIONS[operation];
  if (said?.cause === 'kms')
    return `${said.action ?? (operation === 'put' ? 'kms:GenerateDataKey' : 'kms:Decrypt')} on the key of the bucket is missing`;
  if (said?.cause === 'explicit_deny') return `a policy denies ${action} explicitly`;
  if (said?.cause === 'object_lock') return 'Object Lock holds the object';
  return said?.code === 'AccessDenied' ? `${action} is missing` : 'the credentials are not accepted';
}

const FAILURE_WORDS: Readonly<Partial<Record<RefusalCause, string>>> = {
  quota: 'there is no room, or a quota is reached',
  not_supported: 'the storage does not take such a request',
  object_lock: 'Object Lock asks for a checksum that the request lacks',
};

function failureWords(said: Said | null): string {
  if (said?.by === 'proxy') return '; a proxy in between answers in place of S3';
  const words = said?.cause === null || said === null ? undefined : FAILURE_WORDS[said.cause];
  return words === undefined ? '' : `; ${words}`;
}
