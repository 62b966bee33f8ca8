import { measureStatement } from './airflow/row-queries.ts';
import { entryOf } from './entry.ts';
import { chunks } from './lib/chunks.ts';
import { createPace } from './lib/pace.ts';
import { createTop } from './lib/top.ts';
import { indexInChunk } from './row-columns.ts';
import * as is from './row-flags.ts';
import type { Reading } from './sample.ts';
import { rowId, sampledRow } from './sampled-row.ts';
import type { RawRow } from './sampled-row.ts';
import type { StagedRun, Staging } from './staging.ts';

/** What one cycle unpacks at most, in stored bytes and in rows. */
const MEASURED_BYTES = 64 * 1024 * 1024;
const MEASURED_ROWS = 1_000;

/**
 * Unpacks the values whose stored size does not tell, smallest first, up to the cap. The rest waits for the next
 * reading, but in one that takes all, as the first does to form the baseline, and for values that no cap would let
 * through: of those the stored size stands. Gives how many were left.
 */
export async function measure({ query, shape, knowsCompression, staging }: Reading): Promise<number> {
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
  const entries = chosen.flatMap((slot) => {
    const staged = runOf.get(rows.chunkOf(slot).run[indexInChunk(slot)] ?? 0);
    return staged === undefined ? [] : [{ staged, entry: entryOf(rows, staged.run, slot) }];
  });
  for (const source of shape.sources) {
    const ours = entries.filter(({ entry }) => entry.row.table === source.table);
    for (const some of chunks(ours, 100)) {
      const ids = some.map(({ entry }) => entry.row);
      const answers = await query<RawRow>(measureStatement(shape, source, { rows: ids, knowsCompression }));
      const byId = new Map(answers.map((row) => [rowId(source.table, row), row]));
      for (const { staged, entry } of some) {
        const answer = byId.get(rowId(source.table, entry.row));
        if (answer !== undefined) staging.rewrite(staged, entry.slot, sampledRow(source, answer, staged.run));
      }
    }
  }
  if (open > chosen.length && !staging.takesAll) await leaveOutRest(staging);
  return open - chosen.length;
}

/** What is still inexact has not been measured: without it the run is not complete. */
async function leaveOutRest(staging: Staging): Promise<void> {
  const pace = createPace();
  for (const staged of staging.runs.values()) {
    staging.leaveOut(staged, (slot) => {
      const size = inexactSize(staging, slot);
      const waits = size !== null && size <= MEASURED_BYTES;
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
