import { createPace } from '../lib/pace.ts';
import { CHUNK_ROWS, indexInChunk } from '../window/columns.ts';
import { eachRow } from '../window/each-row.ts';
import * as is from '../window/flags.ts';
import type { Ledger } from '../window/ledger.ts';
import { baseAt, flagsAt, leafStartAt } from '../window/row-fields.ts';
import type { RowStore } from '../window/row-store.ts';
import type { Run } from '../window/run.ts';
import type { Place } from './allowance.ts';
import { isSamePlace } from './allowance.ts';
import type { Location } from './locations.ts';
import { groupByLocation, locationOf } from './locations.ts';
import type { Wanted } from './planner.ts';

/** About how many references one plan covers: more would block the process and fit under few ceilings. */
const PLANNED = 6_000;
/** How many parts the keys of a large run are counted in, to find the first ones. */
const PARTS = 1_024;
/**
 * Above this number of references, a run's references are taken to be spread evenly: listing all keys would cost
 * memory.
 */
const KEYS_KNOWN = 2_000;

/**
 * The references that nobody has looked up yet, by slot, with what is known of the keys around them. They are those of
 * the newest runs, and every fourth run is one of the oldest. Runs in `planned` are left out, and the returned runs are
 * added to `planned`.
 */
export async function pendingReferences(ledger: Ledger, planned: Set<Run>): Promise<PendingOfRun<number>[]> {
  const rows = ledger.rows();
  const pace = createPace();
  const picked = pick([...ledger.runs().values()].filter((run) => run.unverified > 0 && !planned.has(run)));
  const objects: PendingOfRun<number>[] = [];
  const bases = new Map<string, Map<string, Place>>();
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
      const waiting: PendingOfRun<number>['waiting'][number][] = [];
      for (const slot of slots) {
        waiting.push(waitingOf(run, slot));
        if (pace.isDue()) await pace.rest();
      }
      const same = known?.find((one) => isSamePlace(one.location, location));
      objects.push({
        location,
        runId: run.runId,
        waiting,
        settled:
          known === null
            ? // The references that were looked up lie before the first ones that were not.
              first === null
              ? run.references - run.unverified
              : 0
            : (same?.slots ?? []).map((slot) => rows.referenceOf(run, slot)?.key ?? ''),
        others: othersOf(run),
      });
      const ofDag = bases.get(run.dagId) ?? new Map<string, Place>();
      bases.set(run.dagId, ofDag);
      const { connection, bucket, prefix } = location;
      ofDag.set(JSON.stringify([connection, bucket, prefix]), location);
    }
    // Outside the place where the backend puts the run's objects: the keys around it are unknown.
    for (const slot of scattered) {
      const waiting = waitingOf(run, slot);
      const { connection = '', bucket = '', prefix = '' } = rows.referenceOf(run, slot) ?? {};
      const folder = waiting.key.slice(0, waiting.key.lastIndexOf('/') + 1);
      objects.push({
        location: { connection, bucket, prefix, folder },
        runId: '',
        waiting: [waiting],
        settled: 0,
        others: 0,
      });
    }
  }
  // The runs between the picked ones are on the same pages, although nothing of theirs is looked up.
  const given = new Set(picked);
  for (const run of ledger.runs().values()) {
    if (given.has(run) || run.references === 0) continue;
    if (pace.isDue()) await pace.rest();
    for (const base of bases.get(run.dagId)?.values() ?? [])
      objects.push({
        location: locationOf(base, run),
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
      asked: unchecked !== null && !is.isUnasked(unchecked),
    };
  }
}

/** The runs that wait for nothing but answers of closed places: planning them would only cost CPU. */
export async function runsOfClosed(ledger: Ledger, isClosed: (place: Place) => boolean): Promise<Run[]> {
  const rows = ledger.rows();
  const pace = createPace();
  const closed = new Map<number, boolean>();
  const isOfClosed = (base: number): boolean => {
    const known = closed.get(base) ?? isClosed(rows.bases.at(base));
    closed.set(base, known);
    return known;
  };
  const open = new Set<Run>();
  for (const chunk of rows.chunks) {
    for (let index = 0; index < CHUNK_ROWS; index += 1)
      if (is.isUnverified(flagsAt(chunk, index)) && !isOfClosed(baseAt(chunk, index)))
        open.add(ledger.runOf(chunk.first + index));
    await pace.rest();
  }
  return [...ledger.runs().values()].filter((run) => run.unverified > 0 && !open.has(run));
}

/**
 * For a run with more references than one plan covers, selects those whose keys come first. The others follow in later
 * cycles, with pages that begin where these end. The order is that of the leaf's uuid, which decides within a task.
 * Null: all references fit.
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

/** Objects that no row in the window names: objects of rows older than the window, and objects that never had a row. */
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

/** One run's keys in one location. */
export interface PendingOfRun<Item> {
  readonly location: Location;
  readonly runId: string;
  readonly waiting: readonly Omit<Wanted<Item>, 'rank'>[];
  /** Keys that are known and need no look; when only their number is given, they are taken to be spread evenly. */
  readonly settled: readonly string[] | number;
  /** Other keys believed to be in the location, such as those of rows older than the window. */
  readonly others: number;
}
