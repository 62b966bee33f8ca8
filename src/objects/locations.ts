import type { ReferenceBase } from '../airflow/compact-reference.ts';
import { nameOfKey, parseObjectKey } from '../airflow/object-key.ts';
import { uuidWords } from '../lib/uuid-words.ts';
import { indexInChunk } from '../window/columns.ts';
import { eachRow } from '../window/each-row.ts';
import * as is from '../window/flags.ts';
import { baseAt, flagsAt, leafAt, nameAt } from '../window/row-fields.ts';
import type { RowStore } from '../window/row-store.ts';
import type { Run } from '../window/run.ts';
import type { Place } from './allowance.ts';

/**
 * The folder in which the objects of one run lie together, as one connection reaches it: a bucket of the same name on
 * another server is another one. One LIST, in as many pages as needed, returns them all.
 */
export interface Location extends Place {
  /** The beginning of their keys, with a slash at the end. */
  readonly folder: string;
}

export function locationOf({ connection, bucket, prefix }: Place, run: Run): Location {
  const start = prefix === '' ? '' : `${prefix}/`;
  return { connection, bucket, prefix, folder: `${start}${run.dagId}/${run.runId}/` };
}

/** The references of one run in one location. */
export interface LocationRows {
  readonly location: Location;
  readonly slots: readonly number[];
}

/**
 * The `wanted` references of a run, by location. `scattered`: references that lie outside the place where the backend
 * puts the run's objects.
 */
export async function groupByLocation(
  rows: RowStore,
  run: Run,
  {
    wanted,
    among,
  }: {
    readonly wanted: (flags: number) => boolean;
    /** Null: all references of the run. */
    readonly among: ((slot: number) => boolean) | null;
  },
): Promise<{ readonly locations: readonly LocationRows[]; readonly scattered: readonly number[] }> {
  const locations = new Map<string, { location: Location; slots: number[] }>();
  /** The group for each base, so that each base is looked at once. */
  const ofBase = new Map<number, { location: Location; slots: number[] }>();
  const scattered: number[] = [];
  const groupOf = (base: ReferenceBase) => {
    const location = locationOf(base, run);
    const name = JSON.stringify([location.connection, location.bucket, location.folder]);
    const group = locations.get(name) ?? { location, slots: [] };
    locations.set(name, group);
    return group;
  };
  await eachRow(rows, run, (chunk, index) => {
    const slot = chunk.first + index;
    const flags = flagsAt(chunk, index);
    if (!is.isReference(flags) || !wanted(flags) || among?.(slot) === false) return;
    const base = baseAt(chunk, index);
    if ((flags & is.VERBATIM) !== 0) {
      const { key } = rows.referenceOf(run, slot) ?? { key: '' };
      if (!key.startsWith(locationOf(rows.bases.at(base), run).folder)) {
        scattered.push(slot);
        return;
      }
    }
    const group = ofBase.get(base) ?? groupOf(rows.bases.at(base));
    ofBase.set(base, group);
    group.slots.push(slot);
  });
  return { locations: [...locations.values()], scattered };
}

/**
 * Finds the reference with a given key, without holding a key for each reference in memory. The matcher compares uuids.
 * From Airflow 3.4 on it compares names too, because one uuid then serves all keys of a task instance.
 */
export function createMatcher(
  rows: RowStore,
  run: Run,
  slots: readonly number[],
): (key: string) => number | undefined {
  const verbatim = new Map<string, number>();
  const marks = new Map<number, number>();
  /** Hashes the object name of a row, given the number of the row's task and key. */
  function markOf(name: number): number {
    const mark = marks.get(name) ?? hash(nameOfKey(rows.names.at(name).key));
    marks.set(name, mark);
    return mark;
  }
  let size = 16;
  while (size < 2 * slots.length) size *= 2;
  const table = new Int32Array(size).fill(-1);
  for (const slot of slots) {
    const chunk = rows.chunkOf(slot);
    const index = indexInChunk(slot);
    if ((flagsAt(chunk, index) & is.VERBATIM) !== 0) {
      verbatim.set(rows.referenceOf(run, slot)?.key ?? '', slot);
      continue;
    }
    const isNamed = rows.bases.at(baseAt(chunk, index)).leaf !== '';
    let place = (leafAt(chunk, index)[3] ^ (isNamed ? markOf(nameAt(chunk, index)) : 0)) & (size - 1);
    while (table[place] !== -1) place = (place + 1) & (size - 1);
    table[place] = slot;
  }
  return (key) => {
    const parts = parseObjectKey(key);
    const words = parts === null ? null : uuidWords(parts.uuid);
    if (parts !== null && words !== null) {
      const first = words[3] ^ (parts.owner === '' ? 0 : hash(parts.name));
      for (let place = first & (size - 1); ; place = (place + 1) & (size - 1)) {
        const slot = table[place] ?? -1;
        if (slot === -1) break;
        // Compares the whole key, because the same uuid may lie under another task.
        if (
          leafAt(rows.chunkOf(slot), indexInChunk(slot)).every((word, at) => word === words[at]) &&
          rows.referenceOf(run, slot)?.key === key
        )
          return slot;
      }
    }
    return verbatim.get(key);
  };
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let mixed = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) mixed = Math.imul(mixed ^ text.charCodeAt(at), 0x01000193);
  return mixed;
}
