import type { Writes } from '../airflow/catalogue-queries.ts';
import { classify } from '../airflow/classify.ts';
import type { Shape } from '../airflow/shape.ts';
import { inForceRule } from '../airflow/xcom-path.ts';
import type { SampledRow } from '../airflow/xcom-row.ts';
import type { Observation } from '../diagnosis/diagnose.ts';
import { diagnose } from '../diagnosis/diagnose.ts';
import { observedOf } from '../diagnosis/observed.ts';
import type { ProblemCode } from '../diagnosis/problem-catalogue.ts';
import type { BackendInfo, Report } from '../diagnosis/report.ts';
import { survey } from '../diagnosis/survey.ts';
import { checkReferences } from '../objects/check-references.ts';
import type { Database, Query } from '../postgres/client.ts';
import { DatabaseError } from '../postgres/failure.ts';
import type { ProbeResult } from '../probe/bucket.ts';
import type { Unknown } from '../s3/failure.ts';
import type { Stores } from '../s3/stores.ts';
import { measureBaseline } from '../sample/measure.ts';
import { sample } from '../sample/sample.ts';
import { createShapeReader } from '../sample/shape-reader.ts';
import { attribute, worthAttributing } from '../sample/workers.ts';
import type { Config } from '../settings/config.ts';
import { basesInForce } from '../window/bases.ts';
import type { Increment } from '../window/increments.ts';
import { rowIncrements } from '../window/increments.ts';
import type { LedgerState } from '../window/ledger-state.ts';
import type { Ledger } from '../window/ledger.ts';
import { createLedger } from '../window/ledger.ts';
import { createCanaryWatch } from './canary-watch.ts';

export interface Cycle {
  /** One pass over what is new. Throws nothing: a stage that fails is part of the report. */
  run(probe: ProbeResult | null, signal: AbortSignal): Promise<Report>;
  /** What is remembered, alive: for a state file, or for the next cycle, which then goes on with it. */
  state(): LedgerState;
  /** What is remembered, to be looked at. */
  readonly ledger: Ledger;
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
  writes: Writes;
  now: number;
  orphans: number | null;
  growth: { from: number; to: number; at: number } | null;
}

