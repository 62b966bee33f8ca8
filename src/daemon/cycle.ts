import type { Writes } from '../airflow/catalogue-queries.ts';
import type { UnknownShape } from '../airflow/shape.ts';
import { isOwnerUnread, mayLackConnection } from '../airflow/shape.ts';
import { standingRule } from '../airflow/xcom-path.ts';
import type { KnownSettings } from '../canary/known-settings.ts';
import { knownSettings } from '../canary/known-settings.ts';
import { conclude, concludeAgain, decidedOf } from '../diagnosis/conclude.ts';
import type { Sampled } from '../diagnosis/diagnose.ts';
import type { Report } from '../diagnosis/report.ts';
import type { Comparison } from '../diagnosis/surveyor.ts';
import { createSurveyor } from '../diagnosis/surveyor.ts';
import { checkReferences } from '../objects/check-references.ts';
import type { UnfinishedListings } from '../objects/orphans.ts';
import type { Verified } from '../objects/verify.ts';
import type { Database } from '../postgres/client.ts';
import { DatabaseError } from '../postgres/failure.ts';
import type { Age } from '../postgres/standby.ts';
import { ageOf, doubtOfAge, readUpTo, worseAge } from '../postgres/standby.ts';
import type { ProbeResult } from '../probe/bucket.ts';
import { falseHead, sawObject } from '../probe/bucket.ts';
import type { ObjectStore } from '../s3/client.ts';
import type { Stores } from '../s3/stores.ts';
import { createShapeReader } from '../sample/shape-reader.ts';
import { createPatience } from '../sample/unpack.ts';
import type { Config } from '../settings/config.ts';
import type { StoredConnections } from '../settings/stored-connections.ts';
import type { Increment } from '../window/increments.ts';
import type { LedgerState } from '../window/ledger-state.ts';
import { createLedger } from '../window/ledger.ts';
import type { Ledger } from '../window/ledger.ts';
import { createLooks } from '../window/looks.ts';
import type { CanarySeen } from './canary-watch.ts';
import { createCanaryWatch } from './canary-watch.ts';
import { NO_GROWTH, growthAt, isListed, withOrphans } from './orphan-growth.ts';
import { readRows } from './read-rows.ts';
import type { ReadRowsOptions, RowsRead } from './read-rows.ts';

export interface Cycle {
  /**
   * One pass over the new rows. Never throws: a failed stage is part of the report. `probedStore`: the store that the
   * probe asked; left out: the one of now.
   */
  run(probe: ProbeResult | null, signal: AbortSignal, probedStore?: ObjectStore | null): Promise<Report>;
  /** The live memory, for a state file or for the next cycle to go on with. */
  state(): LedgerState;
  /** Lets the next cycle count no report of the canary again. */
  canarySeen(): CanarySeen;
  /** The live memory, for reading. */
  readonly ledger: Ledger;
}

export interface CycleOptions {
  readonly config: Config;
  readonly database: Pick<Database, 'read'>;
  readonly stores: Pick<Stores, 'of' | 'sent' | 'knows' | 'takeUnnamed'>;
  readonly stored: Pick<StoredConnections, 'pushFaults'>;
  readonly restored: LedgerState | null;
  /** From the last cycle; left out: there was none. */
  readonly canarySeen?: CanarySeen | null;
  /** How many rows one cycle asks the worker of, besides new oversize rows. */
  readonly workersACycle: number;
  readonly random: () => number;
  readonly clock: () => number;
  /** Compares figures that are kept from cycle to cycle with newly computed ones. */
  readonly comparison: Comparison;
}

/** How long a standby may take to catch up with the changes on their way before its rows are read. */
const PATIENCE_MS = 1_000;

/** The answers of the database and S3; `verified` is null when no reference was looked at. */
type Look =
  | { readonly rows: UnknownShape; readonly verified: null }
  | { readonly rows: RowsRead; readonly verified: Verified; readonly age: Age }
  | { readonly failure: NonNullable<Report['databaseFailure']> };

