import type { Reference } from './airflow/reference.ts';
import type { Shape } from './airflow/shape.ts';
import { isS3Path } from './airflow/xcom-path.ts';
import { classify } from './classify.ts';
import { DatabaseError } from './clients/postgres.ts';
import type { Database, Query } from './clients/postgres.ts';
import type { Unknown } from './clients/s3.ts';
import type { Config } from './config.ts';
import { confirm } from './confirm.ts';
import { diagnose } from './diagnose.ts';
import type { Observation } from './diagnose.ts';
import { objectIncrements, rowIncrements } from './increments.ts';
import { createLedger, isReference, windowTotals } from './ledger.ts';
import type { Entry, LedgerState } from './ledger.ts';
import type { ProbeResult } from './probe.ts';
import type { ProblemCode } from './problems.ts';
import type { BackendInfo, Increment, Report } from './report.ts';
import { sample } from './sample.ts';
import type { Stores } from './stores.ts';
import { verify } from './verify.ts';
import type { Verified } from './verify.ts';
import { attribute, worthAttributing } from './workers.ts';

export interface Cycle {
  /** One pass over what is new. Throws nothing: a stage that fails is part of the report. */
  run(probe: ProbeResult | null, signal: AbortSignal): Promise<Report>;
  snapshot(): LedgerState;
}

export interface CycleOptions {
  readonly config: Config;
  readonly database: Pick<Database, 'read'>;
  readonly stores: Pick<Stores, 'of' | 'sent'>;
  readonly restored: LedgerState | null;
  readonly random: () => number;
  readonly clock: () => number;
}

/** How long growth of the orphans stays a problem. */
const GROWTH_MS = 3_600_000;

/** What the cycles remember besides the rows. */
interface Memory {
  shape: Shape | null;
  unsupported: string | null;
  unmeasured: number;
  now: number;
  since: Map<ProblemCode, number>;
  orphans: number | null;
  growth: { from: number; to: number; at: number } | null;
}

