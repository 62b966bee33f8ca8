import { createPace } from '../lib/pace.ts';
import type { Stores } from '../s3/stores.ts';
import { CHUNK_ROWS, indexInChunk } from '../window/columns.ts';
import * as is from '../window/flags.ts';
import { baseAt, flagsAt } from '../window/row-fields.ts';
import type { Ledger } from '../window/ledger.ts';
import type { Allowance } from './allowance.ts';
import type { Findings } from './findings.ts';

interface HeadOptions {
  readonly stores: Pick<Stores, 'of'>;
  readonly allowance: Allowance;
  readonly findings: Findings;
}

/** Looks again, by HEAD, at some references that were looked up before. `count`: how many of those that were found. */
export async function recheck(
  ledger: Ledger,
  options: HeadOptions & { readonly count: number; readonly random: () => number },
  signal: AbortSignal,
): Promise<void> {
  await headEach(ledger, await drawKnown(ledger, options), options, signal);
}

/** Sends a HEAD for each reference, as many as the allowance permits. Without a new answer the earlier one stands. */
export async function headEach(
  ledger: Ledger,
  slots: readonly number[],
  { stores, allowance, findings }: HeadOptions,
  signal: AbortSignal,
): Promise<void> {
  const rows = ledger.rows();
  const placeOf = (slot: number) => rows.bases.at(baseAt(rows.chunkOf(slot), indexInChunk(slot)));
  for (let turn = allowance.next(slots, placeOf); turn.batch.length > 0;) {
    const replies = await Promise.all(
      turn.batch.map(async (slot) => {
        const reference = rows.referenceOf(ledger.runOf(slot), slot);
        if (reference === null) throw new Error('Only references are looked up');
        const place = placeOf(slot);
        const answer = await stores.of(reference.connection).head(reference, signal);
        if (answer.kind === 'unknown') return { place, unknown: answer };
        allowance.answered(place);
        findings.note(slot, answer);
        return { place, unknown: null };
      }),
    );
    allowance.judge(replies);
    turn = allowance.next(turn.later, placeOf);
  }
}

/** How many references are looked at of a base of which none was drawn, so that each place has to answer. */
const OF_OTHER_BASES = 3;

/**
 * Slots of references that were found before, each drawn with the same chance. Then half as many whose object was
 * missing, empty, unreadable or in doubt, so that a repair shows. Before them come late ones of bases of which none
 * was drawn.
 */
async function drawKnown(
  ledger: Ledger,
  { count, random }: { count: number; random: () => number },
): Promise<number[]> {
  if (count <= 0) return [];
  const pace = createPace();
  const broken = createDraw(Math.ceil(count / 2), random);
  const whole = createDraw(count, random);
  const latest: number[][] = [];
  for (const chunk of ledger.rows().chunks) {
    for (let index = 0; index < CHUNK_ROWS; index += 1) {
      const flags = flagsAt(chunk, index);
      if (!is.isReference(flags) || is.isUnverified(flags)) continue;
      const slot = chunk.first + index;
      const isWhole = is.isWhole(flags);
      (isWhole ? whole : broken).offer(slot);
      if (!isWhole) continue;
      (latest[baseAt(chunk, index)] ??= [])[index % OF_OTHER_BASES] = slot;
    }
    await pace.rest();
  }
  const rows = ledger.rows();
  const drawn = new Set(whole.drawn.map((slot) => baseAt(rows.chunkOf(slot), indexInChunk(slot))));
  const others = latest.filter((_, base) => !drawn.has(base)).flat();
  return [...others.slice(0, count), ...whole.drawn, ...broken.drawn];
}

/** Algorithm R: keeps `count` of all offered items, each with the same chance. */
export function createDraw(
  count: number,
  random: () => number,
): { offer(item: number): void; drawn: number[] } {
  const drawn: number[] = [];
  let offered = 0;
  return {
    drawn,
    offer(item) {
      offered += 1;
      if (drawn.length < count) {
        drawn.push(item);
        return;
      }
      const place = Math.floor(random() * offered);
      if (place < count) drawn[place] = item;
    },
  };
}
