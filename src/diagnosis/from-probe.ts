import type { ProbeResult, ProbeStep } from '../probe/bucket.ts';
import { isAboutAsking, isRejected } from '../probe/credentials-fix.ts';
import { HEAD_ALONE, isOfTheBucket, refusalWords } from '../probe/refusal-words.ts';
import type { S3Operation } from '../s3/calls.ts';
import { NO_ANSWER_OF_S3 } from '../s3/calls.ts';
import type { Asker } from '../s3/connection.ts';
import type { RefusalCause } from '../s3/refusal.ts';
import type { CodeFrom } from './problem-sources.ts';
import type { Ruling } from './problem.ts';
import { isRaised, say, takenBack, undecided } from './problem.ts';

type FailedStep = Extract<ProbeStep, { readonly ok: false }>;

export interface ProbedPlace {
  readonly bucket: string;
  /** What was last written below the path, so that its object is not known to be gone; null: nothing is known of any. */
  readonly latestWritten: { readonly at: number; readonly words: string } | null;
}

/** Reasons for which a bucket is out of reach when no operation works. */
const UNREACHABLE: ReadonlySet<FailedStep['reason']> = new Set([
  'unreachable',
  'timeout',
  'no_such_bucket',
  'wrong_region',
  'server_error',
]);

/** Refusals that no other credentials would spare anybody. */
const NOBODY_MAY: ReadonlySet<RefusalCause | null | undefined> = new Set(['kms_state', 'object_lock']);

const READS_ALONE = ' (if they are to read alone, set probe.write to false)';

/** Says what a probe of a bucket shows. */
export function fromProbe(
  { steps, asker, othersWriteFrom }: ProbeResult,
  { bucket, latestWritten }: ProbedPlace,
): Record<CodeFrom<'probe'>, Ruling> {
  const step = (operation: S3Operation) => steps.find((one) => one.operation === operation);
  const put = step('put');
  const isOneAnswered = steps.some((one) => one.ok === true || isRefusal(one));
  const isOneDone = steps.some((one) => one.ok === true);
  const written =
    othersWriteFrom !== null && latestWritten !== null && latestWritten.at >= othersWriteFrom
      ? latestWritten
      : null;
  const list = step('list');
  /** One refusal of everything is said of the write, and once. */
  const isAllRefused = !isOneDone && isRefusal(list) && isSameRefusal(list, put);
  const isGot = step('get')?.ok === true;
  const refused = (one: ProbeStep | undefined, words: string): Ruling =>
    isOneDone && one?.ok === false && isAboutAsking(one.said)
      ? undecided(one.detail)
      : ruling(one, isRefusal, (it) =>
          ofWorkers(it, {
            asker,
            words,
            bucket,
            isGot,
            also: isAllRefused && !isOfAll(it) ? list : undefined,
          }),
        );
  const writeDenied = unlessWritten(refused(put, 'A test write to'), written);
  const outOfReach = unreachable(steps, bucket);
  /** A refusal is the exporter's alone while others write. */
  const refusedOne = written === null ? asker : 'exporter';
  return {
    not_watching: isOneDone
      ? 'clear'
      : (blindness(steps, { asker: refusedOne, bucket }) ?? (isOneAnswered ? 'clear' : 'unknown')),
    write_denied: writeDenied,
    // What happens to every request is said of the bucket, and once.
    writes_failing:
      outOfReach !== null && isRaised(outOfReach) && !isOneAnswered
        ? 'unknown'
        : unlessWritten(failing(steps, { asker, bucket }), written),
    reads_denied: refused(refusedRead(steps) ?? step('get'), 'Reading a test object in'),
    deletes_denied: refused(step('delete'), 'Deleting a test object in'),
    bucket_unreachable: outOfReach ?? (isOneAnswered ? 'clear' : 'unknown'),
    permissions_unverifiable: ruling(
      list,
      (it) =>
        isRefusal(it) &&
        !isOfAsking(it) &&
        !(isRaised(writeDenied) && (isAllRefused || (isOfAll(it) && isSameRefusal(it, put)))),
      (it) =>
        say(`Listing the bucket ${bucket} is refused: ${it.detail}; ${refusalWords(it, 'list', null)}.`),
    ),
  };
}

/** A step that worked is clear; one that failed in another way than the problem's own tells nothing of it. */
function ruling(
  step: ProbeStep | undefined,
  isIts: (step: FailedStep) => boolean,
  rule: (step: FailedStep) => Ruling,
): Ruling {
  if (step === undefined || step.ok === null) return 'unknown';
  if (step.ok) return 'clear';
  return isIts(step) ? rule(step) : 'unknown';
}

