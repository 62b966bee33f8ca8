import type { ReferenceBase } from '../airflow/compact-reference.ts';
import { createPace } from '../lib/pace.ts';
import { indexInChunk } from '../window/columns.ts';
import { eachRow } from '../window/each-row.ts';
import * as is from '../window/flags.ts';
import type { Ledger } from '../window/ledger.ts';
import { flagsAt, leafStartAt } from '../window/row-fields.ts';
import type { RowStore } from '../window/row-store.ts';
import type { Run } from '../window/run.ts';
import type { Location } from './locations.ts';
import { groupByLocation, locationOf } from './locations.ts';
import type { Wanted } from './planner.ts';

/** References that one plan is made for, about: more would hold up the process and fit under few ceilings. */
const PLANNED = 6_000;
/** Parts that the keys of a large run are counted in, to find those that come first. */
const PARTS = 1_024;
/** Runs with more references than that are taken to have them spread evenly: the keys of all would cost memory. */
const KEYS_KNOWN = 2_000;

/**
 * What nobody has looked up yet, by slot, of the newest runs and, for one in four, of the oldest, with what is known
 * of the keys around it. Runs that are `planned` are left out, and those that are given are added to them.
 */
export async function pendingReferences(ledger: Ledger, planned: Set<Run>): Promise<PendingOfRun<number>[]> {
  const rows = ledger.rows();
  const pace = createPace();
  const picked = pick([...ledger.runs().values()].filter((run) => run.unverified > 0 && !planned.has(run)));
  const objects: PendingOfRun<number>[] = [];
  const bases = new Map<string, Map<string, Location>>();
  for (const run of picked) {
    planned.add(run);
    await pace.rest();
    const first = await firstKeys(rows, run);
    const { locations: places, scattered } = await groupByLocation(rows, run, {
      wanted: is.isUnverified,
      among: first,
    });
    const known =
      run.references <= KEYS_KNOWN
        ? (await groupByLocation(rows, run, { wanted: (flags) => !is.isUnverified(flags), among: null }))
            .locations
        : null;
    for (const { location, slots } of places) {
      const same = known?.find(
        (one) => one.location.prefix === location.prefix && one.location.bucket === location.bucket,
      );
      objects.push({
        location,
        runId: run.runId,
        waiting: slots.map((slot) => waitingOf(run, slot)),
        settled:
          known === null
            ? // Those that were looked up lie before the first ones that were not.
              first === null
              ? run.references - run.unverified
              : 0
            : (same?.slots ?? []).map((slot) => rows.referenceOf(run, slot)?.key ?? ''),
        others: othersOf(run),
      });
      const ofDag = bases.get(run.dagId) ?? new Map<string, Location>();
      bases.set(run.dagId, ofDag);
      const prefix = location.prefix.slice(0, -`${run.dagId}/${run.runId}/`.length).replace(/\/$/, '');
      ofDag.set(JSON.stringify([location.connection, location.bucket, prefix]), { ...location, prefix });
    }
    // Not where the backend puts it: nothing is known of what lies around.
    for (const slot of scattered) {
      const waiting = waitingOf(run, slot);
      const { connection = '', bucket = '' } = rows.referenceOf(run, slot) ?? {};
      const prefix = waiting.key.slice(0, waiting.key.lastIndexOf('/') + 1);
      objects.push({
        location: { connection, bucket, prefix },
        runId: '',
        waiting: [waiting],
        settled: 0,
        others: 0,
      });
    }
  }
  // The runs between them, of which nothing is wanted, are on the same pages.
  const given = new Set(picked);
  for (const run of ledger.runs().values()) {
    if (given.has(run) || run.references === 0) continue;
    if (pace.isDue()) await pace.rest();
    for (const base of bases.get(run.dagId)?.values() ?? [])
      objects.push({
        location: locationOf(base satisfies Pick<ReferenceBase, 'connection' | 'bucket' | 'prefix'>, run),
        runId: run.runId,
        waiting: [],
        settled: run.references,
        others: othersOf(run),
      });
  }
  return objects;

  function waitingOf(run: Run, slot: number): PendingOfRun<number>['waiting'][number] {
    const unchecked = is.uncheckedOf(rows.flagsOf(slot));
    return {
      item: slot,
      key: rows.referenceOf(run, slot)?.key ?? '',
      at: rows.timeOf(slot),
      asked: unchecked !== null && unchecked !== 'budget',
    };
  }
}

/**
 * Of a run with more references than a plan is made for, those whose keys come first: the others follow in later
 * cycles, with pages that begin where these end. By the uuid of the leaf, which decides the order within a task;
 * null: all of them.
 */
async function firstKeys(rows: RowStore, run: Run): Promise<((slot: number) => boolean) | null> {
  if (run.unverified <= PLANNED) return null;
  let least = Infinity;
  let most = 0;
  const eachUnverified = (visit: (leaf: number) => void) =>
    eachRow(rows, run, (chunk, index) => {
      if (is.isUnverified(flagsAt(chunk, index))) visit(leafStartAt(chunk, index));
    });
  await eachUnverified((leaf) => {
    least = Math.min(least, leaf);
    most = Math.max(most, leaf);
  });
  const width = (most - least) / PARTS + 1;
  const partOf = (leaf: number) => Math.floor((leaf - least) / width);
  const counts = new Uint32Array(PARTS + 1);
  await eachUnverified((leaf) => {
    counts[partOf(leaf)] = (counts[partOf(leaf)] ?? 0) + 1;
  });
  let last = 0;
  for (let sum = counts[0] ?? 0; sum < PLANNED && last < PARTS; sum += counts[last] ?? 0) last += 1;
  return (slot) => partOf(leafStartAt(rows.chunkOf(slot), indexInChunk(slot))) <= last;
}

/** Objects that rows no longer tell of: those of rows older than the window, and those that never had one. */
function othersOf({ expired, references, rows, listed }: Run): number {
  return (
    Math.round((expired * references) / Math.max(rows, 1)) +
    (listed === null || listed.unseen ? 0 : listed.orphans)
  );
}

function pick(runs: readonly Run[]): Run[] {
  const newest = runs.toSorted((a, b) => b.activeAt - a.activeAt).values();
  const oldest = runs.toSorted((a, b) => a.oldest - b.oldest).values();
  const picked = new Set<Run>();
  let references = 0;
  for (let turn = 1; references < PLANNED && picked.size < runs.length; turn += 1) {
    const queue = turn % 4 === 0 ? oldest : newest;
    for (let next = queue.next(); next.done !== true; next = queue.next()) {
      if (picked.has(next.value)) continue;
      picked.add(next.value);
      references += Math.min(next.value.unverified, PLANNED);
      break;
    }
  }
  return [...picked];
}

/** What one run has in one location. */
export interface PendingOfRun<Item> {
  readonly location: Location;
  readonly runId: string;
  readonly waiting: readonly Omit<Wanted<Item>, 'rank'>[];
  /** Keys that are known and need no look, or how many: then they are taken to be spread evenly. */
  readonly settled: readonly string[] | number;
  /** Keys believed to be there besides, such as those of rows older than the window. */
  readonly others: number;
}
