import { isBackendKey } from '../airflow/reference.ts';
import { createPace } from '../lib/pace.ts';
import { mayBeArchived } from '../s3/archive.ts';
import { isOfPath } from '../s3/failure.ts';
import type { ListedObject } from '../s3/listing.ts';
import type { Stores } from '../s3/stores.ts';
import * as is from '../window/flags.ts';
import type { Ledger } from '../window/ledger.ts';
import type { Listed, Run } from '../window/run.ts';
import type { Allowance, Place } from './allowance.ts';
import { isSamePlace } from './allowance.ts';
import type { Findings } from './findings.ts';
import type { Location, LocationRows } from './locations.ts';
import { createMatcher, groupByLocation, locationOf } from './locations.ts';
import { headEach } from './recheck.ts';

/** A younger object may still get its row; the clocks of S3, the workers and the database may also differ. */
const ORPHAN_GRACE_MS = 10 * 60_000;
/** How often an ended run is listed again. */
export const RELIST_MS = 3_600_000;
/** How soon a run is tried again that S3 refused to list. A refusal may pass, and a path costs one request. */
const REFUSED_AGAIN_MS = 5 * 60_000;

export interface ListOptions {
  readonly stores: Pick<Stores, 'of'>;
  readonly allowance: Allowance;
  readonly findings: Findings;
  /** The place where Airflow writes now; null when no path in S3 is configured. */
  readonly base: Place | null;
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

/** Lists ended runs once they are quiet: every object that was written in the window must have its row. */
export async function listOrphans(ledger: Ledger, options: ListOptions, signal: AbortSignal): Promise<void> {
  const { allowance, now, from } = options;
  // In a window this short no object could be judged, and none found would look like a sound 0.
  if (now - from <= 2 * ORPHAN_GRACE_MS) return;
  const leftAfter = allowance.left() - options.requests;
  const quiet = [...ledger.runs().values()]
    .filter((run) => isQuiet(run, now))
    .filter(({ listed }) => listed === null || now - listed.at > waitAfter(listed))
    .sort((a, b) => (a.listed?.at ?? 0) - (b.listed?.at ?? 0));
  const unlistable: Place[] = [];
  for (const run of quiet) {
    const pages = Math.min(allowance.beginnable(), allowance.left() - leftAfter);
    if (pages <= 0) return;
    await listRun(ledger, run, { ...options, pages, unlistable }, signal);
  }
}

function waitAfter({ refused }: Listed): number {
  return refused === undefined ? RELIST_MS : REFUSED_AGAIN_MS;
}

type RunOptions = ListOptions & {
  readonly pages: number;
  /** The places that S3 has refused to list in this cycle. */
  readonly unlistable: Place[];
};

/**
 * A run whose ids were cut to fit into a key is not listed: other ids may have been cut to the same text. Nor is one
 * with a bucket that was given up, or a place that may not be listed.
 */
async function listRun(ledger: Ledger, run: Run, options: RunOptions, signal: AbortSignal): Promise<void> {
  const { now, from, allowance, unlistable } = options;
  let orphans = 0;
  let orphanBytes = 0;
  const { locations, scattered } = await groupByLocation(ledger.rows(), run, {
    wanted: () => true,
    among: null,
  });
  if (scattered.length > 0) {
    run.listed = { at: now, unseen: true };
    return;
  }
  const groups = locationsOf(locations, run, options.base);
  if (groups.some(({ location }) => allowance.isBucketClosed(location))) return;
  /**
   * Ends the turn of a run that may not be listed: it must not keep the others waiting. Its figure stands: without it,
   * the total would fall now and seem to grow later.
   */
  const noteRefused = (): boolean => {
    const refused = groups.find(({ location }) => unlistable.some((place) => isSamePlace(place, location)));
    if (refused === undefined) return false;
    const { bucket, prefix } = refused.location;
    run.listed = { ...(run.listed ?? { unseen: true }), at: now, refused: `s3://${bucket}/${prefix}` };
    return true;
  };
  if (noteRefused()) return;
  for (const group of groups) {
    const { folder } = group.location;
    const countOrphan = ({ key, bytes, lastModified }: ListedObject) => {
      if (!isBackendKey(key.slice(folder.length))) return;
      if (now - lastModified < ORPHAN_GRACE_MS) return;
      // An object is written just before its row, so the row of this one may be older than the window and unknown here.
      if (lastModified - from < ORPHAN_GRACE_MS) return;
      orphans += 1;
      orphanBytes += bytes;
    };
    const isWhole = await judgeLocation(ledger, { run, group }, { ...options, countOrphan }, signal);
    if (noteRefused() || !isWhole) return;
  }
  run.listed = { at: now, unseen: false, orphans, orphanBytes };
}

/** The locations of the run's references, and the location where Airflow would put new ones now. */
function locationsOf(
  locations: readonly LocationRows[],
  run: Run,
  inForce: ListOptions['base'],
): readonly LocationRows[] {
  if (inForce === null) return locations;
  const base = locationOf(inForce, run);
  // The comparison ignores the connection: two connections may lead to the same bucket.
  const isThere = locations.some(
    ({ location }) => location.bucket === base.bucket && location.folder === base.folder,
  );
  return isThere ? locations : [{ location: base, slots: [] }, ...locations];
}

/**
 * Lists one location of a run. A HEAD decides about each reference whose object a complete listing lacks, or lists in a
 * storage class that may be an archive. A partial listing decides nothing, since not every server lists in the order of
 * keys. True: the whole location was listed.
 */
async function judgeLocation(
  ledger: Ledger,
  { run, group: { location, slots } }: { run: Run; group: LocationRows },
  options: RunOptions & { readonly countOrphan: (object: ListedObject) => void },
  signal: AbortSignal,
): Promise<boolean> {
  const { findings, now } = options;
  const rows = ledger.rows();
  const pace = createPace();
  const slotOf = createMatcher(rows, run, slots);
  const seen = new Set<number>();
  const take = async (objects: readonly ListedObject[]) => {
    for (const object of objects) {
      const slot = slotOf(object.key);
      if (slot === undefined) {
        findings.noteSeen(location);
        options.countOrphan(object);
        continue;
      }
      const { bytes, storageClass } = object;
      const isOpen = mayBeArchived(object, now);
      // A reference already known to be unreadable needs no HEAD here: a later recheck shows whether it was restored.
      if (isOpen && is.objectOf(rows.flagsOf(slot)) !== 'unreadable') continue;
      seen.add(slot);
      findings.note(slot, { kind: 'present', bytes, archive: isOpen ? storageClass : null });
    }
    await pace.rest();
  };
  const isWhole = await listAll(location, { ...options, take }, signal);
  if (isWhole)
    await headEach(
      ledger,
      slots.filter((slot) => !seen.has(slot)),
      options,
      signal,
    );
  return isWhole;
}

/** Hands over page after page. True: the last page was read. */
async function listAll(
  location: Location,
  options: RunOptions & { readonly take: (objects: readonly ListedObject[]) => Promise<void> },
  signal: AbortSignal,
): Promise<boolean> {
  const { stores, allowance, pages, unlistable } = options;
  const { connection, bucket, folder: prefix } = location;
  let after: string | null = null;
  for (let page = 0; page < Math.min(pages, allowance.beginnable()); page += 1) {
    const answer = await stores.of(connection).list({ bucket, prefix, after }, signal);
    if (answer.kind === 'unknown') {
      // Without permission to list, HEAD still works.
      if (isOfPath(answer)) unlistable.push(location);
      else allowance.judge([{ place: location, unknown: answer }]);
      return false;
    }
    allowance.answered(location);
    await options.take(answer.objects);
    after = answer.next;
    if (after === null) return true;
  }
  return false;
}
