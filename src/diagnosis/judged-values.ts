import type { Counts } from '../lib/histogram.ts';
import { createHistogram } from '../lib/histogram.ts';
import { CHUNK_ROWS } from '../window/columns.ts';
import * as is from '../window/flags.ts';
import { flagsAt, leastBytesAt, timeAt, workerAt } from '../window/row-fields.ts';
import type { GatheredByKind, Gathering } from './gathering.ts';
import type { JudgedWorkers } from './judged-workers.ts';
import type { Measures } from './measures.ts';
import type { Offloading } from './offloading.ts';
import type { Tally } from './tally.ts';
import { reach, SLACK_MS } from './worker-histories.ts';

/** The verdict on the values that tasks kept in a part of the database, in view of the whole window. */
export interface JudgedValues {
  readonly kinds: GatheredByKind;
  readonly bypassed: Counts;
  /** Oversize values whose writer nobody has asked for yet. */
  readonly unattributed: number;
  /** Oversize values of workers that have put such values into object storage since, and kept none. */
  readonly past: number;
  /**
   * Bypassed values well after the latest reference, from known workers whose pool may have put values. Then all
   * bypassed values up to that reference.
   */
  readonly bypassedSince: number;
  readonly bypassedBefore: number;
  /**
   * Values that are as large as the smallest object: when the first was written, epoch ms, and how many came after the
   * latest reference.
   */
  readonly firstKept: number;
  readonly keptSince: number;
}

/** Everything that values are judged by. */
export interface Judging {
  readonly measures: Measures;
  readonly offloading: Offloading;
  readonly workers: JudgedWorkers;
}

/** Whether no value of this part is large enough for any verdict. */
export function needsNoJudging({ most }: Tally, { measures, offloading }: Judging): boolean {
  const { oversize, threshold } = measures;
  const least = Math.min(oversize, offloading.smallest, Number.isNaN(threshold) ? Infinity : threshold);
  return most.kept < least;
}

/** Everything besides the tally that the verdict on the values of a part rests on, as text. */
export function groundsOf(tally: Tally, { offloading, workers }: Judging): string {
  const { latest, smallest, smallestWithin } = offloading;
  const standings = Array.from(tally.kept.keys(), (worker) => [
    worker,
    workers.standingOf(worker),
    workers.mayHavePut(worker),
  ]);
  const { least, most } = tally;
  return [
    reach(tally, latest ?? Infinity),
    most.value < smallest ? Infinity : smallest,
    smallestWithin(least.at, most.at),
    ...standings,
  ].join(' ');
}

export function judgeValues(
  { chunk }: Tally,
  { measures, offloading, workers }: Judging,
  gathering: Gathering,
): JudgedValues {
  const { oversize, threshold, large } = measures;
  const latestReference = offloading.latest ?? Infinity;
  const bypassed = createHistogram();
  let unattributed = 0;
  let past = 0;
  let bypassedSince = 0;
  let bypassedBefore = 0;
  let firstKept = Infinity;
  let keptSince = 0;
  for (let index = 0; index < CHUNK_ROWS; index += 1) {
    const flags = flagsAt(chunk, index);
    if ((flags & is.STORAGE_MASK) !== is.DB || (flags & is.BY_DESIGN_MASK) !== 0) continue;
    const least = leastBytesAt(chunk, index);
    const worker = workerAt(chunk, index);
    const at = timeAt(chunk, index);
    const standing = least < large ? 'bypassing' : workers.standingOf(worker);
    if ((flags & is.INEXACT) === 0) {
      if (least >= threshold && standing !== 'over') gathering.add('aboveThreshold', chunk, index);
      if (least >= offloading.smallest) {
        firstKept = Math.min(firstKept, at);
        if (at > latestReference) keptSince += 1;
      }
    }
    if (least < oversize) continue;
    if (standing === 'over') {
      past += 1;
      continue;
    }
    gathering.add('fallback', chunk, index);
    if (worker === 0) unattributed += 1;
    if (standing === 'threshold') gathering.add('otherThreshold', chunk, index);
    if (standing !== 'bypassing' || least < threshold || least < offloading.smallestBy(at)) continue;
    gathering.add('bypassed', chunk, index);
    bypassed.add(worker);
    if (at <= latestReference) bypassedBefore += 1;
    else if (worker !== 0 && at > latestReference + SLACK_MS && workers.mayHavePut(worker))
      bypassedSince += 1;
  }
  return {
    kinds: gathering.take(),
    bypassed: bypassed.take(),
    unattributed,
    past,
    bypassedSince,
    bypassedBefore,
    firstKept,
    keptSince,
  };
}
