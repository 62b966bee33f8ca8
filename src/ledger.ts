import type { Reference } from './airflow/reference.ts';
import type { Placement } from './classify.ts';
import { isOversize } from './classify.ts';
import type { BrokenReason, UncheckedReason, WindowTotals } from './report.ts';
import type { Remembered, Sample } from './sample.ts';
import type { SampledRow } from './sampled-row.ts';
import { rowId } from './sampled-row.ts';

/** Where the task instance behind a row ran. */
export interface Worker {
  readonly queue: string | null;
  readonly executor: string | null;
  readonly hostname: string | null;
  readonly operator: string | null;
}

/** What S3 last said about a reference. */
export type ObjectState = 'unverified' | 'present' | 'missing' | 'empty';

/** One version of one row in the window. Mutable fields are what later stages learn about it. */
export interface Entry {
  readonly id: string;
  readonly row: Omit<SampledRow, 'text' | 'stored' | 'bytes' | 'leastBytes' | 'isNull'>;
  readonly placement: Placement;
  /** It was there before the exporter was: it is part of the window but in no counter. */
  readonly baseline: boolean;
  worker: Worker | null;
  object: ObjectState;
  objectBytes: number | null;
  /** Why S3 gave no answer, when it was last asked. */
  unchecked: UncheckedReason | null;
  /** What has been counted as broken about it. */
  readonly said: BrokenReason[];
}

export interface Run {
  readonly id: number;
  readonly dagId: string;
  readonly runId: string;
  live: boolean;
  /** Database clock, epoch ms. */
  readAt: number;
  /** Where the next reading starts; null: it has to be read whole. */
  horizon: string | null;
  readonly rows: Map<string, Entry>;
  /** Rows that it holds besides, older than the window. */
  expired: number;
  /** Deleted from dag_run: it has no rows, but may have left objects. */
  gone: boolean;
  /** When the run was last seen live or written to; orphans count from a grace period after it. */
  activeAt: number;
  /** What a listing found that no row refers to; null when something changed since. */
  listed: { readonly at: number; readonly orphans: number; readonly orphanBytes: number } | null;
}

/** An entry whose placement is a reference of its own: what is looked up in S3. */
export type ReferenceEntry = Entry & { readonly placement: { readonly reference: Reference } };

export function isReference(entry: Entry): entry is ReferenceEntry {
  return entry.placement.storage === 's3' && !entry.placement.leaked;
}

/** Ended runs that are looked at again in one cycle: what is deleted or patched behind them is found so. */
const REREAD_RUNS = 200;

/** Everything that is remembered about the window. */
export interface Ledger {
  readonly runs: ReadonlyMap<number, Run>;
  remembered(): Remembered;
  /** Takes in one sample; gives back the entries that are new. */
  settle(sample: Sample, classify: (row: SampledRow) => Placement): Entry[];
  entries(): Iterable<Entry>;
  forget(entry: Entry): void;
  snapshot(): LedgerState;
}

export interface LedgerState {
  readonly lastRunId: number | null;
  readonly schema: string | null;
  readonly runs: readonly (Omit<Run, 'rows'> & { readonly rows: readonly Entry[] })[];
}

export function createLedger(options: { windowMs: number }, restored: LedgerState | null = null): Ledger {
  const runs = new Map<number, Run>();
  let lastRunId = restored?.lastRunId ?? null;
  let schema = restored?.schema ?? null;
  for (const { rows, ...run } of restored?.runs ?? [])
    runs.set(run.id, { ...run, rows: new Map(rows.map((entry) => [entry.id, entry])) });

  function* entries(): Generator<Entry> {
    for (const run of runs.values()) yield* run.rows.values();
  }

  return {
    runs,
    entries,
    remembered() {
      const there = [...runs.values()].filter(({ gone }) => !gone);
      const live = there.filter((run) => run.live);
      const urgency = (run: Run) => (run.horizon === null ? 0 : run.readAt);
      const ended = there.filter((run) => !run.live).sort((a, b) => urgency(a) - urgency(b));
      const due = ended.slice(0, REREAD_RUNS);
      return { lastRunId, schema, known: runs, runs: new Map([...live, ...due].map((run) => [run.id, run])) };
    },

    settle(sample, classify) {
      // A migration rewrites rows without anyone writing an XCom: they are carried over, not counted again.
      const baseline = lastRunId === null || schema !== sample.shape.name;
      if (baseline) runs.clear();
      const from = sample.now - options.windowMs;
      const fresh: Entry[] = [];
      for (const id of sample.goneRuns) {
        const run = runs.get(id);
        if (run === undefined) continue;
        run.rows.clear();
        Object.assign(run, { live: false, gone: true, expired: 0, listed: null, activeAt: sample.now });
      }
      for (const sampled of sample.runs) {
        const run = runs.get(sampled.id) ?? newRun(sampled, sample);
        runs.set(run.id, run);
        run.activeAt = sampled.live || run.live ? sample.now : Math.max(run.activeAt, sampled.endedAt ?? 0);
        run.live = sampled.live;
        run.readAt = sample.now;
        run.horizon = sampled.complete ? sample.horizon : null;
        if (sampled.whole || sampled.count === 0) {
          const young = sampled.rows.filter(({ at }) => at >= from);
          const there = new Set(young.map((row) => rowId(row.table, row)));
          for (const id of run.rows.keys())
            if (!there.has(id)) {
              run.rows.delete(id);
              run.listed = null;
            }
          run.expired = sampled.rows.length - young.length;
        }
        for (const row of sampled.rows) {
          const id = rowId(row.table, row);
          if (run.rows.get(id)?.row.version === row.version) continue;
          if (row.at < from) continue;
          const entry = newEntry(id, row, { placement: classify(row), baseline });
          run.rows.set(id, entry);
          run.activeAt = Math.max(run.activeAt, row.at);
          run.listed = null;
          fresh.push(entry);
        }
      }
      for (const run of runs.values()) {
        for (const [id, entry] of run.rows)
          if (entry.row.at < from) {
            run.rows.delete(id);
            run.expired += 1;
          }
        if (!run.live && run.rows.size === 0 && run.activeAt < from) runs.delete(run.id);
      }
      lastRunId = sample.lastRunId;
      schema = sample.shape.name;
      return fresh;
    },

    forget(entry) {
      runs.get(entry.row.dagRunId)?.rows.delete(entry.id);
    },

    snapshot() {
      return {
        lastRunId,
        schema,
        runs: [...runs.values()].map((run) => ({ ...run, rows: [...run.rows.values()] })),
      };
    },
  };
}