export function createCycle(options: CycleOptions): Cycle {
  const { config, database, clock } = options;
  const ledger = createLedger({ windowMs: config.windowMs }, options.restored);
  const inForce = inForceRule(config);
  /** Increments wait here until a report takes them: a later stage that fails loses none. */
  let pending: Increment[] = [];
  let last: Report | null = null;
  const memory: Memory = {
    shape: null,
    unsupported: null,
    unmeasured: 0,
    now: 0,
    since: new Map(),
    orphans: null,
    growth: null,
  };

  /** Reads what is new and takes it in. */
  async function readRows(query: Query): Promise<void> {
    const sampled = await sample(query, ledger.remembered(), { windowMs: config.windowMs });
    if ('unsupported' in sampled) {
      Object.assign(memory, { shape: null, unsupported: sampled.unsupported });
      return;
    }
    const { shape, now, unmeasured } = sampled;
    Object.assign(memory, { shape, unsupported: null, now, unmeasured });
    const fresh = ledger.settle(sampled, (row) =>
      classify(row, { major: shape.major, paths: config.xcom.paths }),
    );
    try {
      await attribute(query, shape, worthAttributing(ledger, config.xcom.oversize, inForce));
    } finally {
      pending.push(...rowIncrements(fresh, config.xcom.oversize));
    }
  }

  async function lookUp(shape: Shape, signal: AbortSignal): Promise<Verified> {
    const [base] = config.xcom.paths.filter(isS3Path);
    const verified = await verify(
      ledger,
      {
        stores: options.stores,
        base:
          base === undefined
            ? null
            : { connection: base.connection ?? '', bucket: base.bucket, prefix: base.prefix },
        requests: config.s3.requestsPerCycle,
        now: memory.now,
        random: options.random,
      },
      signal,
    );
    const suspects = verified.answers.filter(({ object }) => object !== 'present').map(({ entry }) => entry);
    const confirmed =
      suspects.length === 0
        ? new Set<Entry>()
        : await database.read(async (query) => {
            const there = await confirm(query, shape, suspects);
            await attribute(
              query,
              shape,
              [...there].filter(({ worker }) => worker === null),
            );
            return there;
          }, signal);
    for (const { entry, object, bytes } of verified.answers) {
      if (object !== 'present' && !confirmed.has(entry)) {
        // Purged or written again meanwhile: the next cycle reads what took its place.
        ledger.forget(entry);
        continue;
      }
      const first = entry.object === 'unverified';
      entry.object = object;
      entry.objectBytes = bytes;
      entry.unchecked = null;
      pending.push(...objectIncrements(entry, { first, inForce }));
    }
    for (const { entry, reason } of verified.unchecked) {
      if (entry.unchecked === reason) continue;
      entry.unchecked = reason;
      pending.push({ metric: 'references_unchecked_total', reason, by: 1 });
    }
    return verified;
  }

  return {
    snapshot: () => ledger.snapshot(),
    async run(probe, signal) {
      const started = clock();
      let databaseFailure: Report['databaseFailure'] = null;
      let verified: Verified | null = null;
      let s3Failure: Unknown | null = null;
      try {
        await database.read(readRows, signal);
        if (memory.shape !== null) {
          verified = await lookUp(memory.shape, signal);
          s3Failure = verified.failure;
        }
      } catch (error) {
        if (!(error instanceof DatabaseError)) throw error;
        databaseFailure = { reason: error.reason, detail: error.message };
      }
      const increments = pending;
      pending = [];
      const figures =
        databaseFailure === null || last === null
          ? conclude({ known: databaseFailure === null, probe, at: clock() })
          : repeat(last, { probe, at: clock() });
      last = {
        at: clock(),
        durationSeconds: (clock() - started) / 1000,
        databaseFailure,
        s3Failure: s3Failure === null ? null : { reason: s3Failure.reason, detail: s3Failure.detail },
        s3Answered: verified?.answered ?? false,
        thresholdBytes: config.xcom.threshold,
        oversizeBytes: config.xcom.oversize,
        increments,
        ...figures,
      };
      return last;
    },
  };

  type Figures = Pick<Report, 'backend' | 'window' | 'states' | 'problems' | 'lagSeconds' | 'coverage'>;

  /** The verdict on what is known; without a reading of the database only settings and probe speak. */
  function conclude({
    known,
    probe,
    at,
  }: {
    known: boolean;
    probe: ProbeResult | null;
    at: number;
  }): Figures {
    const sampled = known ? observed() : null;
    const { states, problems } = diagnose({ config, sampled, inForce, probe });
    for (const code of memory.since.keys()) if (states[code] === 'clear') memory.since.delete(code);
    const dated = problems.map((problem) => {
      const since = memory.since.get(problem.code) ?? at;
      memory.since.set(problem.code, since);
      return { ...problem, since };
    });
    const shaped = sampled?.shape ?? null;
    return {
      backend: shaped === null ? null : backendInfo(config, shaped),
      window: shaped === null || sampled === null ? null : sampled.window,
      states,
      problems: dated,
      lagSeconds: shaped === null || sampled === null ? null : sampled.lagSeconds,
      coverage: shaped === null || sampled === null ? null : sampled.coverage,
    };
  }

  /** The figures of the last reading stand while the database is away; the probe's word is new. */
  function repeat(before: Report, { probe, at }: { probe: ProbeResult | null; at: number }): Figures {
    const fresh = conclude({ known: false, probe, at });
    const states = { ...before.states };
    for (const [code, state] of Object.entries(fresh.states) as [
      ProblemCode,
      Report['states'][ProblemCode],
    ][])
      if (state !== 'unknown') states[code] = state;
    // One by one: what the report says of its own cycle must not be said again, its increments least of all.
    const { backend, window, lagSeconds, coverage } = before;
    return {
      backend,
      window,
      lagSeconds,
      coverage,
      states,
      problems: [
        ...fresh.problems,
        ...before.problems.filter(({ code }) => fresh.states[code] === 'unknown'),
      ],
    };
  }

  function observed(): NonNullable<Observation['sampled']> {
    const entries = [...ledger.entries()];
    const window = windowTotals(ledger, {
      windowMs: config.windowMs,
      oversize: config.xcom.oversize,
      inForce,
    });
    const open = entries.filter((entry) => isReference(entry) && entry.object === 'unverified');
    const inexact = entries.filter(({ placement }) => placement.storage === 'db' && !placement.exact).length;
    const unmeasured = Math.max(inexact, memory.unmeasured);
    const undecided = open.length + unmeasured;
    const oldest = open.reduce((least, { row }) => Math.min(least, row.at), memory.now);
    noteOrphans(window.orphanObjects);
    return {
      shape: memory.shape,
      unsupported: memory.unsupported,
      entries,
      window,
      orphansGrew: memory.growth,
      coverage: entries.length === 0 ? 1 : Math.max(0, 1 - undecided / entries.length),
      lagSeconds: (memory.now - oldest) / 1000,
      unmeasured,
    };
  }

  /** Growth is measured between two moments at which every quiet run had been listed. */
  function noteOrphans(orphans: number | null): void {
    if (memory.growth !== null && memory.now - memory.growth.at > GROWTH_MS) memory.growth = null;
    const swept = [...ledger.runs.values()].every((run) => run.live || run.listed !== null);
    if (orphans === null || !swept) return;
    if (memory.orphans !== null && orphans > memory.orphans)
      memory.growth = { from: memory.orphans, to: orphans, at: memory.now };
    memory.orphans = orphans;
  }
}

/** Whether Airflow, as configured, can read a reference back. Nothing configured: nothing is known against it. */
function inForceRule({ xcom: { paths } }: Config): (reference: Reference) => boolean {
  const [path] = paths;
  if (path === undefined) return () => true;
  return ({ scheme, connection, bucket, prefix }) =>
    scheme === path.scheme &&
    connection === (path.connection ?? '') &&
    bucket === path.bucket &&
    prefix === path.prefix;
}

function backendInfo({ xcom }: Config, shape: Shape): BackendInfo {
  const [path] = xcom.paths;
  return {
    airflow: shape.airflow,
    schema: shape.name,
    bucket: path?.bucket ?? '',
    prefix: path?.prefix ?? '',
    connection: path?.connection ?? '',
    compression: xcom.compression,
  };
}
