import type { Reference } from '../airflow/reference.ts';
import { isBackendKey } from '../airflow/reference.ts';
import { createPace } from '../lib/pace.ts';
import type { HeadAnswer, ListedObject } from '../s3/client.ts';
import type { S3Reason, Unknown } from '../s3/failure.ts';
import type { Stores } from '../s3/stores.ts';
import { indexInChunk } from '../window/columns.ts';
import type { UncheckedReason } from '../window/flags.ts';
import * as is from '../window/flags.ts';
import type { Ledger } from '../window/ledger.ts';
import type { Run } from '../window/run.ts';
import type { Location, LocationRows } from './locations.ts';
import { createMatcher, groupByLocation, locationOf } from './locations.ts';
import { beginnable, lookUp, TOGETHER } from './look-up.ts';
import { pendingReferences } from './pending.ts';
import { drawKnown } from './recheck.ts';

/** What S3 said about one reference. `missing` and `empty` are suspicions until the row has been read again. */
export interface Answer {
  readonly slot: number;
  readonly object: 'present' | 'missing' | 'empty';
  readonly bytes: number | null;
}

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

export interface VerifyOptions {
  readonly stores: Pick<Stores, 'of' | 'sent'>;
  /** Where Airflow writes now; null when no path in S3 is configured. */
  readonly base: Pick<Reference, 'connection' | 'bucket' | 'prefix'> | null;
  /** Requests that this cycle may send. */
  readonly requests: number;
  readonly now: number;
  readonly random: () => number;
}

/**
 * Share of the requests that is kept for looking again at what was found before, drawn at random, so that it is known
 * how soon objects are missed that something deletes: with 50 looks a cycle, a hundredth of all is come across within 10 cycles in 99 of 100 times. Half as many may go to what was not found.
 */
const RECHECK_SHARE = 0.1;
/**
 * Bad news that one cycle takes in: each is read once more in the database. What else is missing stays unknown until
 * the next one.
 */
const SUSPECTS = 5_000;
/** How long requests are begun in one cycle: a storage that answers late must not keep the next reading waiting. */
const BEGIN_MS = 20_000;
/** Share of the requests that may go into listing ended runs for orphans. */
const ORPHANS_SHARE = 0.25;
/** An object younger than that may still get its row; S3's clock and the database's may differ as well. */
const ORPHAN_GRACE_MS = 10 * 60_000;
/** How often an ended run is listed again. */
const RELIST_MS = 3_600_000;

