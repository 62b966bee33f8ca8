import { isBackendKey } from '../airflow/reference.ts';
import { createPace } from '../lib/pace.ts';
import { mayBeArchived } from '../s3/archive.ts';
import type { ListedObject } from '../s3/listing.ts';
import type { Stores } from '../s3/stores.ts';
import * as is from '../window/flags.ts';
import type { Ledger } from '../window/ledger.ts';
import type { Listed, Run } from '../window/run.ts';
import type { Allowance, Place } from './allowance.ts';
import { isSamePlace } from './allowance.ts';
import type { Findings } from './findings.ts';
import type { Extent } from './list-pages.ts';
import { listPages } from './list-pages.ts';
import type { Location, LocationRows } from './locations.ts';
import { createMatcher, groupByLocation, locationOf } from './locations.ts';
import { headEach } from './recheck.ts';
import { refusedAmong } from './unlistable.ts';
import type { Unlistable } from './unlistable.ts';

/** A younger object may still get its row; the clocks of S3, the workers and the database may also differ. */
const ORPHAN_GRACE_MS = 10 * 60_000;
/** How often an ended run is listed again. */
export const RELIST_MS = 3_600_000;
/** How soon a run is tried again that S3 refused to list. A refusal may pass, and a path costs one request. */
const REFUSED_AGAIN_MS = 5 * 60_000;

/** A listing of a run that does not fit into one cycle, and goes on in a later one. */
interface Unfinished {
  /** Both are those of the run when its listing began. A run that has changed since is listed from the beginning. */
  readonly activeAt: number;
  readonly changes: number;
  /** When the run last had its turn, epoch ms. */
  turnAt: number;
  /** The places that are listed to the end. */
  readonly done: Place[];
  /** The places that could not be listed, and are passed over. */
  readonly passed: Unlistable[];
  /** The point at which the listing of the next place goes on; null: its beginning. */
  next: { readonly place: Place; readonly after: string } | null;
  orphans: number;
  orphanBytes: number;
  /** The keys of orphans in a bucket that two connections name: both may lead to one server. */
  readonly counted: Set<string>;
}

/** The listings that go on in a later cycle. */
export type UnfinishedListings = WeakMap<Run, Unfinished>;

export interface ListOptions {
  readonly stores: Pick<Stores, 'of' | 'knows'>;
  readonly unfinished: UnfinishedListings;
  readonly allowance: Allowance;
  readonly findings: Findings;
  /** The places where workers write now; none when no path in S3 is configured. */
  readonly bases: readonly Place[];
  /** How many requests may go into listing for orphans. */
  readonly requests: number;
  readonly now: number;
  /** The start of the window, epoch ms: older rows are not remembered. */
  readonly from: number;
}

/** Whether a run has ended and been left alone long enough to be listed. */
export function isQuiet({ live, activeAt }: Pick<Run, 'live' | 'activeAt'>, now: number): boolean {
  return !live && now - activeAt > ORPHAN_GRACE_MS;
}

/**
 * Lists ended runs once they are quiet: every object that was written in the window must have its row. A run with more
 * objects than one cycle lists keeps its place, and the others come before its next turn.
 */
export async function listOrphans(ledger: Ledger, options: ListOptions, signal: AbortSignal): Promise<void> {
  const { allowance, now, from, unfinished } = options;
  // In a window this short no object could be judged, and none found would look like a sound 0.
  if (now - from <= 2 * ORPHAN_GRACE_MS) return;
  const leftAfter = allowance.left() - options.requests;
  const quiet = [...ledger.runs().values()]
    .filter((run) => isQuiet(run, now))
    .filter(({ listed }) => listed === null || now - listed.at > waitAfter(listed))
    .sort((a, b) => turnOf(a, unfinished) - turnOf(b, unfinished));
  const unlistable: Unlistable[] = [];
  for (const run of quiet) {
    const pages = Math.min(allowance.beginnable(), allowance.left() - leftAfter);
    if (pages <= 0) return;
    await listRun(ledger, run, { ...options, pages, unlistable }, signal);
  }
}

function turnOf(run: Run, unfinished: UnfinishedListings): number {
  return goingOn(run, unfinished)?.turnAt ?? run.listed?.at ?? 0;
}

function goingOn(run: Run, unfinished: UnfinishedListings): Unfinished | undefined {
  const listing = unfinished.get(run);
  return listing?.activeAt === run.activeAt && listing.changes === run.changes ? listing : undefined;
}

function waitAfter({ refused }: Listed): number {
  return refused === undefined ? RELIST_MS : REFUSED_AGAIN_MS;
}

type RunOptions = ListOptions & {
  readonly pages: number;
  /** The places that this cycle has tried to list in vain. */
  readonly unlistable: Unlistable[];
};

/**
 * A run whose ids were cut to fit into a key is not listed: other ids may have been cut to the same text. Nor is one
 * with a bucket that was given up, or a place of which no listing can tell.
 */
