import { isForeignTask } from '../airflow/classify.ts';
import type { StandingRule } from '../airflow/xcom-path.ts';
import { createHistogram } from '../lib/histogram.ts';
import { createPace } from '../lib/pace.ts';
import { basesOf } from '../window/bases.ts';
import { CHUNK_ROWS } from '../window/columns.ts';
import * as is from '../window/flags.ts';
import type { Ledger } from '../window/ledger.ts';
import { baseAt, flagsAt, leastBytesAt, sizeAt, timeAt, workerAt } from '../window/row-fields.ts';
import { pathsOf, prefixesOf } from './base-paths.ts';
import type { Evidence, Gathering } from './evidence.ts';
import { gather } from './evidence.ts';
import { KINDS } from './evidence-kinds.ts';
import type { Kind } from './evidence-kinds.ts';
import type { Doubtful } from './judged-workers.ts';
import { judgeWorkers } from './judged-workers.ts';
import { offloadingOf } from './offloading.ts';
import type { Unlooked } from './unlooked.ts';
import { gatherUnlooked } from './unlooked.ts';
import type { WindowTotals } from './window-totals.ts';
import { missingRows, orphans } from './window-totals.ts';
import { SLACK_MS } from './worker-histories.ts';
import { placedOf } from './worker-pools.ts';
import type { Placed } from './worker-pools.ts';

/** The outcome of one pass over the window. */
export interface Survey {
  readonly window: WindowTotals;
  readonly rows: Readonly<Record<Kind, Evidence>>;
  /** All rows of the window. */
  readonly count: number;
  /** References of their own rows, those that nobody has looked up yet, and those that Airflow can read back. */
  readonly references: number;
  readonly unlooked: Unlooked;
  readonly inForce: number;
  /** Values of which only the stored size is known. */
  readonly inexact: number;
  /** Oversize values of which nobody has asked yet who wrote them: a worker, the server, or a task that is not in Python. */
  readonly unattributed: number;
  /** Oversize values of tasks that are not in Python. */
  readonly foreign: number;
  /** Oversize values of workers that have put such values into object storage since, and kept none. */
  readonly past: number;
  /** The bypassed values since the latest reference, of known workers that put others there before; and all those of before. */
  readonly bypassedSince: { readonly rows: number; readonly before: number };
  /** Workers that kept large values and put others into object storage, where it is not plain that they lack it. */
  readonly doubtful: readonly Doubtful[];
  /** The largest of the values that are oversize; 0: there is none. */
  readonly largestOversize: number;
  /** Values that went past object storage, and references that are as configured, worker by worker. */
  readonly placed: readonly Placed[];
  /** The base paths under which most references of their own rows lie. */
  readonly paths: readonly { readonly path: string; readonly rows: number }[];
  /** The prefixes of references that are not as configured, and of those that are doubtful. */
  readonly mismatchedPrefixes: readonly string[];
  readonly doubtfulPrefixes: readonly string[];
  /** Objects that are not compressed, and values of tasks: their sizes tell the threshold in force. */
  readonly objects: { readonly count: number; readonly smallest: number };
  readonly values: { readonly count: number; readonly largest: number };
  readonly times: SurveyTimes;
}

/** Moments that tell a change of settings from two settings at once, epoch ms; null: there is no such row. */
export interface SurveyTimes {
  readonly latestReference: number | null;
  /** Values of tasks that are as large as the smallest object and were written after the latest reference. */
  readonly keptSince: number;
  /** The first value of a task in the database that is as large as the smallest object. */
  readonly firstKept: number | null;
  /** The latest object that is smaller than the threshold. */
  readonly latestSmall: number | null;
  /** The first reference that is as configured, the latest of those whose object is there, and the latest that is not. */
  readonly firstInForce: number | null;
  readonly latestPresent: number | null;
  readonly latestMismatched: number | null;
}

export interface SurveyOptions {
  readonly windowMs: number;
  readonly oversize: number;
  /** Null: it is not known. */
  readonly threshold: number | null;
  readonly standing: StandingRule;
}