/** Looks up what has not been looked up, then some of the rest again, then lists ended runs. */
export async function verify(ledger: Ledger, options: VerifyOptions, signal: AbortSignal): Promise<Verified> {
  const rows = ledger.rows();
  const pace = createPace();
  const answers: Answer[] = [];
  let suspects = 0;
  const unchecked = new Map<number, UncheckedReason>();
  const progress: { failure: Unknown | null; answered: boolean } = { failure: null, answered: false };
  const sentBefore = options.stores.sent();
  /** Requests that may still be sent. */
  const left = () => options.requests - (options.stores.sent() - sentBefore);
  const until = performance.now() + BEGIN_MS;
  const mayBegin = () =>
    signal.aborted || progress.failure !== null || performance.now() > until ? 0 : beginnable(left());

  const again = Math.floor(options.requests * RECHECK_SHARE);
  await lookUpDue({ keep: again + Math.ceil(again / 2) });
  await headAll(await drawKnown(ledger, { count: again, random: options.random }));
  await listOrphans();
  const rest = progress.failure === null ? ('budget' as const) : uncheckedReason(progress.failure.reason);
  return { answers, unchecked, rest: signal.aborted ? null : rest, ...progress };

  async function lookUpDue({ keep }: { keep: number }): Promise<void> {
    const planned = new Set<Run>();
    while (mayBegin() > 0 && suspects < SUSPECTS) {
      const objects = await pendingReferences(ledger, planned);
      if (objects.length === 0) return;
      const { stores } = options;
      const looked = await lookUp(objects, { stores, ceiling: left() - keep, until }, signal);
      for (const { item, finding } of looked.found)
        note(item, finding.kind === 'missing' ? null : finding.bytes);
      for (const { item, unknown } of looked.unanswered) unchecked.set(item, uncheckedReason(unknown.reason));
      progress.answered ||= looked.answered;
      progress.failure = looked.failure;
      if (looked.left.length > 0) return;
    }
  }

  async function headAll(slots: readonly number[]): Promise<void> {
    for (let at = 0; at < slots.length;) {
      const batch = slots.slice(at, at + Math.min(TOGETHER, mayBegin()));
      if (batch.length === 0) return;
      at += batch.length;
      const replies = await Promise.all(
        batch.map(async (slot) => {
          const reference = rows.referenceOf(ledger.runOf(slot), slot);
          if (reference === null) throw new Error('Only references are looked up');
          const reply = await options.stores.of(reference.connection).head(reference, signal);
          return { slot, reply };
        }),
      );
      for (const { slot, reply } of replies) noteHead(slot, reply);
      // When not one of a batch was answered, asking on would only hurt S3 and hold up the cycle.
      const [unknown] = replies.map(({ reply }) => reply).filter((reply) => reply.kind === 'unknown');
      if (replies.every(({ reply }) => reply.kind === 'unknown')) progress.failure = unknown ?? null;
    }
  }

  function noteHead(slot: number, reply: HeadAnswer): void {
    if (reply.kind === 'unknown') {
      // Broken off by us, it says nothing of S3.
      if (is.isUnverified(rows.flagsOf(slot)) && reply.reason !== 'aborted')
        unchecked.set(slot, uncheckedReason(reply.reason));
      return;
    }
    progress.answered = true;
    note(slot, reply.kind === 'missing' ? null : reply.bytes);
  }

  /** `bytes`: null where there is no object. */
  function note(slot: number, bytes: number | null): void {
    const object = bytes === null ? 'missing' : bytes === 0 ? 'empty' : 'present';
    const chunk = rows.chunkOf(slot);
    const at = indexInChunk(slot);
    if (is.objectOf(chunk.flags[at] ?? 0) === object && (bytes === null || chunk.size[at] === bytes)) return;
    if (object !== 'present') {
      if (suspects >= SUSPECTS) return;
      suspects += 1;
    }
    answers.push({ slot, object, bytes });
  }

  /**
   * Lists one location of a run and judges the references there: what a whole listing lacks is missing. Of a part nothing
   * follows, since not every server lists in the order of keys. True: all of it was listed.
   */
  async function listPlace(
    run: Run,
    { location, slots }: LocationRows,
    { pages, other }: { pages: number; other?: (object: ListedObject) => void },
  ): Promise<boolean> {
    const slotOf = createMatcher(rows, run, slots);
    const seen = new Set<number>();
    const end = await listAll(location, pages, async (objects) => {
      for (const object of objects) {
        const slot = slotOf(object.key);
        if (slot === undefined) {
          other?.(object);
          continue;
        }
        seen.add(slot);
        note(slot, object.bytes);
      }
      await pace.rest();
    });
    for (const [at, slot] of end ? slots.entries() : []) {
      if (at % 1_024 === 0) await pace.rest();
      if (!seen.has(slot)) note(slot, null);
    }
    return end;
  }

  /** Hands over page after page. True: the last one has come. */
  async function listAll(
    location: Location,
    pages: number,
    take: (objects: readonly ListedObject[]) => Promise<void>,
  ): Promise<boolean> {
    let after: string | null = null;
    for (let page = 0; page < Math.min(pages, mayBegin()); page += 1) {
      const answer = await options.stores
        .of(location.connection)
        .list({ bucket: location.bucket, prefix: location.prefix, after }, signal);
      if (answer.kind === 'unknown') {
        if (answer.reason !== 'denied') progress.failure = answer;
        return false;
      }
      progress.answered = true;
      await take(answer.objects);
      after = answer.next;
      if (after === null) return true;
    }
    return false;
  }

  /** Lists ended runs once they are quiet: every object must have its row. */
  async function listOrphans(): Promise<void> {
    const until = left() - Math.floor(options.requests * ORPHANS_SHARE);
    const quiet = [...ledger.runs().values()]
      .filter((run) => !run.live && options.now - run.activeAt > ORPHAN_GRACE_MS)
      .filter((run) => run.listed === null || options.now - run.listed.at > RELIST_MS)
      .sort((a, b) => (a.listed?.at ?? 0) - (b.listed?.at ?? 0));
    for (const run of quiet) {
      const pages = Math.min(mayBegin(), left() - until);
      if (pages <= 0 || !(await listOrphansOf(run, pages))) return;
    }
  }

  /** False: S3 does not list, or no request was left. */
  async function listOrphansOf(run: Run, pages: number): Promise<boolean> {
    let orphans = 0;
    let orphanBytes = 0;
    for (const group of locationsOf(run)) {
      const { prefix } = group.location;
      const isWhole = await listPlace(run, group, {
        pages,
        other: ({ key, bytes, lastModified }) => {
          if (!isBackendKey(key.slice(prefix.length))) return;
          if (options.now - lastModified < ORPHAN_GRACE_MS) return;
          orphans += 1;
          orphanBytes += bytes;
        },
      });
      if (!isWhole) return false;
    }
    run.listed = { at: options.now, orphans, orphanBytes };
    return true;
  }

  /** Where references of the run lie, and where Airflow would put others now. */
  function locationsOf(run: Run): readonly LocationRows[] {
    const { locations: places } = groupByLocation(rows, run, () => true);
    if (options.base === null) return places;
    const base = locationOf(options.base, run);
    // The connection is no part of the name: two of them may lead to the same bucket.
    const isThere = places.some(
      ({ location }) => location.bucket === base.bucket && location.prefix === base.prefix,
    );
    return isThere ? places : [{ location: base, slots: [] }, ...places];
  }
}

/** The label of an answer that is none. */
function uncheckedReason(reason: S3Reason): UncheckedReason {
  switch (reason) {
    case 'denied':
    case 'throttled':
    case 'timeout':
      return reason;
    case 'clock_skew':
      return 'denied';
    default:
      return 'unreachable';
  }
}
