import { sizeWords } from '../lib/format.ts';
import type { Config } from '../settings/config.ts';
import { isTurned } from './chance.ts';
import type { Evidence } from './evidence.ts';
import type { Doubtful } from './judged-workers.ts';
import { counted, isRaised, momentOf, say, takenBack, undecided } from './problem.ts';
import type { Ruling } from './problem.ts';
import { clusterOf } from './shared-hosts.ts';
import type { Cluster } from './shared-hosts.ts';
import { allOf, FEW } from './standing.ts';
import type { Survey } from './survey.ts';
import { clearUnlessInVain } from './unlooked.ts';
import { isOther, keptByDefault, kindOf, thresholdDisabled } from './told-off.ts';
import { clusterWords, DIMENSIONS, sumOf } from './worker-pools.ts';

export type FallbackCode = 'backend_inactive' | 'worker_bypass' | 'threshold_mismatch' | 'oversize_in_db';

/** A value in the database of so many bytes or more is large, whatever the threshold is. */
export const LARGE_BYTES = 1_048_576;

interface Settings extends Pick<Config, 'xcom' | 'shard'> {
  /** Whether the latest canary of some pool was stored in object storage and read back. */
  readonly canaryWorks: boolean;
  /** Epoch ms, by the clock of the database. */
  readonly now: number;
}

/**
 * Why large values are in the database. Of several explanations with one cause only the most telling is said.
 * Explanations with another cause are said as well.
 */
export function explainFallback(survey: Survey, settings: Settings): Record<FallbackCode, Ruling> {
  const { xcom } = settings;
  const mismatch = thresholdMismatch(survey, settings);
  const inactive = backendInactive(survey, settings);
  const isDisabled = isRaised(thresholdDisabled(xcom, survey));
  const bypass = isDisabled || isRaised(inactive) ? 'clear' : workerBypass(survey, xcom);
  const isExplained =
    isRaised(inactive) ||
    isRaised(bypass) ||
    (isDisabled && xcom.backend !== null) ||
    // The thresholds that the sizes tell are above all values that are large here.
    (isRaised(mismatch) && (isSeparable(survey) || isOfOtherThresholds(survey)));
  return {
    backend_inactive: inactive,
    worker_bypass: bypass,
    threshold_mismatch: mismatch,
    oversize_in_db: isExplained ? 'clear' : oversizeInDb(survey, xcom),
  };
}

function isOfOtherThresholds({ rows }: Survey): boolean {
  return rows.otherThreshold.rows === rows.fallback.rows;
}

function oversizeInDb(survey: Survey, xcom: Config['xcom']): Ruling {
  const { oversize, fallback } = survey.rows;
  if (oversize.rows === survey.past) return 'clear';
  if (survey.references === 0 && isOther(kindOf(xcom)) && isSmall(survey, xcom))
    return undecided(`the backend is ${xcom.backend ?? ''}: whether it goes by the threshold is not known`);
  const figures = figuresOf(survey, xcom);
  if (fallback.rows === 0)
    return say(
      `${figures}; what the REST API, the server and other languages write never goes to object storage.`,
      oversize,
    );
  const { inForce, bypassedSince, doubtful, times, placed } = survey;
  const { latestReference } = times;
  const since =
    latestReference === null || bypassedSince.rows < FEW ? '' : `, none since ${momentOf(latestReference)}`;
  const doubt = doubtful.find(({ history }) => history.kept.rows >= FEW);
  const { operators } = clusterOf(placed);
  const there = operators === null ? '' : ` ${operators.words}.`;
  return say(
    `${figures}; ${thresholdWords(xcom.threshold)}, and ${counted(inForce, 'reference')} in the window ${inForce === 1 ? 'is' : 'are'} as configured${since}.${there}${doubt === undefined ? '' : ` ${doubtWords(doubt)}`}`,
    oversize,
  );
}

/** Whether these values count as large only because of the threshold. */
function isSmall({ largestOversize }: Survey, { oversize, threshold }: Config['xcom']): boolean {
  return oversize === threshold && largestOversize < LARGE_BYTES;
}

