import type { Reference } from '../airflow/reference.ts';
import type { StandingRule } from '../airflow/xcom-path.ts';
import { createHistogram } from '../lib/histogram.ts';
import type { Counts, Histogram } from '../lib/histogram.ts';
import { createPace } from '../lib/pace.ts';
import type { BaseLooks } from '../window/bases.ts';
import { basesOf } from '../window/bases.ts';
import type { RowChunk } from '../window/columns.ts';
import { indexInChunk } from '../window/columns.ts';
import type { Ledger } from '../window/ledger.ts';
import type { Looks } from '../window/looks.ts';
import { flagsAt } from '../window/row-fields.ts';
import { pathsOf, prefixesOf } from './base-paths.ts';
import type { Evidence } from './evidence.ts';
import { KINDS } from './evidence-kinds.ts';
import type { Kind } from './evidence-kinds.ts';
import { createGathering, tell } from './gathering.ts';
import type { GatheredByKind, Gathering } from './gathering.ts';
import type { Doubtful } from './judged-workers.ts';
import { judgeWorkers } from './judged-workers.ts';
import * as judged from './judged-values.ts';
import type { JudgedValues } from './judged-values.ts';
import type { Measures } from './measures.ts';
import { measuresOf } from './measures.ts';
import { offloadingOf } from './offloading.ts';
import type { Tally } from './tally.ts';
import { groundsOf, sumOf, tallyOf } from './tally.ts';
import type { Unlooked } from './unlooked.ts';
import { unlookedTogether } from './unlooked.ts';
import type { Unowned } from './unowned.ts';
import { gatherUnowned, unownedTogether } from './unowned.ts';
import type { WindowTotals } from './window-totals.ts';
import { orphans } from './window-totals.ts';
import { historiesOf } from './worker-histories.ts';
import type { HistoryLooks } from './worker-histories.ts';
import { placedOf } from './worker-pools.ts';
import type { Placed } from './worker-pools.ts';

/** The contents of the window. */
export interface Survey {
  readonly window: WindowTotals;
  readonly rows: Readonly<Record<Kind, Evidence>>;
  /** All rows of the window. */
  readonly count: number;
  /** References of rows to their own values in stores that are not S3. */
  readonly inOtherStore: number;
  /**
   * References of rows to their own objects in S3. Then those of them that nobody has looked up yet, and those that
   * Airflow can read back.
   */
  readonly references: number;
  readonly unlooked: Unlooked;
  readonly unowned: Unowned;
  readonly inForce: number;
  /** Values whose stored size alone is known. */
  readonly inexact: number;
  /** Oversize values whose writer nobody has asked for yet: a worker, the server, or a task that is not in Python. */
  readonly unattributed: number;
  /** Oversize values of tasks that are not in Python. */
  readonly foreign: number;
  /** Oversize values of workers that have put such values into object storage since, and kept none. */
  readonly past: number;
  /**
   * Bypassed values well after the latest reference, from known workers whose pool may have put values. Then all
   * bypassed values up to that reference.
   */
  readonly bypassedSince: { readonly rows: number; readonly before: number };
  /**
   * Workers that kept large values and put others into object storage, so that they may or may not lack the backend.
   */
  readonly doubtful: readonly Doubtful[];
  /** The largest oversize value; 0: there is none. */
  readonly largestOversize: number;
  /** Values that went past object storage and references that are as configured, for each worker. */
  readonly placed: readonly Placed[];
  /** The base paths that hold the most references of rows to their own objects. */
  readonly paths: readonly { readonly path: string; readonly rows: number }[];
  /** The prefixes of references that are not as configured, and the prefixes of doubtful references. */
  readonly mismatchedPrefixes: readonly string[];
  readonly mismatchedBases: readonly Pick<Reference, 'bucket' | 'connection'>[];
  readonly doubtfulPrefixes: readonly string[];
  /** Objects that are not compressed, and values of tasks. Their sizes show the threshold in force. */
  readonly objects: { readonly count: number; readonly smallest: number };
  readonly values: { readonly count: number; readonly largest: number };
  readonly times: SurveyTimes;
}

