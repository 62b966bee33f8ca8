import type { Shape } from './airflow/shape.ts';
import type { Placement } from './classify.ts';
import type { Query } from './clients/postgres.ts';
import { entryOf } from './entry.ts';
import type { Ledger } from './ledger.ts';
import { createPace } from './lib/pace.ts';
import { createTop } from './lib/top.ts';
import { MEASURED_BYTES, MEASURED_ROWS } from './measure.ts';
import { indexInChunk } from './row-columns.ts';
import * as is from './row-flags.ts';
import type { SampledRow } from './sampled-row.ts';
import { unpackEach } from './unpack.ts';

/** A quarter of what a cycle unpacks for new rows, and none is begun after so long: the server has other things to do. */
const BASELINE_BYTES = MEASURED_BYTES / 4;
const BASELINE_ROWS = MEASURED_ROWS / 4;
const MEASURING_MS = 2_000;
/** They are in no counter, and only their stored size is known. */
const WAITING = is.BASELINE | is.INEXACT;

/**
 * Unpacks some of the values for which the first reading, which takes all, had no time: they are in the window, which
 * would be shown smaller than it is until they have left it.
 */
export async function measureBaseline(
  query: Query,
  shape: Shape,
  { ledger, classify }: { ledger: Ledger; classify: (row: SampledRow) => Placement },
): Promise<void> {
  const rows = ledger.rows();
  const pace = createPace();
  const smallest = createTop(BASELINE_ROWS);
  for (const chunk of rows.chunks) {
    for (let at = 0; at < chunk.flags.length; at += 1) {
      const size = chunk.size[at] ?? 0;
      if (((chunk.flags[at] ?? 0) & (WAITING | is.NOT_UNPACKED)) === WAITING && size <= MEASURED_BYTES)
        smallest.offer(chunk.first + at, -size);
    }
    await pace.rest();
  }
  const waiting = smallest.items().map((slot) => ({
    entry: entryOf(rows, ledger.runOf(slot), slot),
    size: rows.chunkOf(slot).size[indexInChunk(slot)] ?? 0,
  }));
  const limit = { ms: MEASURING_MS, bytes: BASELINE_BYTES };
  for await (const [{ entry }, answer] of unpackEach(query, { shape, waiting, limit })) {
    const flags = rows.flagsOf(entry.slot);
    if (answer === null) rows.setFlags(entry.slot, flags | is.NOT_UNPACKED);
    // Another version is found by the next reading.
    if (answer?.version !== entry.row.version) continue;
    const placement = classify(answer);
    if (placement.storage !== 'db') continue;
    const chunk = rows.chunkOf(entry.slot);
    const at = indexInChunk(entry.slot);
    chunk.size[at] = placement.bytes;
    chunk.base[at] = Math.max(0, placement.bytes - placement.leastBytes);
    chunk.flags[at] = (flags & ~(is.INEXACT | is.BY_DESIGN_MASK)) | is.byDesignBits(placement.byDesign);
  }
}