/** A refusal is the workers' as well if the same credentials were refused, or if nobody's would do. */
function ofWorkers(
  step: FailedStep,
  {
    asker,
    words,
    bucket,
    also,
    isGot,
  }: {
    readonly asker: Asker;
    readonly words: string;
    readonly bucket: string;
    /** The listing that was refused for the same reason. */
    readonly also: ProbeStep | undefined;
    /** Whether a GET of the object worked. */
    readonly isGot: boolean;
  },
): Ruling {
  const { operation } = step;
  const isHeadAlone = operation === 'head' && isGot;
  const why = `${step.detail}; ${isHeadAlone ? HEAD_ALONE : allRefusalWords([step, also])}`;
  if (step.reason === 'clock_skew')
    return undecided(`the clock of this machine is wrong (${why}), which says nothing of the workers`);
  // S3 says no 401 without a code: somebody else may ask the exporter alone for a password.
  if (isUnauthorised(step))
    return undecided(`a test ${operation} was answered ${why}, which says nothing of the workers`);
  if (asker === 'exporter' && !NOBODY_MAY.has(step.said?.cause))
    return undecided(
      `the exporter's own credentials were refused a test ${operation} (${why}), which says nothing of the workers${operation === 'put' ? READS_ALONE : ''}`,
    );
  const named = operation === 'head' || operation === 'get' ? `${operation}, ` : '';
  return say(`${words} the bucket ${bucket} was refused: ${named}${why}.`);
}

/** What others have written since speaks against a write that everybody is denied. */
function unlessWritten(ruling: Ruling, written: ProbedPlace['latestWritten']): Ruling {
  if (written === null || !isRaised(ruling)) return ruling;
  const said = ruling.evidence.replace(/\.$/, '');
  return takenBack(`${said.charAt(0).toLowerCase()}${said.slice(1)}, yet ${written.words}`);
}

/** Why the exporter sees nothing although the way to the bucket is open; null: that is not so, or not known. */
function blindness(
  steps: ProbeResult['steps'],
  { asker, bucket }: { readonly asker: Asker; readonly bucket: string },
): Ruling | null {
  const failed = steps.filter((one) => one.ok === false);
  const unasked = failed.find(({ said }) => isAboutAsking(said));
  if (unasked !== undefined)
    return say(`The exporter cannot ask for the bucket ${bucket}: ${unasked.detail}.`);
  const late = failed.find(({ reason }) => reason === 'clock_skew');
  if (late !== undefined)
    return say(
      `The exporter cannot look into the bucket ${bucket}: the clock of this machine is wrong (${late.detail}).`,
    );
  const elsewhere = failed.find(isOfAnotherRegion);
  if (elsewhere !== undefined)
    return say(
      `The exporter cannot look into the bucket ${bucket}: it asks in the wrong region (${elsewhere.detail}).`,
    );
  const rejected = failed.find(({ said }) => isRejected(said));
  if (rejected === undefined || (asker === 'workers' && !isUnauthorised(rejected))) return null;
  return say(
    `The exporter cannot look into the bucket ${bucket}: its credentials are not accepted (${rejected.detail}).`,
  );
}

/** S3 points to another region. Run: botocore signs again for it, so pushes of Airflow go on, and the exporter does not. */
function isOfAnotherRegion({ reason, said }: FailedStep): boolean {
  return reason === 'wrong_region' && said?.by === 's3';
}

/** The storage read who asks, and said no. */
function isRefusal(step: ProbeStep | undefined): boolean {
  if (step?.ok !== false || step.said?.by !== 's3') return false;
  return step.reason === 'denied' || step.reason === 'clock_skew'
    ? step.said.cause !== 'quota'
    : step.said.cause === 'kms' || step.said.cause === 'kms_state';
}

/** It is about who asks or when, and says nothing of a permission. */
function isOfAsking({ reason, said }: FailedStep): boolean {
  return reason === 'clock_skew' || isRejected(said);
}

/** It is about who asks or about the bucket, and not about what is asked for. */
function isOfAll({ said }: FailedStep): boolean {
  return said?.cause === 'identity' || isOfTheBucket(said);
}

/** Asked for a password, by whoever answers, and not by a word of S3. */
function isUnauthorised({ said }: FailedStep): boolean {
  return said?.code == null && (said?.status === 401 || said?.status === 407);
}