/** Moments that distinguish a change of settings from two settings at once, epoch ms; null: there is no such row. */
export interface SurveyTimes {
  readonly latestReference: number | null;
  /** Values of tasks that are as large as the smallest object and were written after the latest reference. */
  readonly keptSince: number;
  /** The first value of a task in the database that is as large as the smallest object. */
  readonly firstKept: number | null;
  /** The latest object that is smaller than the threshold. */
  readonly latestSmall: number | null;
  /**
   * The first reference that is as configured; the latest such reference whose object is not known to be gone; the
   * latest reference that is not as configured.
   */
  readonly firstInForce: number | null;
  readonly latestWritten: number | null;
  readonly latestMismatched: number | null;
}

export interface SurveyOptions {
  readonly windowMs: number;
  readonly oversize: number;
  /** Null: the threshold is not known. */
  readonly threshold: number | null;
  readonly standing: StandingRule;
  /** Whether the role may not read whose rows those of `xcom_v1` are. */
  readonly ownersUnread: boolean;
}

/** The findings of earlier surveys for each chunk. With new ones the survey looks at everything. */
export interface SurveyLooks {
  readonly bases: BaseLooks;
  readonly tallies: Looks<RowChunk, Tally>;
  readonly histories: HistoryLooks;
  readonly values: Looks<Tally, JudgedValues>;
}

export async function survey(ledger: Ledger, options: SurveyOptions, looks: SurveyLooks): Promise<Survey> {
  const store = ledger.rows();
  const pace = createPace();
  const gathering = createGathering();
  const bases = await basesOf(ledger, { ...options, looks: looks.bases });
  const measures = measuresOf({ ...options, bases });
  const tallies: Tally[] = [];
  for (const chunk of store.chunks) {
    const tally = looks.tallies.at(
      chunk,
      () => tallyOf(chunk, measures, { store, gathering }),
      (last) => groundsOf(chunk, last, measures),
    );
    tallies.push(tally);
    await pace.rest();
  }
  const offloading = offloadingOf(tallies);
  const histories = await historiesOf(store, tallies, { bases, looks: looks.histories, pace });
  const workers = judgeWorkers(histories);
  const judging = { measures, offloading, workers };
  const values: JudgedValues[] = [];
  for (const tally of tallies) {
    if (judged.needsNoJudging(tally, judging)) continue;
    const ofChunk = looks.values.at(
      tally,
      () => judged.judgeValues(tally, judging, gathering),
      () => judged.groundsOf(tally, judging),
    );
    values.push(ofChunk);
    await pace.rest();
  }
  const leaks = leaksOf(tallies, { measures, gathering });

  const parts = [...tallies.map(({ kinds }) => kinds), ...values.map(({ kinds }) => kinds), leaks.kinds];
  const told = {} as Record<Kind, Evidence>;
  for (const kind of KINDS) {
    told[kind] = tell(
      ledger,
      parts.flatMap((kinds) => kinds.get(kind) ?? []),
    );
    await pace.rest();
  }
  const { rows, bytes, broken, counts, least, most } = sumOf(tallies);
  rows.db += leaks.own;
  rows.s3 += leaks.leaked + leaks.past;
  const latestPuts = latestPutsOf(tallies);
  const sum = (figure: (of: JudgedValues) => number) => values.reduce((all, one) => all + figure(one), 0);
  const unlooked = unlookedTogether(tallies.map((tally) => tally.unlooked));
  const lookedAt = counts.references === 0 || counts.unverified < counts.references;
  return {
    window: {
      seconds: options.windowMs / 1000,
      rows,
      // Bytes in S3 are unknown as long as no reference has been looked up.
      bytes: { ...bytes, s3: lookedAt ? bytes.s3 : null },
      oversizeRows: told.oversize.rows,
      oversizeBytes: counts.oversizeBytes,
      broken: {
        ...broken,
        leaked: leaks.leaked,
        missing: lookedAt ? broken.missing : null,
        empty: lookedAt ? broken.empty : null,
        unreadable: lookedAt ? broken.unreadable : null,
      },
      ...orphans(ledger),
    },
    rows: told,
    count: rows.db + rows.s3 + rows.other,
    references: counts.references,
    unlooked,
    unowned: unownedTogether([...tallies.map((tally) => tally.unowned), leaks.unowned]),
    inOtherStore: counts.inOtherStore,
    inForce: counts.inForce,
    inexact: counts.inexact,
    unattributed: sum(({ unattributed }) => unattributed),
    foreign: counts.foreign,
    past: sum(({ past }) => past),
    bypassedSince: {
      rows: sum(({ bypassedSince }) => bypassedSince),
      before: sum(({ bypassedBefore }) => bypassedBefore),
    },
    doubtful: workers.doubtful,
    largestOversize: Math.max(0, most.oversize),
    placed: [
      ...placedOf(ledger, joined(values.map(({ bypassed }) => bypassed)), (worker, rows) => {
        const kept = histories.byWorker.get(worker)?.own.kept ?? null;
        return { bypassed: rows, offloaded: 0, kept, latestPut: null };
      }),
      ...placedOf(ledger, joined(tallies.map(({ offloaded }) => offloaded)), (worker, rows) => {
        const latestPut = latestPuts.get(worker) ?? null;
        return { bypassed: 0, offloaded: rows, kept: null, latestPut };
      }),
    ],
    paths: pathsOf(ledger, joined(tallies.map(({ based }) => based))),
    mismatchedPrefixes: prefixesOf(
      store,
      tallies.flatMap(({ mismatched }) => [...mismatched]),
    ),
    mismatchedBases: tallies.flatMap(({ mismatched }) => [...mismatched].map((base) => store.bases.at(base))),
    doubtfulPrefixes: prefixesOf(
      store,
      tallies.flatMap(({ doubtful }) => [...doubtful]),
    ),
    objects: { count: counts.objects, smallest: least.object },
    values: { count: counts.values, largest: Math.max(0, most.value) },
    times: {
      latestReference: offloading.latest,
      keptSince: sum(({ keptSince }) => keptSince),
      firstKept: finite(Math.min(...values.map(({ firstKept }) => firstKept))),
      latestSmall: finite(most.smallAt),
      firstInForce: finite(least.inForceAt),
      latestWritten: finite(most.writtenAt),
      latestMismatched: finite(most.mismatchedAt),
    },
  };
}

