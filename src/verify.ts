import { isBackendKey } from './airflow/reference.ts';
import type { Reference } from './airflow/reference.ts';
import type { HeadAnswer, ListedObject, S3Reason, Unknown } from './clients/s3.ts';
import { isReference } from './ledger.ts';
import type { Ledger, ReferenceEntry, Run } from './ledger.ts';
import type { UncheckedReason } from './report.ts';
import type { Stores } from './stores.ts';

/** What S3 said about one reference. `gone` and `empty` are suspicions until the row has been read again. */
export interface Answer {
  readonly entry: ReferenceEntry;
  readonly object: 'present' | 'missing' | 'empty';
  readonly bytes: number | null;
}

export interface Verified {
  readonly answers: readonly Answer[];
  readonly unchecked: readonly { readonly entry: ReferenceEntry; readonly reason: UncheckedReason }[];
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

/** One LIST costs as much as 12.5 HEADs (S3 Standard: 0.005 against 0.0004 USD per 1,000). */
const HEADS_A_LIST = 13;
/** References that were looked up before and are looked at again in a cycle, drawn at random. */
const RECHECKED = 50;
/** Share of the requests that may go into listing ended runs for orphans. */
const SWEEP_SHARE = 0.25;
/** An object younger than that may still get its row; S3's clock and the database's may differ as well. */
export const ORPHAN_GRACE_MS = 10 * 60_000;
/** How often an ended run is listed again. */
const RELIST_MS = 3_600_000;
const TOGETHER = 32;

/** Looks up what has not been looked up, newest first, then some of the rest again, then ended runs. */
export async function verify(ledger: Ledger, options: VerifyOptions, signal: AbortSignal): Promise<Verified> {
  const answers: Answer[] = [];
  const unchecked: { entry: ReferenceEntry; reason: UncheckedReason }[] = [];
  const progress: { failure: Unknown | null; answered: boolean } = { failure: null, answered: false };
  const sentBefore = options.stores.sent();
  /** Requests that may still be sent. Every one may be tried twice, so half of them may be begun. */
  const left = () => options.requests - (options.stores.sent() - sentBefore);
  const mayBegin = () => (signal.aborted || progress.failure !== null ? 0 : Math.floor(left() / 2));

  const references = [...ledger.entries()].filter(isReference);
  const due = references.filter(({ object }) => object === 'unverified').sort((a, b) => b.row.at - a.row.at);
  const { heads, lists } = plan(due);

  for (const { place, entries } of lists) {
    const listing = await listAll(place, mayBegin());
    // Without s3:ListBucket there is still HEAD, which tells what is there.
    if (listing.end === 'unknown' && progress.failure === null) heads.push(...entries);
    else judge(listing, entries);
  }
  await headAll(heads, giveUp);
  const known = references.filter(({ object }) => object !== 'unverified');
  await headAll(draw(known, Math.min(RECHECKED, mayBegin()), options.random), () => undefined);
  await sweep();
  return { answers, unchecked, failure: progress.failure, answered: progress.answered };

  async function headAll(
    entries: readonly ReferenceEntry[],
    unasked: (entries: readonly ReferenceEntry[]) => void,
  ): Promise<void> {
    for (let at = 0; at < entries.length;) {
      const batch = entries.slice(at, at + Math.min(TOGETHER, mayBegin()));
      if (batch.length === 0) {
        unasked(entries.slice(at));
        return;
      }
      at += batch.length;
      const replies = await Promise.all(
        batch.map(async (entry) => {
          const { reference } = entry.placement;
          const reply = await options.stores.of(reference.connection).head(reference, signal);
          return { entry, reply };
        }),
      );
      for (const { entry, reply } of replies) note(entry, reply);
      // When not one of a batch was answered, asking on would only hurt S3 and hold up the cycle.
      const [unknown] = replies.map(({ reply }) => reply).filter((reply) => reply.kind === 'unknown');
      if (replies.every(({ reply }) => reply.kind === 'unknown')) progress.failure = unknown ?? null;
    }
  }

  function note(entry: ReferenceEntry, reply: HeadAnswer): void {
    if (reply.kind === 'unknown') {
      // Broken off by us, it says nothing of S3.
      if (entry.object === 'unverified' && reply.reason !== 'aborted')
        unchecked.push({ entry, reason: uncheckedReason(reply.reason) });
      return;
    }
    progress.answered = true;
    answers.push(
      reply.kind === 'missing'
        ? { entry, object: 'missing', bytes: null }
        : { entry, object: reply.bytes === 0 ? 'empty' : 'present', bytes: reply.bytes },
    );
  }

  function giveUp(entries: readonly ReferenceEntry[]): void {
    if (signal.aborted) return;
    const reason = progress.failure === null ? 'budget' : uncheckedReason(progress.failure.reason);
    for (const entry of entries) unchecked.push({ entry, reason });
  }

  async function listAll(place: Place, pages: number): Promise<Listing> {
    const objects: ListedObject[] = [];
    let after: string | null = null;
    for (let page = 0; page < Math.min(pages, mayBegin()); page += 1) {
      const answer = await options.stores
        .of(place.connection)
        .list({ bucket: place.bucket, prefix: place.prefix, after }, signal);
      if (answer.kind === 'unknown') {
        if (answer.reason !== 'denied') progress.failure = answer;
        return { objects, end: 'unknown' };
      }
      progress.answered = true;
      objects.push(...answer.objects);
      after = answer.next;
      if (after === null) return { objects, end: 'complete' };
    }
    return { objects, end: 'budget' };
  }

  /** A listing is in the order of keys: what is absent before its last key is missing, what is after is unknown. */
  function judge({ objects, end }: Listing, entries: readonly ReferenceEntry[]): void {
    const sizes = new Map(objects.map(({ key, bytes }) => [key, bytes]));
    const last = objects.at(-1)?.key ?? '';
    for (const entry of entries) {
      const { key } = entry.placement.reference;
      const bytes = sizes.get(key);
      if (bytes !== undefined) answers.push({ entry, object: bytes === 0 ? 'empty' : 'present', bytes });
      else if (end === 'complete' || Buffer.compare(Buffer.from(key), Buffer.from(last)) < 0)
        answers.push({ entry, object: 'missing', bytes: null });
      else if (entry.object === 'unverified') giveUp([entry]);
    }
  }

  /** Lists ended runs once they are quiet: every object must have its row. */
  async function sweep(): Promise<void> {
    const until = left() - Math.floor(options.requests * SWEEP_SHARE);
    const quiet = [...ledger.runs.values()]
      .filter((run) => !run.live && options.now - run.activeAt > ORPHAN_GRACE_MS)
      .filter((run) => run.listed === null || options.now - run.listed.at > RELIST_MS)
      .sort((a, b) => (a.listed?.at ?? 0) - (b.listed?.at ?? 0));
    for (const run of quiet) {
      const pages = Math.min(mayBegin(), left() - until);
      if (pages <= 0 || !(await sweepRun(run, pages))) return;
    }
  }

  /** False: S3 does not list, or no request was left. */
  async function sweepRun(run: Run, pages: number): Promise<boolean> {
    const entries = [...run.rows.values()].filter(isReference);
    const places = new Map<string, Place>();
    if (options.base !== null)
      addPlace(places, placeOf({ ...options.base, dagId: run.dagId, runId: run.runId }));
    for (const entry of entries) addPlace(places, placeOfEntry(entry));
    let orphans = 0;
    let orphanBytes = 0;
    for (const place of places.values()) {
      const listing = await listAll(place, pages);
      const here = entries.filter(({ placement: { reference } }) => isAt(reference, place));
      judge(listing, here);
      if (listing.end !== 'complete') return false;
      const keys = new Set(here.map(({ placement: { reference } }) => reference.key));
      for (const { key, bytes, lastModified } of listing.objects) {
        if (keys.has(key) || !isBackendKey(key.slice(place.prefix.length))) continue;
        if (options.now - lastModified < ORPHAN_GRACE_MS) continue;
        orphans += 1;
        orphanBytes += bytes;
      }
    }
    run.listed = { at: options.now, orphans, orphanBytes };
    return true;
  }
}

interface Listing {
  readonly objects: readonly ListedObject[];
  /** `unknown`: a page was not answered. */
  readonly end: 'complete' | 'budget' | 'unknown';
}

interface Place {
  readonly connection: string;
  readonly bucket: string;
  readonly prefix: string;
}

function placeOf(run: Place & { dagId: string; runId: string }): Place {
  const base = run.prefix === '' ? '' : `${run.prefix}/`;
  return { connection: run.connection, bucket: run.bucket, prefix: `${base}${run.dagId}/${run.runId}/` };
}

function placeOfEntry({ row, placement: { reference } }: ReferenceEntry): Place {
  return placeOf({ ...reference, dagId: row.dagId, runId: row.runId });
}

function addPlace(places: Map<string, Place>, place: Place): void {
  // The connection is no part of the name: two of them may lead to the same bucket.
  places.set(JSON.stringify([place.bucket, place.prefix]), place);
}

function isAt(reference: Reference, place: Place): boolean {
  return reference.bucket === place.bucket && reference.key.startsWith(place.prefix);
}

/** Per run, whichever is cheaper: a HEAD for each reference, or one LIST that answers up to 1,000. */
function plan(due: readonly ReferenceEntry[]): {
  heads: ReferenceEntry[];
  lists: { place: Place; entries: ReferenceEntry[] }[];
} {
  const groups = new Map<string, { place: Place; entries: ReferenceEntry[] }>();
  const heads: ReferenceEntry[] = [];
  for (const entry of due) {
    const place = placeOfEntry(entry);
    if (!isAt(entry.placement.reference, place)) {
      heads.push(entry);
      continue;
    }
    const name = JSON.stringify([place.connection, place.bucket, place.prefix]);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, { place, entries: [entry] });
    else group.entries.push(entry);
  }
  const lists = [];
  for (const group of groups.values())
    if (group.entries.length >= HEADS_A_LIST) lists.push(group);
    else heads.push(...group.entries);
  heads.sort((a, b) => b.row.at - a.row.at);
  return { heads, lists };
}

/** `count` different items, each as likely as any other; broken ones first, so that healing shows. */
function draw(entries: readonly ReferenceEntry[], count: number, random: () => number): ReferenceEntry[] {
  const broken = entries.filter(({ object }) => object !== 'present').slice(0, Math.ceil(count / 2));
  const rest = entries.filter(({ object }) => object === 'present');
  const drawn: ReferenceEntry[] = [];
  while (rest.length > 0 && broken.length + drawn.length < count) {
    const at = Math.floor(random() * rest.length);
    const [entry] = rest.splice(at, 1, ...rest.slice(-1));
    rest.pop();
    if (entry !== undefined) drawn.push(entry);
  }
  return [...broken, ...drawn];
}

/** The label of an answer that is none. */
export function uncheckedReason(reason: S3Reason): UncheckedReason {
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
