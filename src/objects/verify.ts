import type { Reference } from '../airflow/reference.ts';
import type { Unknown } from '../s3/failure.ts';
import type { Stores } from '../s3/stores.ts';
import type { UncheckedReason } from '../window/flags.ts';
import type { Ledger } from '../window/ledger.ts';
import type { Run } from '../window/run.ts';
import type { Allowance } from './allowance.ts';
import { createAllowance } from './allowance.ts';
import { createArchiveTries } from './archive-tries.ts';
import type { Answer, Findings } from './findings.ts';
import { createFindings, uncheckedReason } from './findings.ts';
import { lookUp } from './look-up.ts';
import { listOrphans } from './orphans.ts';
import { pendingReferences } from './pending.ts';
import { recheck } from './recheck.ts';

export interface Verified {
  /** What is new: a reference of which S3 says what it said before is not in it. */
  readonly answers: readonly Answer[];
  /** References that were asked about in vain, by slot. */
  readonly unchecked: ReadonlyMap<number, UncheckedReason>;
  /** Why all others that nobody has looked up yet were not asked about; null: none is left, or this was broken off. */
  readonly rest: UncheckedReason | null;
  /** The last request that got no answer, or null. */
  readonly failure: Unknown | null;
  /** S3 answered at least one request. */
  readonly answered: boolean;
}

/** While no HEAD can be believed, nothing is asked. */
export const NOTHING_ASKED: Verified = {
  answers: [],
  unchecked: new Map(),
  rest: 'unconfirmed',
  failure: null,
  answered: false,
};

export interface VerifyOptions {
  readonly stores: Pick<Stores, 'of' | 'sent'>;
  /** Where Airflow writes now; null when no path in S3 is configured. */
  readonly base: Pick<Reference, 'connection' | 'bucket' | 'prefix'> | null;
  /** The bucket in which the probe saw its own object a moment ago; null: it saw none. */
  readonly control: Pick<Reference, 'connection' | 'bucket'> | null;
  /** Whether the rows are recent: objects without a row are not looked for among older ones. */
  readonly isCurrent: boolean;
  /** Requests that this cycle may send. */
  readonly requests: number;
  readonly now: number;
  readonly random: () => number;
}

/**
 * Share of the requests that is kept for looking again at what was found before, drawn at random, so that objects
 * that something deletes are missed within a few cycles. Half as many may go to what was not found.
 */
const RECHECK_SHARE = 0.1;
/** How long requests are begun in one cycle: a storage that answers late must not keep the next reading waiting. */
const BEGIN_MS = 20_000;
/** Share of the requests that may go into listing ended runs for orphans. */
const ORPHANS_SHARE = 0.25;

/** Looks up what has not been looked up, then some of the rest again, then lists ended runs. */
export async function verify(ledger: Ledger, options: VerifyOptions, signal: AbortSignal): Promise<Verified> {
  const { stores, requests, base, control, isCurrent, now, random } = options;
  const findings = createFindings(ledger.rows(), stores);
  if (control !== null) findings.noteSeen(control);
  const until = performance.now() + BEGIN_MS;
  const allowance = createAllowance(stores, { requests, until, signal });
  const count = Math.floor(requests * RECHECK_SHARE);
  const forOrphans = isCurrent ? Math.floor(requests * ORPHANS_SHARE) : 0;
  const round = { stores, allowance, findings };
  const tries = createArchiveTries(ledger, round);
  await lookUpPending(ledger, { ...round, until, now, keep: count + Math.ceil(count / 2) }, signal);
  // Before the rest of the requests goes into what is known already.
  await tries.settle(signal);
  await recheck(ledger, { ...round, count, random }, signal);
  await listOrphans(ledger, { ...round, base, now, requests: forOrphans }, signal);
  await tries.settle(signal);
  findings.confirm();
  const { failure, answered } = allowance.progress;
  const rest = failure === null ? 'budget' : uncheckedReason(failure.reason);
  return {
    answers: findings.answers(),
    unchecked: findings.unchecked,
    rest: signal.aborted ? null : rest,
    failure,
    answered,
  };
}

/** `keep`: requests that are left for what comes after. */
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
    const objects = await pendingReferences(ledger, planned);
    if (objects.length === 0) return;
    const looked = await lookUp(objects, { stores, ceiling: allowance.left() - keep, until, now }, signal);
    for (const { item, finding } of looked.found) findings.note(item, finding);
    for (const { item, unknown } of looked.unanswered) findings.noteUnanswered(item, unknown);
    if (looked.answered) allowance.answered();
    if (looked.failure !== null) allowance.giveUp(looked.failure);
    if (looked.left.length > 0) return;
  }
}