/** One shard of several does not know whether the dags of the other shards have references. */
function backendInactive(survey: Survey, { xcom, shard, canaryWorks }: Settings): Ruling {
  const { fallback: large } = survey.rows;
  const hasStopped = isStopped(survey);
  if (!isMeant(xcom)) return 'clear';
  const kind = kindOf(xcom);
  if (kind === 'database') return keptByDefault(survey, xcom);
  if (survey.references > 0 && !hasStopped) return 'clear';
  if (isOther(kind) && !hasStopped)
    return undecided(
      `the backend is ${xcom.backend ?? ''}: whether it is to use object storage is not known`,
    );
  // The backend put values on disk as it was told to: the problem local_path says whether that is right.
  if (large.rows === 0)
    return canaryWorks || survey.rows.local.rows > 0
      ? 'clear'
      : undecided(
          'no worker wrote a value that is large enough to show whether it would go to object storage',
        );
  if (shard.count > 1) return undecided('this is one shard of several: those of the others are not known');
  const { bypassedSince, times, unattributed } = survey;
  if (unattributed === large.rows) return undecided(unattributedWords(survey));
  return say(
    hasStopped
      ? `${figuresOf(survey, xcom)}; ${bypassedSince.rows} of them stayed there since ${momentOf(times.latestReference ?? 0)}, and no reference has been written since then.`
      : `${figuresOf(survey, xcom)}, and not one reference is in the window.`,
    large,
  );
}

/**
 * Whether references stopped. There were some until a moment, and it is no chance that every value since then stayed in
 * the database. The first value since then shows nothing yet. If all of these values come from a pool that stands out,
 * the other pools may only be idle. A pool that is a host does not count here: hosts stand out when they are replaced.
 */
function isStopped({ references, bypassedSince, placed }: Survey): boolean {
  const { rows, before } = bypassedSince;
  if (!isTurned({ turned: references, others: before, since: rows - 1 })) return false;
  const { named, telling, operators } = clusterOf(placed);
  if (operators !== null) return sumOf(telling).bypassed > 0;
  return (
    named.length === 0 || named[0]?.label === 'hostname' || sumOf(placed).bypassed > sumOf(named).bypassed
  );
}

/** References show that the backend is in use: no setting has to be known for that. */
function workerBypass(survey: Survey, xcom: Config['xcom']): Ruling {
  const { bypassed, fallback } = survey.rows;
  if (bypassed.rows === 0) {
    const isUnmeasured = survey.objects.count === 0 && survey.references > 0;
    return xcom.threshold === null && fallback.rows > 0 && isUnmeasured
      ? undecided('neither the threshold nor the size of an object is known')
      : 'clear';
  }
  const { named, telling, operators } = clusterOf(survey.placed);
  const { unattributed } = survey;
  if (operators !== null) return ofOperators(operators);
  if (named.length === 0) return unattributed > 0 ? undecided(unattributedWords(survey)) : 'clear';
  const others = unattributed === 0 ? '' : `; ${unattributedWords(survey)}`;
  return say(`${clusterWords(telling, named)}${others}. ${figuresOf(survey, xcom)}.`, {
    where: [
      ...named.map(({ label, value, bypassed: rows }) => ({ label, value, rows })),
      ...bypassed.where.filter((place) => !named.some((pool) => pool.label === place.label)),
    ],
    findings: bypassed.findings,
    written: bypassed.written,
  });
}

/** A setting that was lost leaves the same rows, but no reference on the host after the first value that was kept. */
function ofOperators({ words, putSince }: NonNullable<Cluster['operators']>): Ruling {
  const beside = `${words}; the same hosts put values of other operators into object storage`;
  if (putSince === null)
    return undecided(`${beside} before, and none since: whether they still have the setting is not known`);
  return takenBack(`${beside}${putSince === 'last' ? ' since' : ''}, so that they have the setting`);
}

/** There may be more such values than one look asks about. */
function unattributedWords({ unattributed }: Survey): string {
  return `who wrote ${counted(unattributed, 'more large value')} is not known yet`;
}

function figuresOf({ rows, foreign, past, largestOversize }: Survey, { oversize }: Config['xcom']): string {
  const served = rows.oversize.rows - rows.fallback.rows - foreign - past;
  const others = [
    ...(served === 0 ? [] : [`${served} written by the REST API or the server`]),
    ...(foreign === 0 ? [] : [`${foreign} by tasks that are not in Python`]),
    ...(past === 0 ? [] : [`${past} by workers that have put such values into object storage since`]),
  ];
  const byDesign = others.length === 0 ? '' : ` (${others.join(', ')})`;
  return `The database holds ${counted(rows.oversize.rows, 'value')} of at least ${sizeWords(oversize)}, the largest of ${sizeWords(largestOversize)}${byDesign}`;
}

