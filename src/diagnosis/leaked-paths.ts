import { parseObjectKey } from '../airflow/object-key.ts';
import type { Reference } from '../airflow/reference.ts';
import { uuidWords } from '../lib/uuid-words.ts';
import { indexInChunk } from '../window/columns.ts';
import * as is from '../window/flags.ts';
import type { Ledger } from '../window/ledger.ts';
import { leakedPathOf } from '../window/remembered-row.ts';
import { leafAt, mapIndexAt, nameAt } from '../window/row-fields.ts';

/** The row that a path was made for. */
export interface PathOwner {
  readonly dagId: string;
  readonly runId: string;
  readonly taskId: string;
  /**
   * Null: no row of the window holds the path any more, and the path itself does not name the key and the map index.
   */
  readonly key: string | null;
  readonly mapIndex: number | null;
}

/** The owner of the path that each of these rows holds, by slot. Rows that hold no path of another row are left out. */
export function ownersOf(ledger: Ledger, slots: readonly number[]): ReadonlyMap<number, PathOwner> {
  const owners = new Map<number, PathOwner>();
  const paths = slots.flatMap((slot) => {
    const reference = leakedPathOf(ledger.rows(), slot);
    return reference === null ? [] : [{ slot, reference }];
  });
  if (paths.length === 0) return owners;
  const holders = holdersOf(
    ledger,
    paths.map(({ reference }) => reference),
  );
  for (const { slot, reference } of paths) {
    const holder = holders.get(pathOf(reference));
    const owner = holder ?? namedIn(reference);
    if (owner !== null) owners.set(slot, owner);
  }
  return owners;
}

/** The rows of the window whose references are these paths, by path. */
function holdersOf(ledger: Ledger, references: readonly Reference[]): Map<string, PathOwner> {
  const rows = ledger.rows();
  const wanted = new Set(references.map(pathOf));
  const leaves = new Set(references.map(({ key }) => leafOf(key)));
  const runs = new Set(references.map((reference) => runName(namedIn(reference))));
  const holders = new Map<string, PathOwner>();
  for (const run of ledger.runs().values()) {
    if (!runs.has(runName(run))) continue;
    for (const slot of rows.slotsOf(run)) {
      const chunk = rows.chunkOf(slot);
      const index = indexInChunk(slot);
      // A uuid is compared first: putting a key together costs more.
      if (!is.isReference(rows.flagsOf(slot)) || !leaves.has(leafAt(chunk, index)[3])) continue;
      const reference = rows.referenceOf(run, slot);
      if (reference === null || !wanted.has(pathOf(reference))) continue;
      const { taskId, key } = rows.names.at(nameAt(chunk, index));
      const mapIndex = mapIndexAt(chunk, index);
      holders.set(pathOf(reference), { dagId: run.dagId, runId: run.runId, taskId, key, mapIndex });
    }
  }
  return holders;
}

function runName(run: Pick<PathOwner, 'dagId' | 'runId'> | null): string {
  return run === null ? '' : `${run.dagId}/${run.runId}`;
}

function pathOf({ bucket, key }: Reference): string {
  return `${bucket}/${key}`;
}

function leafOf(key: string): number | undefined {
  return uuidWords(parseObjectKey(key)?.uuid ?? '')?.[3];
}

/** The ids of dags and tasks contain no slash; the id of a run may. */
function namedIn({ key, prefix }: Reference): PathOwner | null {
  const folder = parseObjectKey(key)?.folder ?? '';
  const [dagId, ...rest] = folder.slice(prefix === '' ? 0 : prefix.length + 1).split('/');
  const taskId = rest.pop();
  if (dagId === undefined || taskId === undefined || rest.length === 0) return null;
  return { dagId, runId: rest.join('/'), taskId, key: null, mapIndex: null };
}
