import type { ProbeResult, ProbeStep } from '../probe/bucket.ts';
import { isUnasked, isRejected } from '../probe/credentials-fix.ts';
import type { FailedStep } from '../probe/reach.ts';
import { isOfAnotherRegion, isRefusal, isSlow, outOfReach } from '../probe/reach.ts';
import { HEAD_ALONE, isOfTheBucket, putAlone, refusalWords } from '../probe/refusal-words.ts';
import type { S3Operation } from '../s3/calls.ts';
import type { Asker } from '../s3/connection.ts';
import type { RefusalCause } from '../s3/refusal.ts';
import { failing, passing } from './failing-writes.ts';
import { isUnauthorised, ruling } from './probe-step.ts';
import type { CodeFrom } from './problem-sources.ts';
import type { Ruling } from './problem.ts';
import { isRaised, say, takenBack, undecided } from './problem.ts';

export interface ProbedPlace {
  readonly bucket: string;
  /** The latest value written below the path whose object is not known to be gone; null: none is known. */
  readonly latestWritten: { readonly at: number; readonly words: string } | null;
}

/** Causes of a refusal that other credentials would not avoid. */
const NOBODY_MAY: ReadonlySet<RefusalCause | null | undefined> = new Set(['kms_state', 'object_lock']);

const READS_ALONE = ' (if they are to read alone, set probe.write to false)';

/** Says what a probe of a bucket shows. */
export function fromProbe(
  { steps, asker, othersWriteFrom, othersReachFrom, writesFailSince }: ProbeResult,
  { bucket, latestWritten }: ProbedPlace,
): Record<CodeFrom<'probe'>, Ruling> {
  const step = (operation: S3Operation) => steps.find((one) => one.operation === operation);
  const put = step('put');
  const isOneAnswered = steps.some((one) => one.ok === true || isRefusal(one));
  const isOneDone = steps.some((one) => one.ok === true);
  const writtenFrom = (from: number | null) =>
    from !== null && latestWritten !== null && latestWritten.at >= from ? latestWritten : null;
  const written = writtenFrom(othersWriteFrom);
  const reached = writtenFrom(othersReachFrom);
  const down = outOfReach(steps);
  const isReached = isOneDone || (isOneAnswered && down === null);
  const list = step('list');
  /** A refusal of everything for one reason is reported as write_denied alone. */
  const isAllRefused = !isOneDone && isRefusal(list) && isSameRefusal(list, put);
  const isGot = step('get')?.ok === true;
  const otherWords = ({ operation, said }: FailedStep): string | null => {
    if (operation === 'head' && isGot) return HEAD_ALONE;
    return isOneDone ? (putAlone(said, operation, null)?.words ?? null) : null;
  };
  /** For a failure that is not the problem's own and that no other problem reports. */
  const orFailed = (one: ProbeStep | undefined, said: Ruling): Ruling =>
    said === 'unknown' && one?.ok === false && (isOneDone || (isReached && !isRefusal(one)))
      ? undecided(`a test ${one.operation} failed (${one.detail})`)
      : said;
  const refused = (one: ProbeStep | undefined, words: string): Ruling =>
    isOneDone && one?.ok === false && isUnasked(one)
      ? undecided(one.detail)
      : ruling(one, isRefusal, (it) =>
          ofWorkers(it, {
            asker,
            words,
            bucket,
            otherWords: otherWords(it),
            also: isAllRefused && !isOfAll(it) ? list : undefined,
          }),
        );
  const writeDenied = unlessWritten(refused(put, 'A test write to'), written);
  const get = refusedRead(steps) ?? step('get');
  const mayPass = isReached ? passing(put, writesFailSince) : null;
  const unreachable = down === null ? null : unreachableBy(down, bucket);
  /** While others write, a refusal concerns the exporter alone. */
  const refusedOne = written === null ? asker : 'exporter';
  return {
    not_watching: isOneDone
      ? 'clear'
      : (blindness(steps, { asker: refusedOne, bucket }) ??
        cutOff(down, { reached, bucket }) ??
        (isOneAnswered ? 'clear' : 'unknown')),
    write_denied: mayPass ?? writeDenied,
    // A failure of every request is reported as bucket_unreachable alone.
    writes_failing:
      unreachable !== null && isRaised(unreachable) && !isOneAnswered
        ? 'unknown'
        : (mayPass ?? unlessWritten(failing(steps, { asker, bucket, writesFailSince }), written)),
    reads_denied: orFailed(get, refused(get, 'Reading a test object in')),
    deletes_denied: orFailed(step('delete'), refused(step('delete'), 'Deleting a test object in')),
    bucket_unreachable: unlessWritten(unreachable ?? (isOneAnswered ? 'clear' : 'unknown'), reached),
    permissions_unverifiable: orFailed(
      list,
      ruling(
        list,
        (it) =>
          isRefusal(it) &&
          !isOfAsking(it) &&
          !(isRaised(writeDenied) && (isAllRefused || (isOfAll(it) && isSameRefusal(it, put)))),
        (it) =>
          say(`Listing the bucket ${bucket} is refused: ${it.detail}; ${refusalWords(it, 'list', null)}.`),
      ),
    ),
  };
}