function thresholdWords(threshold: number | null): string {
  return threshold === null ? 'no threshold is known' : `the threshold is ${sizeWords(threshold)}`;
}

/** Describes workers that may or may not lack the backend, by their rows. */
function doubtWords({ standing, worker, history }: Doubtful): string {
  const { kept, earlier, between, since } = history;
  const where = placeOf(worker);
  if (standing === 'threshold') return `${thresholdThere(where, history)}.`;
  const beside = allOf(earlier) + allOf(between);
  const others = beside === 0 ? 'no reference' : counted(beside, 'reference');
  const stayed = `On ${where} ${kept.rows} stayed until ${momentOf(kept.last)}`;
  return allOf(since) === 0
    ? `${stayed} beside ${others}: another threshold is in force there, or only some of these workers have the setting.`
    : `${stayed} beside ${others}, and ${counted(allOf(since), 'reference')} came since: the setting was changed there, or only some of these workers have it.`;
}

function thresholdThere(where: string, { kept, smallest }: Doubtful['history']): string {
  return `On ${where} the largest value in the database has ${sizeWords(kept.largest)} and the smallest object ${sizeWords(smallest)}: the workers there use a threshold between the two`;
}

function placeOf(worker: Doubtful['worker']): string {
  const label = DIMENSIONS.find((one) => worker[one] !== null && worker[one] !== '');
  return label === undefined ? 'some workers' : `${label} ${JSON.stringify(worker[label])}`;
}

/** Whether object storage is meant to be used: a path and a threshold are given. */
function isMeant({ paths, threshold }: Config['xcom']): boolean {
  return paths !== null && paths.length > 0 && threshold !== null && threshold >= 0;
}

/**
 * The sizes on both sides give the threshold in force: with one threshold everywhere, the largest value in the
 * database is smaller than the smallest object. Only uncompressed objects have the size that Airflow measured.
 */
function thresholdMismatch(survey: Survey, { xcom: { threshold }, now }: Settings): Ruling {
  if (threshold === null || threshold < 0) return 'clear';
  const { belowThreshold: small, aboveThreshold: large } = survey.rows;
  const { smallest } = survey.objects;
  const { largest } = survey.values;
  if (isSeparable(survey) && small.rows < FEW && large.rows >= FEW && survey.unattributed > 0)
    return undecided(unattributedWords(survey));
  if (isSeparable(survey) && isMany(small, large))
    return say(
      `The threshold is ${sizeWords(threshold)}, but the largest value in the database has ${sizeWords(largest)} and the smallest object ${sizeWords(smallest)}: the workers use a threshold between the two.`,
      small.rows > 0 ? small : large,
    );
  const there = survey.doubtful.find(({ standing }) => standing === 'threshold');
  if (there !== undefined)
    return say(
      `The threshold is ${sizeWords(threshold)}. ${thresholdThere(placeOf(there.worker), there.history)}.`,
      survey.rows.otherThreshold,
    );
  if (small.rows < FEW || isPast(survey.times)) return clearUnlessInVain(survey.unlooked, now);
  return say(
    `${small.rows} objects are smaller than the threshold of ${sizeWords(threshold)}, the smallest has ${sizeWords(smallest)}: some workers use a lower one${untilWords(survey.times)}.`,
    small,
  );
}

function isSeparable({ objects, values }: Survey): boolean {
  return values.largest < objects.smallest && objects.count >= FEW && values.count >= FEW;
}

function isMany(small: Evidence, large: Evidence): boolean {
  return small.rows >= FEW || large.rows >= FEW;
}

/** The threshold may have been raised since. Then the problem is over. */
function untilWords({ latestSmall }: Survey['times']): string {
  return latestSmall === null ? '' : `, or did until ${momentOf(latestSmall)}`;
}

/** Whether the threshold was raised: no small object was written after a value as large had stayed in the database. */
function isPast({ firstKept, latestSmall }: Survey['times']): boolean {
  return firstKept !== null && latestSmall !== null && latestSmall < firstKept;
}
