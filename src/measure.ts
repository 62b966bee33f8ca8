import { measureStatement } from './airflow/row-queries.ts';
import { backToSavepointStatement, savepointStatement } from './airflow/queries.ts';
import type { Statement } from './airflow/queries.ts';
import { DatabaseError } from './clients/postgres-failure.ts';
import { entryOf } from './entry.ts';
import type { Entry } from './entry.ts';
import type { Query } from './clients/postgres.ts';
import { createPace } from './lib/pace.ts';
import { createTop } from './lib/top.ts';
import { indexInChunk } from './row-columns.ts';
import * as is from './row-flags.ts';
import type { Reading } from './sample.ts';
import { rowId, sampledRow } from './sampled-row.ts';
import type { RawRow } from './sampled-row.ts';
import type { StagedRun, Staging } from './staging.ts';

/** What one cycle unpacks at most, in stored bytes and in rows. */
export const MEASURED_BYTES = 64 * 1024 * 1024;
export const MEASURED_ROWS = 1_000;
/** Nor does it begin to unpack more after so long: what is stored in one megabyte may be two hundred. */
const MEASURING_MS = 5_000;
/** What one statement unpacks at most, in stored bytes and in rows; a larger value is asked for alone. */
const STATEMENT_BYTES = 128 * 1024;
const STATEMENT_ROWS = 100;

/**
 * Unpacks the values whose stored size does not tell, smallest first, up to the cap. The rest waits for the next
 * reading, but in one that takes all, as the first does to form the baseline, and for values that no cap would let
 * through or that the server cannot unpack: of those the stored size stands. Gives how many were left.
 */
export async function measure({ query, shape, staging }: Reading): Promise<number> {
  const { rows } = staging.state;
  const pace = createPace();
  const smallest = createTop(MEASURED_ROWS);
  let looked = 0;
  let open = 0;
  for (const staged of staging.runs.values())
    for (const slot of staging.slotsOf(staged)) {
      looked += 1;
      if (looked % 1_024 === 0) await pace.rest();
      const size = inexactSize(staging, slot);
      if (size === null) continue;
      open += 1;
      smallest.offer(slot, -size);
    }
  if (open === 0) return 0;

  let bytesLeft = MEASURED_BYTES;
  const chosen = smallest.items().filter((slot) => {
    bytesLeft -= inexactSize(staging, slot) ?? 0;
    return bytesLeft >= 0;
  });
  const runOf = new Map<number, StagedRun>();
  for (const staged of staging.runs.values()) runOf.set(staged.run.slot, staged);
  const waiting = chosen.flatMap((slot): Waiting[] => {
    const staged = runOf.get(rows.chunkOf(slot).run[indexInChunk(slot)] ?? 0);
    if (staged === undefined) return [];
    return [{ staged, entry: entryOf(rows, staged.run, slot), size: inexactSize(staging, slot) ?? 0 }];
  });
  const until = performance.now() + MEASURING_MS;
  /** Slots of values that the server could not unpack: of those as well the stored size stands. */
  const inVain = new Set<number>();
  let tried = 0;
  for (const source of shape.sources) {
    const ours = waiting.filter(({ entry }) => entry.row.table === source.table);
    for (const some of together(ours)) {
      if (performance.now() >= until) break;
      tried += some.length;
      const answers = await unpack(
        query,
        measureStatement(
          shape,
          source,
          some.map(({ entry }) => entry.row),
        ),
        { alone: some.length === 1 },
      );
      const byId = new Map(answers?.map((row) => [rowId(source.table, row), row]));
      for (const { staged, entry } of some) {
        const answer = byId.get(rowId(source.table, entry.row));
        if (answer !== undefined) staging.rewrite(staged, entry.slot, sampledRow(source, answer, staged.run));
        else if (answers === null) inVain.add(entry.slot);
      }
    }
  }
  if (open > tried && !staging.takesAll) await leaveOutRest(staging, inVain);
  return open - tried;
}

/** A row whose value is to be unpacked. */
interface Waiting {
  readonly staged: StagedRun;
  readonly entry: Entry;
  readonly size: number;
}

/** Parts that one statement may ask for. */
export function* together<Item extends { readonly size: number }>(
  waiting: readonly Item[],
): Generator<readonly Item[]> {
  let some: Item[] = [];
  let bytes = 0;
  for (const one of waiting) {
    if (some.length > 0 && (bytes + one.size > STATEMENT_BYTES || some.length === STATEMENT_ROWS)) {
      yield some;
      some = [];
      bytes = 0;
    }
    some.push(one);
    bytes += one.size;
  }
  if (some.length > 0) yield some;
}

/**
 * Null: a value that was asked for alone takes the server too long to unpack, or cannot be unpacked by it at all. The
 * transaction goes on, or that one value would keep all others from ever being read.
 */
export async function unpack(
  query: Query,
  statement: Statement,
  { alone }: { readonly alone: boolean },
): Promise<RawRow[] | null> {
  if (!alone) return query<RawRow>(statement);
  await query(savepointStatement());
  try {
    return await query<RawRow>(statement);
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    if (error.reason !== 'statement_timeout' && error.reason !== 'query_failed') throw error;
    await query(backToSavepointStatement());
    return null;
  }
}

/** What is still inexact has not been measured: without it the run is not complete. */
async function leaveOutRest(staging: Staging, inVain: ReadonlySet<number>): Promise<void> {
  const pace = createPace();
  for (const staged of staging.runs.values()) {
    staging.leaveOut(staged, (slot) => {
      const size = inexactSize(staging, slot);
      const waits = size !== null && size <= MEASURED_BYTES && !inVain.has(slot);
      if (waits) staged.complete = false;
      return waits;
    });
    await pace.rest();
  }
}

/** Bytes on disk of a row of which nothing else is known; null for any other. */
function inexactSize({ state: { rows } }: Staging, slot: number): number | null {
  const chunk = rows.chunkOf(slot);
  const at = indexInChunk(slot);
  return ((chunk.flags[at] ?? 0) & is.INEXACT) === 0 ? null : (chunk.size[at] ?? 0);
}