/** A refusal concerns the workers as well if their own credentials were refused, or if no credentials would do. */
function ofWorkers(
  step: FailedStep,
  {
    asker,
    words,
    bucket,
    also,
    otherWords,
  }: {
    readonly asker: Asker;
    readonly words: string;
    readonly bucket: string;
    /** The listing that was refused for the same reason. */
    readonly also: ProbeStep | undefined;
    /** The reason as the other operations show it; null: they show nothing. */
    readonly otherWords: string | null;
  },
): Ruling {
  const { operation } = step;
  const why = `${step.detail}; ${otherWords ?? allRefusalWords([step, also])}`;
  if (step.reason === 'clock_skew')
    return undecided(`the clock of this machine is wrong (${why}), which says nothing of the workers`);
  // S3 sends no 401 without a code. Whatever else answers may ask the exporter alone for a password.
  if (isUnauthorised(step))
    return undecided(`a test ${operation} was answered ${why}, which says nothing of the workers`);
  if (asker === 'exporter' && !NOBODY_MAY.has(step.said?.cause))
    return undecided(
      `the exporter's own credentials were refused a test ${operation} (${why}), which says nothing of the workers${operation === 'put' ? READS_ALONE : ''}`,
    );
  const named = operation === 'head' || operation === 'get' ? `${operation}, ` : '';
  return say(`${words} the bucket ${bucket} was refused: ${named}${why}.`);
}

/** A value that others have written since speaks against a write that fails for everybody. */
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
  const unasked = failed.find(isUnasked);
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

/** Whether the failure is about who asks or when. Such a failure says nothing about a permission. */
function isOfAsking({ reason, said }: FailedStep): boolean {
  return reason === 'clock_skew' || isRejected(said);
}

/** Whether the failure is about who asks or about the bucket, rather than about the operation. */
function isOfAll({ said }: FailedStep): boolean {
  return said?.cause === 'identity' || isOfTheBucket(said);
}

function isSameRefusal(one: ProbeStep | undefined, other: ProbeStep | undefined): boolean {
  if (one?.ok !== false || other?.ok !== false) return false;
  return one.said?.cause === other.said?.cause && one.said?.policy === other.said?.policy;
}

/** Names the permissions that the steps lack. A permission that several of them lack is named once. */
function allRefusalWords(steps: readonly (ProbeStep | undefined)[]): string {
  const words = steps.flatMap((one) => (one?.ok === false ? refusalWords(one, one.operation, null) : []));
  return [...new Set(words)].join(', and ');
}

/**
 * A read that was refused although the object is there. S3 also refuses to show a missing object to somebody who may
 * not list, so without the put a refusal proves nothing. A GET says why, a HEAD does not.
 */
function refusedRead(steps: ProbeResult['steps']): ProbeStep | undefined {
  if (steps.find((one) => one.operation === 'put')?.ok !== true) return undefined;
  const refused = (name: S3Operation) => steps.find((one) => one.operation === name && isRefusal(one));
  return refused('get') ?? refused('head');
}

/** Others have written since the exporter reached nothing, so it is cut off alone; null: not so, or not known. */
function cutOff(
  down: FailedStep | null,
  { reached, bucket }: { readonly reached: ProbedPlace['latestWritten']; readonly bucket: string },
): Ruling | null {
  if (down === null || reached === null) return null;
  return say(
    `The exporter cannot reach the bucket ${bucket}: ${answererOf(down)} (${down.detail}), yet ${reached.words}.`,
  );
}

function unreachableBy(down: FailedStep, bucket: string): Ruling {
  if (isSlow(down)) return undecided(`a test ${down.operation} had ${down.detail}: a worker waits longer`);
  if (isOfAnotherRegion(down))
    return undecided(
      `the exporter asks in the wrong region (${down.detail}), and the workers are sent on to the right one`,
    );
  const elsewhere = down.said?.by === 'proxy' ? ' What answers the workers is not known.' : '';
  return say(
    `No request to the bucket ${bucket} succeeds: ${answererOf(down)} (${down.detail}).${elsewhere}`,
  );
}

/** Names what the operator has to look at, if the reason alone leaves that open. */
function answererOf({ reason, said }: FailedStep): string {
  // Without an answer, the detail names the proxy.
  if (said?.by === 'proxy')
    return said.status === null ? reason : 'a proxy or a web console answers in place of S3';
  if (reason !== 'server_error' || said?.by !== 's3') return reason;
  if (said.status === null) return 'what answers is not S3';
  return said.status >= 500 ? 'the storage itself fails' : reason;
}