function newRun(
  { id, dagId, runId, live }: { id: number; dagId: string; runId: string; live: boolean },
  { now, horizon }: Sample,
): Run {
  return {
    id,
    dagId,
    runId,
    live,
    readAt: now,
    horizon,
    rows: new Map(),
    expired: 0,
    gone: false,
    activeAt: 0,
    listed: null,
  };
}

function newEntry(
  id: string,
  row: SampledRow,
  { placement, baseline }: { placement: Placement; baseline: boolean },
): Entry {
  const { text, stored, bytes, leastBytes, isNull, ...kept } = row;
  return {
    id,
    row: kept,
    placement,
    baseline,
    worker: null,
    object: 'unverified',
    objectBytes: null,
    unchecked: null,
    said: [],
  };
}

/** Why Airflow cannot use what a row holds, as far as is known; null when nothing speaks against it. */
export function brokenReason(entry: Entry, inForce: (reference: Reference) => boolean): BrokenReason | null {
  if (entry.placement.storage !== 's3') return null;
  if (entry.placement.leaked) return 'leaked';
  if (entry.object === 'missing' || entry.object === 'empty') return entry.object;
  return inForce(entry.placement.reference) ? null : 'path_mismatch';
}

/** The window as it is now. Bytes in S3 are unknown as long as no reference has been looked up. */
export function windowTotals(
  ledger: Ledger,
  options: { windowMs: number; oversize: number; inForce: (reference: Reference) => boolean },
): WindowTotals {
  const rows = { db: 0, s3: 0, other: 0 };
  const bytes = { db: 0, s3: 0, other: 0 };
  const broken: Record<BrokenReason, number> = { missing: 0, empty: 0, path_mismatch: 0, leaked: 0 };
  let oversizeRows = 0;
  let oversizeBytes = 0;
  let references = 0;
  let known = 0;
  for (const entry of ledger.entries()) {
    const { placement } = entry;
    rows[placement.storage] += 1;
    bytes[placement.storage] += placement.storage === 's3' ? (entry.objectBytes ?? 0) : placement.bytes;
    if (isReference(entry)) {
      references += 1;
      if (entry.object !== 'unverified') known += 1;
    }
    const reason = brokenReason(entry, options.inForce);
    if (reason !== null) broken[reason] += 1;
    if (placement.storage === 'db' && isOversize(placement, options.oversize)) {
      oversizeRows += 1;
      oversizeBytes += placement.bytes;
    }
  }
  const lookedAt = references === 0 || known > 0;
  const listed = [...ledger.runs.values()].map(({ listed }) => listed).filter((list) => list !== null);
  const orphansKnown = listed.length > 0 || ledger.runs.size === 0;
  return {
    seconds: options.windowMs / 1000,
    rows,
    bytes: { ...bytes, s3: lookedAt ? bytes.s3 : null },
    oversizeRows,
    oversizeBytes,
    broken: {
      ...broken,
      missing: lookedAt ? broken.missing : null,
      empty: lookedAt ? broken.empty : null,
    },
    orphanObjects: orphansKnown ? listed.reduce((sum, { orphans }) => sum + orphans, 0) : null,
    orphanBytes: orphansKnown ? listed.reduce((sum, { orphanBytes }) => sum + orphanBytes, 0) : null,
  };
}