export function createCycle(options: CycleOptions): Cycle {
  const { config, database, clock } = options;
  const ledger = createLedger(options.restored);
  const canary = createCanaryWatch(config);
  const inForce = inForceRule(config.xcom.inForce);
  let readShape = createShapeReader();
  /** Increments wait here until a report takes them: a later stage that fails loses none. */
  let pending: Increment[] = [];
  let last: Report | null = null;
  const memory: Memory = {
    shape: null,
    unsupported: null,
    unmeasured: 0,
    writes: {},
    now: 0,
    orphans: null,
    growth: null,
  };

  /** Reads what is new and takes it in. */
  async function readRows(query: Query): Promise<void> {
    const classified = (row: SampledRow, { major }: Shape) =>
      classify(row, { major, paths: config.xcom.paths });
    const sampled = await sample(query, ledger, {
      windowMs: config.windowMs,
      shard: config.shard,
      canaryDagId: config.canaryDagId,
      oversize: config.xcom.oversize,
      readShape,
      classify: classified,
    });
    if ('unsupported' in sampled) {
      Object.assign(memory, { shape: null, unsupported: sampled.unsupported, writes: {} });
      return;
    }
    const { shape, now, unmeasured, writes } = sampled;
    Object.assign(memory, { shape, unsupported: null, now, unmeasured, writes });
    const fresh = await ledger.takeIn(sampled, { windowMs: config.windowMs });
    const { oversize } = config.xcom;
    pending.push(...rowIncrements(ledger, fresh, oversize));
    const slots = await worthAttributing(ledger, { oversize, inForce: basesInForce(ledger, inForce) });
    await attribute(query, shape, { ledger, slots });
    if (unmeasured === 0)
      await measureBaseline(query, shape, { ledger, classify: (row) => classified(row, shape) });
    await canary.look(query, { shape, runs: sampled.canaryRuns, now });
  }

  return {
    ledger,
    state: () => ledger.state(),
    async run(probe, signal) {
      const started = performance.now();
      let databaseFailure: Report['databaseFailure'] = null;
      let s3Answered = false;
      let s3Failure: Unknown | null = null;
      try {
        await database.read(readRows, signal);
        if (memory.shape !== null) {
          const { shape, now } = memory;
          const { verified, increments } = await checkReferences(
            ledger,
            { ...options, shape, inForce, now },
            signal,
          );
          pending.push(...increments);
          s3Failure = verified.failure;
          s3Answered = verified.answered;
        }
      } catch (error) {
        if (!(error instanceof DatabaseError)) throw error;
        readShape = createShapeReader();
        databaseFailure = { reason: error.reason, detail: error.message };
      }
      const increments = pending;
      pending = [];
      const figures =
        databaseFailure === null || last === null
          ? await conclude({ known: databaseFailure === null, probe, at: clock() })
          : await repeat(last, { probe, at: clock() });
      last = {
        at: clock(),
        durationSeconds: (performance.now() - started) / 1000,
        databaseFailure,
        s3Failure: s3Failure === null ? null : { reason: s3Failure.reason, detail: s3Failure.detail },
        s3Answered,
        thresholdBytes: config.xcom.threshold,
        oversizeBytes: config.xcom.oversize,
        increments,
        writes: memory.writes,
        canary: { verdict: canary.verdict(), refusals: canary.takeRefusals() },
        ...figures,
      };
      return last;
    },
  };

  type Figures = Pick<
    Report,
    'backend' | 'observed' | 'window' | 'states' | 'problems' | 'lagSeconds' | 'coverage'
  >;

  /** The verdict on what is known; without a reading of the database only settings and probe speak. */
  async function conclude({
    known,
    probe,
    at,
  }: {
    known: boolean;
    probe: ProbeResult | null;
    at: number;
  }): Promise<Figures> {
    const sampled = known ? await observed() : null;
    const { states, problems } = diagnose({ config, sampled, probe });
    const shaped = sampled?.shape ?? null;
    return {
      backend: shaped === null ? null : backendInfo(config, shaped),
      observed: shaped === null || sampled === null ? null : observedOf(sampled.survey),
      window: shaped === null || sampled === null ? null : sampled.survey.window,
      states,
      // Dated by this look alone: diagnosis/problem-memory.ts knows of the earlier ones.
      problems: problems.map((problem) => ({ ...problem, since: at })),
      lagSeconds: shaped === null || sampled === null ? null : sampled.lagSeconds,
      coverage: shaped === null || sampled === null ? null : sampled.coverage,
    };
  }

  /** The figures of the last reading stand while the database is away; the probe's word is new. */
  async function repeat(
    before: Report,
    { probe, at }: { probe: ProbeResult | null; at: number },
  ): Promise<Figures> {
    const fresh = await conclude({ known: false, probe, at });
    const states = { ...before.states };
    for (const [code, state] of Object.entries(fresh.states) as [
      ProblemCode,
      Report['states'][ProblemCode],
    ][])
      if (state !== 'unknown') states[code] = state;
    // One by one: what the report says of its own cycle must not be said again, its increments least of all.
    const { backend, observed: effective, window, lagSeconds, coverage } = before;
    return {
      backend,
      observed: effective,
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

  async function observed(): Promise<NonNullable<Observation['sampled']>> {
    const { oversize, threshold } = config.xcom;
    const seen = await survey(ledger, { windowMs: config.windowMs, oversize, threshold, inForce });
    const unmeasured = Math.max(seen.inexact, memory.unmeasured);
    const undecided = seen.unverified + unmeasured;
    noteOrphans(seen.window.orphanObjects);
    return {
      shape: memory.shape,
      unsupported: memory.unsupported,
      survey: seen,
      orphansGrew: memory.growth,
      coverage: seen.count === 0 ? 1 : Math.max(0, 1 - undecided / seen.count),
      lagSeconds: Math.max(0, memory.now - (seen.oldestUnverified ?? memory.now)) / 1000,
      unmeasured,
      canary: canary.verdict(),
    };
  }

  /** Growth is measured between two moments at which every quiet run had been listed. */
  function noteOrphans(orphans: number | null): void {
    if (memory.growth !== null && memory.now - memory.growth.at > GROWTH_MS) memory.growth = null;
    const swept = [...ledger.runs().values()].every((run) => run.live || run.listed !== null);
    if (orphans === null || !swept) return;
    if (memory.orphans !== null && orphans > memory.orphans)
      memory.growth = { from: memory.orphans, to: orphans, at: memory.now };
    memory.orphans = orphans;
  }
}

function backendInfo({ xcom }: Config, shape: Shape): BackendInfo {
  const path = xcom.inForce;
  return {
    airflow: shape.airflow,
    schema: shape.name,
    bucket: path?.bucket ?? '',
    prefix: path?.prefix ?? '',
    connection: path?.connection ?? '',
    compression: xcom.compression,
  };
}
