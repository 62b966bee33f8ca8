import { isOfPath } from '../s3/failure.ts';
import type { Unknown } from '../s3/failure.ts';
import type { Stores } from '../s3/stores.ts';
import type { UncheckedReason } from '../window/flags.ts';
import type { Ledger } from '../window/ledger.ts';
import type { Run } from '../window/run.ts';
import type { Allowance, Closure, Place } from './allowance.ts';
import { covers, createAllowance } from './allowance.ts';
import { createArchiveTries } from './archive-tries.ts';
import type { Answer, BucketPlace, Findings } from './findings.ts';
import { createFindings, uncheckedReason } from './findings.ts';
import { lookUp } from './look-up.ts';
import type { UnfinishedListings } from './orphans.ts';
import { listOrphans } from './orphans.ts';
import { pendingReferences, runsOfClosed } from './pending.ts';
import { recheck } from './recheck.ts';

export interface Verified {
  /** The new answers only: a reference is not in it when S3 says the same as before. */
  readonly answers: readonly Answer[];
  /** References that S3 gave no answer about, by slot. */
  readonly unchecked: ReadonlyMap<number, UncheckedReason>;
  /** Why S3 was not asked about another reference that nobody has looked up yet; null: the signal ended the work. */
  readonly rest: (place: Place) => UncheckedReason | null;
  /** Why a place was given up: of the requests sent to it together none was answered. Null: all places answered. */
  readonly failure: Unknown | null;
  /** S3 answered at least one request. */
  readonly answered: boolean;
}

/** The result when no HEAD can be believed: S3 is not asked. */
export const NOTHING_ASKED: Verified = {
  answers: [],
  unchecked: new Map(),
  rest: () => 'unconfirmed',
  failure: null,
  answered: false,
};

export interface VerifyOptions {
  readonly stores: Pick<Stores, 'of' | 'sent' | 'knows'>;
  /** The places where workers write now; none when no path in S3 is configured. */
  readonly bases: readonly Place[];
  /** The bucket in which the probe has just seen its own object; null: the probe saw none. */
  readonly control: BucketPlace | null;
  /** Kept from cycle to cycle. */
  readonly unfinished: UnfinishedListings;
  /** Whether the rows are recent. Among older rows, the cycle does not look for objects without a row. */
  readonly isCurrent: boolean;
  /** Requests that this cycle may send. */
  readonly requests: number;
  readonly now: number;
  /** The start of the window, epoch ms: older rows are not remembered. */
  readonly from: number;
  readonly random: () => number;
}

/**
 * Share of the requests kept for looking again at objects found before, drawn at random, so that deleted objects are
 * noticed within a few cycles. Half as many requests may go to objects that were not found.
 */
const RECHECK_SHARE = 0.1;
/** How long one cycle begins requests: a storage that answers late must not delay the next reading. */
const BEGIN_MS = 20_000;
/** Share of the requests that may go into listing ended runs for orphans. */
const ORPHANS_SHARE = 0.25;

/** Looks up new references, then some known ones again, then lists ended runs. */
export async function verify(ledger: Ledger, options: VerifyOptions, signal: AbortSignal): Promise<Verified> {
  const { stores, requests, bases, control, unfinished, isCurrent, now, from, random } = options;
  const findings = createFindings(ledger.rows(), { isKnown: stores.knows });
  if (control !== null) findings.noteSeen(control);
  const until = performance.now() + BEGIN_MS;
  const allowance = createAllowance(stores, { requests, until, signal });
  // Never none: with a ceiling of few requests, a lost object would else count as sound for ever.
  const count = Math.max(1, Math.floor(requests * RECHECK_SHARE));
  // With few requests most stay for new references: a LIST that is refused takes one, and a HEAD needs two at hand.
  const kept = Math.min(count + Math.ceil(count / 2), Math.floor(requests / 4));
  const forOrphans = isCurrent ? Math.floor(requests * ORPHANS_SHARE) : 0;
  const round = { stores, allowance, findings };
  const tries = createArchiveTries(ledger, round);
  await lookUpPending(ledger, { ...round, until, now, keep: kept }, signal);
  allowance.reopen();
  // Settled now, before the remaining requests go to references that are already known.
  await tries.settle(signal);
  await recheck(ledger, { ...round, count, random }, signal);
  await listOrphans(ledger, { ...round, bases, unfinished, now, from, requests: forOrphans }, signal);
  await tries.settle(signal);
  findings.confirm();
  const closures = allowance.closures();
  const answered = allowance.answering().length > 0;
  return {
    answers: findings.answers(),
    unchecked: findings.unchecked,
    rest: (place) => (signal.aborted ? null : reasonOf(place, closures)),
    failure: failureOf(closures, answered),
    answered,
  };
}

/** A bucket that gives no answer gives none about any object. A refusal is known only of those that were asked about. */
function reasonOf(place: Place, closures: readonly Closure[]): UncheckedReason {
  const closure = closures.find((one) => covers(one, place));
  if (closure === undefined) return 'budget';
  return isOfPath(closure.unknown) ? 'not_asked' : uncheckedReason(closure.unknown.reason);
}

/** The last failure. It names the place when another one answered, or answered later. */
function failureOf(closures: readonly Closure[], hasAnswer: boolean): Unknown | null {
  const last = closures.at(-1);
  if (last === undefined) return null;
  const { place, unknown } = last;
  const path = isOfPath(unknown) && place.prefix !== '' ? `, path ${place.prefix}` : '';
  return hasAnswer ? { ...unknown, detail: `bucket ${place.bucket}${path}: ${unknown.detail}` } : unknown;
}

/** `keep`: how many requests stay for the steps after this one. */
async function lookUpPending(
  ledger: Ledger,
  options: {
    readonly stores: Pick<Stores, 'of' | 'sent'>;
    readonly allowance: Allowance;
    readonly findings: Findings;
    readonly until: number;
    readonly now: number;
    readonly keep: number;
  },
  signal: AbortSignal,
): Promise<void> {
  const { stores, allowance, findings, until, now, keep } = options;
  const planned = new Set<Run>();
  while (allowance.beginnable() > 0 && !findings.isFull()) {
    const pending = await pendingReferences(ledger, planned);
    if (pending.length === 0) return;
    const objects = pending.filter(({ location }) => !allowance.isClosed(location));
    const looked = await lookUp(objects, { stores, ceiling: allowance.left() - keep, until, now }, signal);
    for (const { item, finding } of looked.found) findings.note(item, finding);
    for (const { item, unknown } of looked.unanswered) findings.noteUnanswered(item, unknown);
    for (const place of looked.answering) allowance.answered(place);
    for (const closure of looked.closures) allowance.close(closure);
    if (looked.closures.length > 0) {
      const closed = await runsOfClosed(ledger, (place) => allowance.isClosed(place));
      for (const run of closed) planned.add(run);
    }
    // Those of a closed place are left, but those of another place may come after them.
    if (looked.left.length > 0 && looked.closures.length === 0) return;
  }
}