/**
 * Counts rows that hold the path of another row. A row of a try that no task reads, or perhaps none, counts as past. Also
 * counts rows whose path is a value of their own.
 */
function leaksOf(
  tallies: readonly Tally[],
  { measures, gathering }: { readonly measures: Measures; readonly gathering: Gathering },
): Readonly<Record<'leaked' | 'past' | 'own', number>> & {
  readonly kinds: GatheredByKind;
  readonly unowned: Unowned;
} {
  const { bases, ownersUnread } = measures;
  const unowned = gatherUnowned(ownersUnread);
  let leaked = 0;
  let past = 0;
  let own = 0;
  for (const { chunk, leaked: slots } of tallies)
    for (const slot of slots) {
      const flags = flagsAt(chunk, indexInChunk(slot));
      if (!bases.isLeaked(slot)) own += 1;
      else if (unowned.certain(bases.brokenReason(slot), flags) === null) past += 1;
      else {
        leaked += 1;
        gathering.add('leaked', chunk, indexInChunk(slot));
      }
    }
  return { kinds: gathering.take(), leaked, past, own, unowned: unowned.tell() };
}

function latestPutsOf(tallies: readonly Tally[]): ReadonlyMap<number, number> {
  const latest = new Map<number, number>();
  for (const { writers } of tallies)
    for (const [worker, at] of writers) latest.set(worker, Math.max(latest.get(worker) ?? 0, at));
  return latest;
}

function joined(parts: readonly Counts[]): Histogram {
  const histogram = createHistogram();
  for (const counts of parts) histogram.join(counts);
  return histogram;
}

function finite(moment: number): number | null {
  return Number.isFinite(moment) ? moment : null;
}
