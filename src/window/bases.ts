import type { Reference } from '../airflow/reference.ts';
import type { Standing, StandingRule } from '../airflow/xcom-path.ts';
import { createPace } from '../lib/pace.ts';
import type { RowChunk } from './columns.ts';
import { CHUNK_ROWS, indexInChunk } from './columns.ts';
import type { BrokenReason } from './flags.ts';
import * as is from './flags.ts';
import type { Ledger } from './ledger.ts';
import type { Looks } from './looks.ts';
import { leakedPathOf } from './remembered-row.ts';
import { baseAt, flagsAt, nameAt, runAt, sizeAt } from './row-fields.ts';

/** Answers about the present bases, by their numbers in the columns. */
export interface Bases {
  /** Whether the base is one that Airflow, as configured, reads. */
  readonly isInForce: (base: number) => boolean;
  /** Whether the objects of the base have the size that Airflow measured. */
  readonly isUncompressed: (base: number) => boolean;
  /** Whether the base is in doubt: either the backend has written there, or one task a file of its own. */
  readonly isDoubtful: (base: number) => boolean;
  /** Whether the row holds the path of another row, at a place that workers write to. */
  readonly isLeaked: (slot: number) => boolean;
  /** Why Airflow cannot use the value of a row; null: no reason is known. */
  readonly brokenReason: (slot: number) => BrokenReason | null;
  /** A text of the answers about these bases that depend on more than the base itself. Same text, same answers. */
  readonly wordsOn: (bases: Iterable<number>) => string;
}

type Base = Omit<Reference, 'key'>;

/** A place of references, whatever their suffix is. */
interface Place extends Writers {
  readonly standing: Standing;
  readonly hasConnection: boolean;
}

interface Writers {
  /** The first task that was found to have written there; null: no task was found. */
  writer: Writer | null;
  /** Whether another task has written there as well. */
  hasSeveral: boolean;
}

interface Writer {
  readonly dagId: string;
  readonly taskId: string;
}

/** The writers of each base, as far as the references of one chunk show them. */
type ChunkBases = ReadonlyMap<number, Readonly<Writers>>;
export type BaseLooks = Looks<RowChunk, ChunkBases>;

export async function basesOf(
  ledger: Ledger,
  options: {
    readonly standing: StandingRule;
    /** Null: not known. A smaller object was written by a task, or under another threshold. */
    readonly threshold: number | null;
    readonly looks: BaseLooks;
  },
): Promise<Bases> {
  const { standing, threshold, looks } = options;
  const rows = ledger.rows();
  const places = new Map<string, Place>();
  const placeOf: Place[] = [];
  const uncompressed = new Uint8Array(rows.bases.limit());
  for (const [id, , base] of rows.bases.entries()) {
    placeOf[id] = held(places, placeName(base), () => ({
      standing: standing(base),
      hasConnection: base.connection !== '',
      writer: null,
      hasSeveral: false,
    }));
    uncompressed[id] = base.suffix === '' ? 1 : 0;
  }
  const pace = createPace();
  for (const chunk of rows.chunks) {
    const found = looks.at(
      chunk,
      () => lookAt(chunk, { ledger, threshold, uncompressed }),
      () => `${chunk.written} ${threshold}`,
    );
    for (const [id, { writer, hasSeveral }] of found) {
      const place = placeOf[id];
      if (place === undefined) continue;
      place.hasSeveral ||= hasSeveral || (writer !== null && isAnother(place, writer));
      place.writer ??= writer;
    }
    await pace.rest();
  }

  const isAnySure = [...places.values()].some(({ hasSeveral }) => hasSeveral);
  const isDoubtful = (id: number) => {
    const place = placeOf[id];
    if (place === undefined || place.hasSeveral) return false;
    return place.standing === 'open' || (place.standing === 'untold' && isAnySure && !place.hasConnection);
  };
  const isInForce = (id: number) => isGood(placeOf[id]?.standing);

  /** Whether workers are known to write at a path that belongs to another row than the one that holds it. */
  function isBackends(path: Base): boolean {
    const own = places.get(placeName(path));
    if (own?.hasSeveral === true) return true;
    switch (standing(path)) {
      case 'untold':
        return path.connection !== '';
      case 'open':
        return false;
      default:
        return true;
    }
  }

  function isLeaked(slot: number): boolean {
    const path = leakedPathOf(rows, slot);
    return path !== null && isBackends(path);
  }

  return {
    isInForce,
    isUncompressed: (id) => uncompressed[id] === 1,
    isDoubtful,
    isLeaked,
    wordsOn: (bases) => Array.from(bases, (id) => [id, isInForce(id), isDoubtful(id)]).join(),
    brokenReason(slot) {
      const flags = rows.flagsOf(slot);
      if (!is.hasBase(flags)) return isLeaked(slot) ? is.brokenReason(flags, false) : null;
      const id = baseAt(rows.chunkOf(slot), indexInChunk(slot));
      return isDoubtful(id) ? null : is.brokenReason(flags, isInForce(id));
    },
  };
}

function lookAt(
  chunk: RowChunk,
  {
    ledger,
    threshold,
    uncompressed,
  }: {
    readonly ledger: Ledger;
    readonly threshold: number | null;
    readonly uncompressed: Readonly<Uint8Array>;
  },
): ChunkBases {
  const { names } = ledger.rows();
  const found = new Map<number, Writers>();
  for (let index = 0; index < CHUNK_ROWS; index += 1) {
    const flags = flagsAt(chunk, index);
    if (!is.hasBase(flags)) continue;
    const id = baseAt(chunk, index);
    let base = found.get(id);
    if (base === undefined) found.set(id, (base = { writer: null, hasSeveral: false }));
    if (base.hasSeveral) continue;
    const isSmall =
      threshold !== null && is.hasObject(flags) && uncompressed[id] === 1 && sizeAt(chunk, index) < threshold;
    if (isSmall) continue;
    const { taskId } = names.at(nameAt(chunk, index));
    const { dagId } = ledger.runAt(runAt(chunk, index));
    if (base.writer === null) base.writer = { dagId, taskId };
    else base.hasSeveral = isAnother(base, { dagId, taskId });
  }
  return found;
}

function isAnother({ writer }: Writers, { dagId, taskId }: Writer): boolean {
  return writer !== null && (writer.dagId !== dagId || writer.taskId !== taskId);
}

function isGood(standing: Standing | undefined): boolean {
  return standing === 'in_force' || standing === 'untold';
}

function placeName({ scheme, connection, bucket, prefix }: Base): string {
  return JSON.stringify([scheme, connection, bucket, prefix]);
}

function held<Value>(values: Map<string, Value>, name: string, make: () => Value): Value {
  const value = values.get(name) ?? make();
  values.set(name, value);
  return value;
}
