import { entryOf } from './entry.ts';
import { createPace } from './lib/pace.ts';
import { createTop } from './lib/top.ts';
import { indexInChunk } from './row-columns.ts';
import * as is from './row-flags.ts';
import type { Reading } from './sample.ts';
import type { StagedRun, Staging } from './staging.ts';
import { unpackEach } from './unpack.ts';

/** What one cycle unpacks at most, in stored bytes and in rows. */
export const MEASURED_BYTES = 64 * 1024 * 1024;
export const MEASURED_ROWS = 1_000;
/** Nor does it begin to unpack more after so long: what is stored in one megabyte may be two hundred. */
const MEASURING_MS = 5_000;

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
      if (size <= MEASURED_BYTES) smallest.offer(slot, -size);
    }
  if (open === 0) return 0;

  const runOf = new Map<number, StagedRun>();
  for (const staged of staging.runs.values()) runOf.set(staged.run.slot, staged);
  const waiting = smallest.items().flatMap((slot) => {
    const staged = runOf.get(rows.chunkOf(slot).run[indexInChunk(slot)] ?? 0);
    if (staged === undefined) return [];
    return [{ staged, entry: entryOf(rows, staged.run, slot), size: inexactSize(staging, slot) ?? 0 }];
  });
  /** Slots of values that the server could not unpack: of those as well the stored size stands. */
  const inVain = new Set<number>();
  let tried = 0;
  const limit = { ms: MEASURING_MS, bytes: MEASURED_BYTES };
  for await (const [{ staged, entry }, answer] of unpackEach(query, { shape, waiting, limit })) {
    tried += 1;
    if (answer === null) inVain.add(entry.slot);
    else if (answer !== undefined) staging.rewrite(staged, entry.slot, answer);
  }
  if (open > tried && !staging.takesAll) await leaveOutRest(staging, inVain);
  return open - tried;
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