function isSameRefusal(one: ProbeStep | undefined, other: ProbeStep | undefined): boolean {
  if (one?.ok !== false || other?.ok !== false) return false;
  return one.said?.cause === other.said?.cause && one.said?.policy === other.said?.policy;
}

/** What each of them lacks, what they share once. */
function allRefusalWords(steps: readonly (ProbeStep | undefined)[]): string {
  const words = steps.flatMap((one) => (one?.ok === false ? refusalWords(one, one.operation, null) : []));
  return [...new Set(words)].join(', and ');
}

/** It failed for another reason than a refusal, and not one that passes by itself. */
function isFailure(step: FailedStep): boolean {
  if (isRefusal(step) || isAboutAsking(step.said)) return false;
  if (step.reason === 'content_mismatch') return true;
  if (step.said === null || step.said.by === 'exporter' || step.said.by === 'network') return false;
  const { cause, status, by } = step.said;
  if (cause === 'quota' || cause === 'not_supported' || cause === 'object_lock') return true;
  return status !== null && status < 500 && (by === 'proxy' || step.reason === 'server_error');
}

/** A page, or a success without what S3 says of one. */
function isForeign(step: ProbeStep): boolean {
  return step.ok === false && (step.detail === NO_ANSWER_OF_S3 || step.said?.by === 'proxy');
}

/** Whether writes fail for another reason than a refusal. */
function failing(
  steps: ProbeResult['steps'],
  { asker, bucket }: { readonly asker: Asker; readonly bucket: string },
): Ruling {
  return ruling(failedWrite(steps), isFailure, (step) => {
    if (step.operation !== 'put' && steps.some(isForeign))
      return say(
        `What answers for the bucket ${bucket} is not S3: it took a test write and gave back something else (${step.operation}, ${step.detail}).`,
      );
    if (step.operation !== 'put')
      return say(
        `The bucket ${bucket} took a test write and gave back something else: ${step.operation}, ${step.detail}.`,
      );
    if (step.said?.by !== 'proxy')
      return say(`A test write to the bucket ${bucket} failed: ${step.detail}${failureWords(step)}.`);
    // What a proxy makes of everything is said of the bucket, and once.
    if (!steps.some((one) => one.ok === true)) return 'unknown';
    if (asker === 'exporter' || isUnauthorised(step))
      return undecided(
        `a proxy answered a test put of the exporter in place of S3 (${step.detail}), which says nothing of the workers`,
      );
    return say(`A test write to the bucket ${bucket} failed: ${step.detail}${failureWords(step)}.`);
  });
}

/** The put if it failed, or what read it back and found something else; a listing that lags is no failed write. */
function failedWrite(steps: ProbeResult['steps']): ProbeStep | undefined {
  const mismatch = steps.find(
    (one) => one.ok === false && one.reason === 'content_mismatch' && one.operation !== 'list',
  );
  // Whoever reads it is given what was put: it is HEAD that errs.
  const isWhole = steps.some(({ operation, ok }) => operation === 'get' && ok === true);
  if (mismatch?.operation === 'head' && isWhole) return undefined;
  return mismatch ?? steps.find((one) => one.operation === 'put');
}

/**
 * A read that was refused although the object is there: S3 refuses to show a missing object to somebody who may not
 * list, so without the put a refusal proves nothing. A GET says why, a HEAD does not.
 */
function refusedRead(steps: ProbeResult['steps']): ProbeStep | undefined {
  if (steps.find((one) => one.operation === 'put')?.ok !== true) return undefined;
  const refused = (name: S3Operation) => steps.find((one) => one.operation === name && isRefusal(one));
  return refused('get') ?? refused('head');
}

function unreachable(steps: ProbeResult['steps'], bucket: string): Ruling | null {
  if (steps.some((one) => one.ok === true)) return null;
  const failed = steps.filter((one) => one.ok === false);
  const down = failed.find(
    (one) => !isAboutAsking(one.said) && (UNREACHABLE.has(one.reason) || one.said?.by === 'proxy'),
  );
  if (down === undefined) return null;
  if (isOfAnotherRegion(down))
    return undecided(
      `the exporter asks in the wrong region (${down.detail}), and the workers are sent on to the right one`,
    );
  const elsewhere = down.said?.by === 'proxy' ? ' What answers the workers is not known.' : '';
  return say(
    `No request to the bucket ${bucket} succeeds: ${answererOf(down)} (${down.detail}).${elsewhere}`,
  );
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
