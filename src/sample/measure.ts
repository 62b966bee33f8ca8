import type { Shape } from '../airflow/shape.ts';
import { createPace } from '../lib/pace.ts';
import { createTop } from '../lib/top.ts';
import type { Query } from '../postgres/client.ts';
import type { RowChunk } from '../window/columns.ts';
import { CHUNK_ROWS, indexInChunk } from '../window/columns.ts';
import * as is from '../window/flags.ts';
import type { Ledger } from '../window/ledger.ts';
import type { Looks } from '../window/looks.ts';
import { readRow } from '../window/remembered-row.ts';
import { flagsAt, sizeAt } from '../window/row-fields.ts';
import { knownRuns } from '../window/run.ts';
import type { Classify, StagedRun, Staging } from '../window/staging.ts';
import type { Reading } from './reading.ts';
import type { Patience } from './unpack.ts';
import { unpackEach } from './unpack.ts';

/** The most that one cycle unpacks, in stored bytes and in rows. */
export const MEASURED_BYTES = 64 * 1024 * 1024;
export const MEASURED_ROWS = 1_000;
/** A cycle begins no unpacking after this time either: one stored megabyte may unpack to a hundred. */
const MEASURING_MS = 5_000;

/**
 * Unpacks the values whose stored size does not show their real size, smallest first, up to the cap. The rest waits for
 * the next reading, except for rows of the baseline: {@link measureBaseline} corrects those in place. For values above
 * any cap, and for values that the server cannot measure, the size in Postgres stands. Returns how many were left.
 */
export async function measure({ query, shape, staging }: Reading, patience: Patience): Promise<number> {
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
    const staged = runOf.get(rows.runSlotOf(slot));
    if (staged === undefined) return [];
    return [{ staged, entry: readRow(rows, staged.run, slot), size: inexactSize(staging, slot) ?? 0 }];
  });
  let tried = 0;
  const limit = { ms: MEASURING_MS, bytes: MEASURED_BYTES };
  for await (const [{ staged, entry }, answer] of unpackEach(query, { shape, waiting, limit, patience })) {
    tried += 1;
    if (answer) staging.rewrite(staged, entry.slot, answer);
    if (answer === null || answer?.bytes === null) rows.setNotUnpacked(entry.slot);
  }
  if (open > tried) await leaveOutRest(staging);
  return open - tried;
}

/**
 * Leaves out the values that have not been measured and would be counted; their runs are then not complete. A row of
 * the baseline stays, because the next reading would take it for a new one.
 */
async function leaveOutRest(staging: Staging): Promise<void> {
  const { rows } = staging.state;
  const pace = createPace();
  for (const staged of staging.runs.values()) {
    staging.leaveOut(staged, (slot) => {
      const size = inexactSize(staging, slot);
      const mayWait = (rows.flagsOf(slot) & (is.BASELINE | is.NOT_UNPACKED)) === 0;
      const waits = mayWait && size !== null && size <= MEASURED_BYTES;
      if (waits) staged.complete = false;
      return waits;
    });
    await pace.rest();
  }
}

/** Bytes on disk of a row whose exact size is not known; null for any other row. */
function inexactSize({ state: { rows } }: Staging, slot: number): number | null {
  const chunk = rows.chunkOf(slot);
  const index = indexInChunk(slot);
  return (flagsAt(chunk, index) & is.INEXACT) === 0 ? null : sizeAt(chunk, index);
}

/**
 * A quarter of a cycle's limit for new rows. No unpacking begins after this time, because the server has other work.
 */
const BASELINE_BYTES = MEASURED_BYTES / 4;
const BASELINE_ROWS = MEASURED_ROWS / 4;
const BASELINE_MS = 2_000;
/** These values are in no counter, and only their stored size is known: a counter cannot be corrected later. */
const WAITING = is.BASELINE | is.INEXACT;

/** Whether any value of a chunk still waits. */
export type WaitingLooks = Looks<RowChunk, boolean>;

/**
 * Unpacks some values of the baseline for which their reading had no time. Without this, the window would look smaller
 * than it is until these values leave it.
 */
export async function measureBaseline(
  query: Query,
  shape: Shape,
  {
    ledger,
    classify,
    looks,
    patience,
  }: { ledger: Ledger; classify: Classify; looks: WaitingLooks; patience: Patience },
): Promise<void> {
  const rows = ledger.rows();
  const isRun = knownRuns(() => ledger.runs().values());
  const pace = createPace();
  const smallest = createTop(BASELINE_ROWS);
  for (const chunk of rows.chunks) {
    await pace.rest();
    const look = () => doesAnyWait(chunk);
    if (!looks.at(chunk, look, () => `${chunk.written}`)) continue;
    for (let index = 0; index < CHUNK_ROWS; index += 1) {
      if (!isWaiting(flagsAt(chunk, index))) continue;
      const size = sizeAt(chunk, index);
      if (size <= MEASURED_BYTES) smallest.offer(chunk.first + index, -size);
    }
  }
  const waiting = smallest.items().map((slot) => ({
    entry: readRow(rows, ledger.runOf(slot), slot),
    size: sizeAt(rows.chunkOf(slot), indexInChunk(slot)),
  }));
  const limit = { ms: BASELINE_MS, bytes: BASELINE_BYTES };
  for await (const [{ entry }, answer] of unpackEach(query, { shape, waiting, limit, patience })) {
    if (answer === null) rows.setNotUnpacked(entry.slot);
    // The next reading finds another version.
    if (answer?.version !== entry.row.version) continue;
    const placement = classify(answer, isRun);
    if (placement.storage === 'db') rows.setMeasured(entry.slot, placement);
  }
}

function doesAnyWait(chunk: RowChunk): boolean {
  for (let index = 0; index < CHUNK_ROWS; index += 1) if (isWaiting(flagsAt(chunk, index))) return true;
  return false;
}

function isWaiting(flags: number): boolean {
  return (flags & (WAITING | is.NOT_UNPACKED)) === WAITING;
}
