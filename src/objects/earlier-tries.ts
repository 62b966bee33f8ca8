import type { Shape } from '../airflow/shape.ts';
import { isOwnerUnread } from '../airflow/shape.ts';
import { createPace } from '../lib/pace.ts';
import type { Query } from '../postgres/client.ts';
import type { Bases } from '../window/bases.ts';
import type { RowChunk } from '../window/columns.ts';
import { CHUNK_ROWS } from '../window/columns.ts';
import type { Fault } from '../window/flags.ts';
import * as is from '../window/flags.ts';
import type { Ledger } from '../window/ledger.ts';
import type { Looks } from '../window/looks.ts';
import { readRow } from '../window/remembered-row.ts';
import { baseAt, flagsAt } from '../window/row-fields.ts';
import { confirm } from './confirm.ts';
import { createDraw } from './recheck.ts';

/** How many rows with one kind of fault are asked about together. */
const TOGETHER = 1_000;

/** One chunk's rows with a fault, by slot, except rows known to belong to earlier tries. */
interface ChunkFaults {
  /** For `leaked`, only the whole window shows whether the row is faulty. */
  readonly slots: ReadonlyMap<Fault, readonly number[]>;
  /** The bases of all rows in the chunk. */
  readonly bases: ReadonlySet<number>;
}

export type FaultLooks = Looks<RowChunk, ChunkFaults>;

interface Options {
  readonly ledger: Ledger;
  readonly bases: Bases;
  readonly looks: FaultLooks;
  readonly random: () => number;
}

/**
 * Notes which rows with a fault belong to an earlier try: Airflow 3.4 keeps them when a task is cleared, and no task
 * reads them any more. Some rows of each kind are asked about. More follow only while all of them belong to earlier
 * tries, so earlier tries alone never make a problem. Rows of earlier tries are not asked about again. The others are,
 * in each cycle, since a task may be cleared at any time. Rows whose owners may not be read are left out: of them nobody
 * knows, and diagnosis/unowned.ts says so.
 */
export async function noteEarlierTries(query: Query, shape: Shape, options: Options): Promise<void> {
  if (!shape.keepsTries) return;
  const { ledger } = options;
  const rows = ledger.rows();
  let kinds: readonly Fault[] = is.FAULTS;
  while (kinds.length > 0) {
    const drawn = await drawFaults(kinds, { ...options, ownersUnread: isOwnerUnread(shape) });
    const suspects = [...drawn.values()].flat();
    if (suspects.length === 0) return;
    const confirmed = await confirm(query, shape, {
      suspects,
      entryOf: (slot) => readRow(rows, ledger.runOf(slot), slot),
    });
    const isEarlier = (slot: number) => confirmed.get(slot)?.archived === true;
    for (const slot of suspects) if (isEarlier(slot)) rows.setArchived(slot);
    kinds = [...drawn].filter(([, slots]) => slots.every(isEarlier)).map(([kind]) => kind);
  }
}

/** Slots of rows with these faults, drawn with the same chance for each row of a kind. */
async function drawFaults(
  kinds: readonly Fault[],
  { ledger, bases, looks, random, ownersUnread }: Options & { readonly ownersUnread: boolean },
): Promise<ReadonlyMap<Fault, readonly number[]>> {
  const pace = createPace();
  const draws = new Map(kinds.map((kind) => [kind, createDraw(TOGETHER, random)]));
  for (const chunk of ledger.rows().chunks) {
    const { slots } = looks.at(
      chunk,
      () => lookAt(chunk, { bases, ownersUnread }),
      (last) => `${chunk.written} ${ownersUnread} ${bases.wordsOn(last.bases)}`,
    );
    for (const [kind, draw] of draws)
      for (const slot of slots.get(kind) ?? [])
        if (kind !== 'leaked' || bases.isLeaked(slot)) draw.offer(slot);
    await pace.rest();
  }
  return new Map([...draws].flatMap(([kind, { drawn }]) => (drawn.length === 0 ? [] : [[kind, drawn]])));
}

function lookAt(
  chunk: RowChunk,
  { bases, ownersUnread }: { readonly bases: Bases; readonly ownersUnread: boolean },
): ChunkFaults {
  const slots = new Map<Fault, number[]>();
  const ids = new Set<number>();
  for (let index = 0; index < CHUNK_ROWS; index += 1) {
    const flags = flagsAt(chunk, index);
    const base = baseAt(chunk, index);
    if (base !== 0) ids.add(base);
    // In a doubtful base no reference counts as broken; a skip decision and a value on disk still count.
    const fault = faultOf(flags, bases.isDoubtful(base) ? null : bases.isInForce(base));
    if (fault === null || (ownersUnread && is.hasOwner(flags))) continue;
    const ofKind = slots.get(fault) ?? [];
    ofKind.push(chunk.first + index);
    slots.set(fault, ofKind);
  }
  return { slots, bases: ids };
}

/** `isInForce` null: whether the base is in force is in doubt. */
function faultOf(flags: number, isInForce: boolean | null): Fault | null {
  if (is.isOnDisk(flags)) return 'disk';
  const broken = isInForce === null ? null : is.brokenReason(flags, isInForce);
  return broken ?? (is.isSkipDecision(flags) ? 'skip' : null);
}