export async function survey(ledger: Ledger, options: SurveyOptions): Promise<Survey> {
  const { oversize } = options;
  /** No size is above or below what is no threshold. */
  const threshold = options.threshold === null || options.threshold < 0 ? Number.NaN : options.threshold;
  const store = ledger.rows();
  const pace = createPace();
  const kinds = {} as Record<Kind, Gathering>;
  for (const kind of KINDS) kinds[kind] = gather(ledger);
  const bypassed = createHistogram();
  const offloaded = createHistogram();
  const based = createHistogram();
  const bases = await basesOf(ledger, options);
  const foreign = new Set<number>();
  for (const [id, , { operator }] of store.workers.entries()) if (isForeignTask(operator)) foreign.add(id);
  const offloading = await offloadingOf(store, {
    bases,
    threshold: options.threshold,
    oversize,
    pace,
  });
  const latestReference = offloading.latest ?? Infinity;
  const rows = { db: 0, s3: 0, other: 0 };
  const bytes = { db: 0, s3: 0, other: 0 };
  const totals = {
    references: 0,
    inForce: 0,
    inexact: 0,
    oversizeBytes: 0,
    largest: 0,
    unattributed: 0,
    foreign: 0,
    past: 0,
  };
  const objects = { count: 0, smallest: Infinity };
  const values = { count: 0, largest: 0 };
  const mismatched = new Set<number>();
  const doubtful = new Set<number>();
  const broken = { missing: 0, empty: 0, unreadable: 0, path_mismatch: 0, leaked: 0 };
  const unlooked = gatherUnlooked();
  const first = { kept: Infinity, inForce: Infinity };
  const latest = { small: -Infinity, present: -Infinity, mismatched: -Infinity };
  let keptSince = 0;
  const workers = judgeWorkers(offloading.histories);
  const bypassedSince = { rows: 0, before: 0 };

  for (const chunk of store.chunks) {
    for (let index = 0; index < CHUNK_ROWS; index += 1) {
      const flags = flagsAt(chunk, index);
      if (flags === 0) continue;
      const size = sizeAt(chunk, index);
      switch (flags & is.STORAGE_MASK) {
        case is.DB: {
          const least = leastBytesAt(chunk, index);
          const worker = workerAt(chunk, index);
          const standing = least < offloading.large ? 'bypassing' : workers.standingOf(worker);
          rows.db += 1;
          bytes.db += size;
          if ((flags & is.INEXACT) !== 0) totals.inexact += 1;
          else if ((flags & is.BY_DESIGN_MASK) === 0) {
            values.count += 1;
            values.largest = Math.max(values.largest, least);
            if (least >= threshold && standing !== 'over' && is.isOversizeRow(flags, least, threshold))
              kinds.aboveThreshold.add(chunk, index);
            if (least >= offloading.smallest) {
              first.kept = Math.min(first.kept, timeAt(chunk, index));
              if (timeAt(chunk, index) > latestReference) keptSince += 1;
            }
          }
          if (!is.isOversizeRow(flags, least, oversize)) break;
          kinds.oversize.add(chunk, index);
          totals.oversizeBytes += size;
          totals.largest = Math.max(totals.largest, size);
          if ((flags & is.BY_DESIGN_MASK) !== 0) {
            if (foreign.has(worker)) totals.foreign += 1;
            break;
          }
          if (standing === 'over') {
            totals.past += 1;
            break;
          }
          kinds.fallback.add(chunk, index);
          if (worker === 0) totals.unattributed += 1;
          if (standing === 'threshold') kinds.otherThreshold.add(chunk, index);
          const at = timeAt(chunk, index);
          if (standing !== 'bypassing' || least < threshold || least < offloading.smallestBy(at)) break;
          kinds.bypassed.add(chunk, index);
          bypassed.add(worker);
          if (at <= latestReference) bypassedSince.before += 1;
          else if (worker !== 0 && at > latestReference + SLACK_MS && workers.mayHavePut(worker))
            bypassedSince.rows += 1;
          break;
        }
        case is.S3: {
          const own = is.isReference(flags);
          const base = baseAt(chunk, index);
          const isOpen = own && bases.isDoubtful(base);
          // The backend would have kept a value that is as small.
          const isSmall = is.hasObject(flags) && bases.isUncompressed(base) && size < threshold;
          // It is a value after all, of a size that is not kept.
          if (own ? isOpen && isSmall : bases.brokenReason(chunk.first + index) === null) {
            rows.db += 1;
            break;
          }
          rows.s3 += 1;
          if (isOpen) {
            kinds.doubtful.add(chunk, index);
            doubtful.add(base);
            break;
          }
          const asConfigured = own && bases.isInForce(base);
          const reason = is.brokenReason(flags, asConfigured);
          if (reason !== null) {
            const kind = reason === 'missing' && !bases.wasSeen(base) ? 'unseen' : reason;
            if (kind !== 'path_mismatch') kinds[kind].add(chunk, index);
            broken[reason] += 1;
          }
          if (!own) break;
          totals.references += 1;
          based.add(base);
          if (is.isUnverified(flags)) unlooked.add(flags, timeAt(chunk, index));
          if (!Number.isNaN(size)) bytes.s3 += size;
          if ((flags & is.SKIP_DECISION) !== 0) kinds.skips.add(chunk, index);
          if (asConfigured) {
            totals.inForce += 1;
            offloaded.add(workerAt(chunk, index));
            first.inForce = Math.min(first.inForce, timeAt(chunk, index));
            if (is.hasObject(flags)) latest.present = Math.max(latest.present, timeAt(chunk, index));
          } else if (reason !== null) {
            kinds.path_mismatch.add(chunk, index);
            mismatched.add(base);
            latest.mismatched = Math.max(latest.mismatched, timeAt(chunk, index));
          }
          if (is.hasObject(flags) && bases.isUncompressed(base)) {
            objects.count += 1;
            objects.smallest = Math.min(objects.smallest, size);
            if (size < threshold) {
              kinds.belowThreshold.add(chunk, index);
              latest.small = Math.max(latest.small, timeAt(chunk, index));
            }
          }
          break;
        }
        default:
          rows.other += 1;
          bytes.other += size;
          kinds[(flags & is.LOCAL) === 0 ? 'third_party' : 'local'].add(chunk, index);
      }
    }
    await pace.rest();
  }

  const told = {} as Record<Kind, Evidence>;
  for (const kind of KINDS) {
    told[kind] = kinds[kind].tell();
    await pace.rest();
  }
  const { waiting, inVain } = unlooked.tell();
  const lookedAt = totals.references === 0 || waiting.rows + inVain.rows < totals.references;
  return {
    window: {
      seconds: options.windowMs / 1000,
      rows,
      // Bytes in S3 are unknown as long as no reference has been looked up.
      bytes: { ...bytes, s3: lookedAt ? bytes.s3 : null },
      oversizeRows: kinds.oversize.rows(),
      oversizeBytes: totals.oversizeBytes,
      broken: {
        ...broken,
        missing: lookedAt ? missingRows(told) : null,
        empty: lookedAt ? broken.empty : null,
        unreadable: lookedAt ? broken.unreadable : null,
      },
      ...orphans(ledger),
    },
    rows: told,
    count: rows.db + rows.s3 + rows.other,
    references: totals.references,
    unlooked: { waiting, inVain },
    inForce: totals.inForce,
    inexact: totals.inexact,
    unattributed: totals.unattributed,
    foreign: totals.foreign,
    past: totals.past,
    bypassedSince,
    doubtful: workers.doubtful,
    largestOversize: totals.largest,
    placed: [...placedOf(ledger, bypassed, 'bypassed'), ...placedOf(ledger, offloaded, 'offloaded')],
    paths: pathsOf(ledger, based),
    mismatchedPrefixes: prefixesOf(store, mismatched),
    doubtfulPrefixes: prefixesOf(store, doubtful),
    objects,
    values,
    times: {
      latestReference: offloading.latest,
      keptSince,
      firstKept: finite(first.kept),
      latestSmall: finite(latest.small),
      firstInForce: finite(first.inForce),
      latestPresent: finite(latest.present),
      latestMismatched: finite(latest.mismatched),
    },
  };
}

function finite(moment: number): number | null {
  return Number.isFinite(moment) ? moment : null;
}