async function listRun(ledger: Ledger, run: Run, options: RunOptions, signal: AbortSignal): Promise<void> {
  const { now, allowance, unfinished, unlistable } = options;
  const { locations, scattered } = await groupByLocation(ledger.rows(), run, {
    wanted: () => true,
    among: null,
  });
  if (scattered.length > 0) {
    run.listed = { at: now, unseen: true };
    return;
  }
  const listing = goingOn(run, unfinished) ?? newListing(run);
  const groups = locationsOf(locations, run, options.bases).filter(
    ({ location }) => !listing.passed.some(({ place }) => isSamePlace(place, location)),
  );
  /** No row of the run lies there, so the other places can be counted without it. */
  const isSpare = ({ slots }: LocationRows): boolean => slots.length === 0 && groups.length > 1;
  const passOver = (): void => {
    for (const group of groups.filter(isSpare)) {
      const found = unlistable.find(({ place }) => isSamePlace(place, group.location));
      if (found === undefined || !isSpare(group)) continue;
      groups.splice(groups.indexOf(group), 1);
      listing.passed.push(found);
    }
  };
  /**
   * Ends the turn of a run that may not be listed: it must not keep the others waiting. Its figure stands: without it,
   * the total would fall now and seem to grow later.
   */
  const noteRefused = (): boolean => {
    if (run.listed?.unseen !== false) passOver();
    const refused = refusedAmong(
      groups.map(({ location }) => location),
      options,
    );
    if (refused === null) return false;
    run.listed = { ...(run.listed ?? { unseen: true }), at: now, refused };
    unfinished.delete(run);
    return true;
  };
  for (const { location } of groups.filter(isSpare))
    if (allowance.isBucketClosed(location))
      unlistable.push({ place: location, why: 'no request to its bucket succeeded' });
  if (noteRefused()) return;
  if (groups.some(({ location }) => allowance.isBucketClosed(location))) return;
  listing.turnAt = now;
  unfinished.set(run, listing);
  for (const group of [...groups]) {
    const { location } = group;
    if (listing.done.some((place) => isSamePlace(place, location))) continue;
    const namesakes = groups.filter((other) => other !== group && isOfSameName(other.location, location));
    const isOnly = !isSpare(group);
    const judged = await judgeLocation(ledger, { run, group, namesakes, listing, isOnly }, options, signal);
    if (noteRefused()) return;
    if (!groups.includes(group)) {
      listing.next = null;
      continue;
    }
    // S3 may no longer know where the listing was to go on.
    if (judged === 'failed') unfinished.set(run, { ...newListing(run), turnAt: now });
    if (judged !== 'whole') return;
    listing.done.push(location);
  }
  const { orphans, orphanBytes, passed } = listing;
  const figures = { at: now, unseen: false, orphans, orphanBytes } as const;
  const refused = refusedAmong(
    passed.map(({ place }) => place),
    { ...options, unlistable: passed },
  );
  run.listed = refused === null ? figures : { ...figures, refused };
  unfinished.delete(run);
}

function newListing({ activeAt, changes }: Run): Unfinished {
  const listing = { turnAt: 0, done: [], passed: [], next: null, orphans: 0, orphanBytes: 0 };
  return { activeAt, changes, ...listing, counted: new Set() };
}

/** The locations of the run's references, and those where workers would put new ones now. */
function locationsOf(
  locations: readonly LocationRows[],
  run: Run,
  bases: readonly Place[],
): readonly LocationRows[] {
  const others = bases.filter((base) => !locations.some(({ location }) => isSamePlace(location, base)));
  return [...others.map((base) => ({ location: locationOf(base, run), slots: [] })), ...locations];
}

/** Whether both connections name the same objects: on one server, or on two. */
function isOfSameName(one: Location, other: Location): boolean {
  return one.bucket === other.bucket && one.folder === other.folder;
}

interface Judged {
  readonly run: Run;
  readonly group: LocationRows;
  /** The locations of the same name that other connections reach. */
  readonly namesakes: readonly LocationRows[];
  readonly listing: Unfinished;
  /** Whether no other place of the run could be counted without this one. */
  readonly isOnly: boolean;
}

/**
 * Lists one location of a run. A HEAD decides about each reference whose object a complete listing lacks, or lists as
 * empty or in a storage class that may be an archive. A partial listing decides nothing, since not every server lists in
 * the order of keys. Nor does a listing that took several cycles: its first pages are too old.
 */
async function judgeLocation(
  ledger: Ledger,
  { run, group: { location, slots }, namesakes, listing, isOnly }: Judged,
  options: RunOptions,
  signal: AbortSignal,
): Promise<Extent> {
  const { findings, now, from } = options;
  const rows = ledger.rows();
  const pace = createPace();
  const slotOf = createMatcher(rows, run, slots);
  const namesakeOf = createMatcher(
    rows,
    run,
    namesakes.flatMap((other) => other.slots),
  );
  const seen = new Set<number>();
  const countOrphan = ({ key, bytes, lastModified }: ListedObject) => {
    if (!isBackendKey(key.slice(location.folder.length))) return;
    if (now - lastModified < ORPHAN_GRACE_MS) return;
    // An object is written just before its row, so the row of this one may be older than the window and unknown here.
    if (lastModified - from < ORPHAN_GRACE_MS) return;
    // The object of a row with another connection may be a copy, or this very object.
    if (namesakeOf(key) !== undefined || listing.counted.has(key)) return;
    if (namesakes.length > 0) listing.counted.add(key);
    listing.orphans += 1;
    listing.orphanBytes += bytes;
  };
  const take = async (objects: readonly ListedObject[]) => {
    for (const object of objects) {
      const slot = slotOf(object.key);
      if (slot === undefined) {
        findings.noteSeen(location);
        countOrphan(object);
        continue;
      }
      const { bytes, storageClass } = object;
      const isOpen = bytes === 0 || mayBeArchived(object, now);
      // A reference already known as such needs no HEAD here: a later recheck shows whether the object was restored.
      if (isOpen && is.objectOf(rows.flagsOf(slot)) !== (bytes === 0 ? 'empty' : 'unreadable')) continue;
      seen.add(slot);
      findings.note(slot, { kind: 'present', bytes, archive: isOpen ? storageClass : null });
    }
    await pace.rest();
  };
  const isOfOneCycle = listing.next === null;
  const extent = await listPages(location, { ...options, listing, isOnly, take }, signal);
  if (extent === 'whole' && isOfOneCycle)
    await headEach(
      ledger,
      slots.filter((slot) => !seen.has(slot)),
      options,
      signal,
    );
  return extent;
}
