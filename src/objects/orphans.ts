import type { Reference } from '../airflow/reference.ts';
import { isBackendKey } from '../airflow/reference.ts';
import { createPace } from '../lib/pace.ts';
import { mayBeArchived } from '../s3/archive.ts';
import type { ListedObject } from '../s3/client.ts';
import type { Stores } from '../s3/stores.ts';
import * as is from '../window/flags.ts';
import type { Ledger } from '../window/ledger.ts';
import type { Run } from '../window/run.ts';
import type { Allowance } from './allowance.ts';
import type { Findings } from './findings.ts';
import type { Location, LocationRows } from './locations.ts';
import { createMatcher, groupByLocation, locationOf } from './locations.ts';
import { headEach } from './recheck.ts';

/** An object younger than that may still get its row; S3's clock and the database's may differ as well. */
const ORPHAN_GRACE_MS = 10 * 60_000;
/** How often an ended run is listed again. */
const RELIST_MS = 3_600_000;

export interface ListOptions {
  readonly stores: Pick<Stores, 'of'>;
  readonly allowance: Allowance;
  readonly findings: Findings;
  /** Where Airflow writes now; null when no path in S3 is configured. */
  readonly base: Pick<Reference, 'connection' | 'bucket' | 'prefix'> | null;
  /** Requests that may go into it. */
  readonly requests: number;
  readonly now: number;
}

/** Lists ended runs once they are quiet: every object must have its row. */
export async function listOrphans(ledger: Ledger, options: ListOptions, signal: AbortSignal): Promise<void> {
  const { allowance, now } = options;
  const leftAfter = allowance.left() - options.requests;
  const quiet = [...ledger.runs().values()]
    .filter((run) => !run.live && now - run.activeAt > ORPHAN_GRACE_MS)
    .filter((run) => run.listed === null || now - run.listed.at > RELIST_MS)
    .sort((a, b) => (a.listed?.at ?? 0) - (b.listed?.at ?? 0));
  for (const run of quiet) {
    const pages = Math.min(allowance.beginnable(), allowance.left() - leftAfter);
    if (pages <= 0 || !(await listRun(ledger, run, { ...options, pages }, signal))) return;
  }
}

type RunOptions = ListOptions & { readonly pages: number };

/**
 * Nothing is listed of a run whose ids were cut to fit into a key: others may have been cut to the same.
 * False: S3 does not list, or no request was left.
 */
async function listRun(ledger: Ledger, run: Run, options: RunOptions, signal: AbortSignal): Promise<boolean> {
  const { now } = options;
  let orphans = 0;
  let orphanBytes = 0;
  const { locations, scattered } = await groupByLocation(ledger.rows(), run, {
    wanted: () => true,
    among: null,
  });
  if (scattered.length > 0) {
    run.listed = { at: now, unseen: true };
    return true;
  }
  for (const group of locationsOf(locations, run, options.base)) {
    const { prefix } = group.location;
    const countOrphan = ({ key, bytes, lastModified }: ListedObject) => {
      if (!isBackendKey(key.slice(prefix.length))) return;
      if (now - lastModified < ORPHAN_GRACE_MS) return;
      orphans += 1;
      orphanBytes += bytes;
    };
    if (!(await judgeLocation(ledger, { run, group }, { ...options, countOrphan }, signal))) return false;
  }
  run.listed = { at: now, unseen: false, orphans, orphanBytes };
  return true;
}

/** Where references of the run lie, and where Airflow would put others now. */
function locationsOf(
  locations: readonly LocationRows[],
  run: Run,
  inForce: ListOptions['base'],
): readonly LocationRows[] {
  if (inForce === null) return locations;
  const base = locationOf(inForce, run);
  // The connection is no part of the name: two of them may lead to the same bucket.
  const isThere = locations.some(
    ({ location }) => location.bucket === base.bucket && location.prefix === base.prefix,
  );
  return isThere ? locations : [{ location: base, slots: [] }, ...locations];
}

/**
 * Lists one location of a run. A reference whose object a whole listing lacks, or gives in a storage class that may be an
 * archive, is asked for by HEAD, which decides. Nothing follows from a part, since not every server lists in the order of
 * keys. True: all of it was listed.
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
      // It is where it was found to be unreadable: that it was restored shows when it is looked at again.
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

/** Hands over page after page. True: the last one has come. */
async function listAll(
  { connection, bucket, prefix }: Location,
  options: RunOptions & { readonly take: (objects: readonly ListedObject[]) => Promise<void> },
  signal: AbortSignal,
): Promise<boolean> {
  const { stores, allowance, pages } = options;
  let after: string | null = null;
  for (let page = 0; page < Math.min(pages, allowance.beginnable()); page += 1) {
    const answer = await stores.of(connection).list({ bucket, prefix, after }, signal);
    if (answer.kind === 'unknown') {
      if (answer.reason !== 'denied') allowance.giveUp(answer);
      return false;
    }
    allowance.answered();
    await options.take(answer.objects);
    after = answer.next;
    if (after === null) return true;
  }
  return false;
}