export function createCycle(options: CycleOptions): Cycle {
  const { config, database, clock, workersACycle, random } = options;
  const ledger = createLedger(options.restored);
  const canary = createCanaryWatch(config, options.canarySeen ?? null);
  const looks: ReadRowsOptions['looks'] = {
    bases: createLooks(),
    faults: createLooks(),
    workers: createLooks(),
    waiting: createLooks(),
  };
  const patience = createPatience();
  const unfinished: UnfinishedListings = new WeakMap();
  const survey = createSurveyor({ ...options, bases: looks.bases });
  let readShape = createShapeReader();
  /** Increments wait here until a report takes them, so that a later failed stage loses none. */
  let pending: Increment[] = [];
  let writes: Writes = {};
  let growth = NO_GROWTH;
  let last: Report | null = null;

  function count(increments: readonly Increment[]): void {
    for (const increment of increments) pending.push(increment);
  }

  /** The settings according to the canary's latest report, which may come in the middle of a cycle. */
  const known = (): KnownSettings => knownSettings(config.xcom, canary.verdict());

  /** Reads the rows, then asks S3 about the references among them. */
  async function look(
    probe: ProbeResult | null,
    signal: AbortSignal,
    probedStore: ObjectStore | null,
  ): Promise<Look> {
    try {
      const patient = { patienceMs: PATIENCE_MS, signal };
      const read = await ageOf(database, patient);
      const before = standingRule(known().xcom.paths);
      const rows = await readUpTo(database, { age: read, ...patient }, (query, place) =>
        readRows(query, ledger, {
          place,
          config,
          standing: before,
          looks,
          readShape,
          patience,
          canary,
          count,
          workersACycle,
          random,
        }),
      );
      writes = 'unsupported' in rows ? {} : rows.writes;
      if ('unsupported' in rows) return { rows, verified: null };
      const { shape, now } = rows;
      options.stores.takeUnnamed(mayLackConnection(shape));
      const { xcom } = known();
      const { verified, increments, age } = await checkReferences(
        ledger,
        {
          ...options,
          config: { ...config, xcom },
          shape,
          standing: standingRule(xcom.paths),
          looks: looks.bases,
          unfinished,
          now,
          age: read,
          sawProbe: probe !== null && sawObject(probe),
          probedStore,
          isHeadFalse: falseHead(probe) !== null,
        },
        signal,
      );
      count(increments);
      return { rows, verified, age: worseAge(read, age) };
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error;
      readShape = createShapeReader();
      return { failure: { reason: error.reason, detail: error.message } };
    }
  }

  /** One pass over the window as it is after the look. */
  async function sampledOf({ shape, now, unmeasured }: RowsRead, age: Age): Promise<Sampled> {
    const { oversize, threshold, paths } = known().xcom;
    const standing = standingRule(paths);
    const measured = { windowMs: config.windowMs, oversize, threshold, standing };
    const seen = await survey(ledger, { ...measured, ownersUnread: isOwnerUnread(shape) });
    growth = withOrphans(growth, seen.window.orphanObjects, { now, isListed: isListed(ledger, now) });
    const decided = decidedOf(seen, { now, unmeasured });
    const standby = { lagSeconds: age.lagSeconds, doubt: doubtOfAge(age) };
    const orphanGrowth = growthAt(growth, now);
    const ofCanary = { canary: canary.verdict(), isCanaryGone: canary.isGone() };
    return { shape, survey: seen, orphanGrowth, ...ofCanary, standby, ...decided };
  }

  return {
    ledger,
    state: () => ledger.state(),
    canarySeen: () => canary.seen(),
    async run(probe, signal, probedStore = null) {
      const started = performance.now();
      const looked = await look(probe, signal, probedStore);
      const databaseFailure = 'failure' in looked ? looked.failure : null;
      const verified = 'failure' in looked ? null : looked.verified;
      const s3Failure = verified?.failure ?? null;
      const { xcom, heard } = known();
      const pushFaults = [...xcom.pushFaults, ...options.stored.pushFaults()];
      const judged = { config: { ...config, xcom: { ...xcom, pushFaults } }, probe, at: clock() };
      const figures =
        'failure' in looked
          ? last === null
            ? conclude(null, judged)
            : concludeAgain(last, judged)
          : conclude('age' in looked ? await sampledOf(looked.rows, looked.age) : looked.rows, judged);
      // Nothing can fail from here on: increments that left this list would be lost with the report.
      const increments = pending;
      pending = [];
      last = {
        at: clock(),
        durationSeconds: (performance.now() - started) / 1000,
        databaseFailure,
        s3Failure: s3Failure === null ? null : { reason: s3Failure.reason, detail: s3Failure.detail },
        s3Answered: verified?.answered ?? false,
        heard,
        thresholdBytes: xcom.threshold,
        oversizeBytes: xcom.oversize,
        increments,
        writes,
        canary: { verdict: canary.verdict(), refusals: canary.takeRefusals() },
        ...figures,
      };
      return last;
    },
  };
}
