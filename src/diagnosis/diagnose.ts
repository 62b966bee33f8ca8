import { codecOf } from '../airflow/compression.ts';
import type { Shape, UnknownShape } from '../airflow/shape.ts';
import type { CanaryVerdict } from '../canary/verdict.ts';
import { isReadBack } from '../canary/verdict.ts';
import type { ProbeResult } from '../probe/bucket.ts';
import { falseHead } from '../probe/bucket.ts';
import { storageInForce, toldSettings } from '../settings/config.ts';
import type { Config } from '../settings/config.ts';
import { logsWords } from '../settings/logs.ts';
import { brokenObjects } from './broken-objects.ts';
import { explainCanary } from './canary.ts';
import { NO_EVIDENCE } from './evidence.ts';
import type { Evidence } from './evidence.ts';
import { explainFallback } from './fallback.ts';
import { fromProbe } from './from-probe.ts';
import { missingOf, triedBy } from './grounds.ts';
import type { Known } from './grounds.ts';
import { localPath, pathMismatch } from './misplaced.ts';
import { ofOneCause } from './one-cause.ts';
import { PROBLEMS, PROBLEM_CODES } from './problem-catalogue.ts';
import type { ProblemCode } from './problem-catalogue.ts';
import { sourceOf } from './problem-sources.ts';
import type { CodeFrom, Source } from './problem-sources.ts';
import { unlistableWords } from './window-totals.ts';
import { counted, isRaised, say, undecided as because } from './problem.ts';
import type { Problem, ProblemState, Reasons, Ruling } from './problem.ts';
import type { Survey } from './survey.ts';
import { thresholdDisabled } from './told-off.ts';
import { LATE_SECONDS } from './unlooked.ts';
import { unlessUnowned } from './unowned.ts';
import { latestWritten } from './written-since.ts';

/** Everything that the rules look at. */
export interface Observation {
  readonly config: Pick<Config, 'xcom' | 'shard' | 'logs' | 'tasksRun'>;
  /** Null: the database has not been read. `unsupported`: why its tables are no known shape. */
  readonly sampled: Sampled | UnknownShape | null;
  /** Null: no probe has ended yet. */
  readonly probe: ProbeResult | null;
}

/** How far the rows are behind those of the primary. The rows of a primary are not behind. */
export interface Standby {
  /** Null: the standby does not say. */
  readonly lagSeconds: number | null;
  /** Why nothing can be said from its rows; null: they are recent enough. */
  readonly doubt: string | null;
}

/** The outcome of a reading of the database and of the look at its references. */
export interface Sampled {
  readonly shape: Shape;
  readonly survey: Survey;
  /** The clock of the database, epoch ms. */
  readonly now: number;
  /** How the number of objects without a row grew lately. `unknown`: it was not counted twice yet, or not lately. */
  readonly orphanGrowth: { readonly from: number; readonly to: number } | 'none' | 'unknown';
  /** Share of the window that is measured and looked up, 0..1. */
  readonly coverage: number;
  /** Age of the oldest row that is not decided. */
  readonly lagSeconds: number;
  readonly unmeasured: number;
  readonly standby: Standby;
  /** Null: no canary has been seen. */
  readonly canary: CanaryVerdict | null;
  /** Whether it is known that there is no canary. */
  readonly isCanaryGone: boolean;
}

/** Says which problems there are. Pure: the same observation gives the same verdict. */
export function diagnose(observation: Observation): {
  readonly states: Record<ProblemCode, ProblemState>;
  readonly problems: Omit<Problem, 'since'>[];
  readonly undecided: Reasons;
  /** The undecided problems for which something speaks against what was said before. */
  readonly takenBack: readonly ProblemCode[];
} {
  const unseen = misseen(observation.probe);
  const each: Record<ProblemCode, Ruling> = {
    ...fromSettings(observation),
    ...probed(observation),
    ...fromDatabase(observation),
    ...unseen,
  };
  const verdicts = { ...each, ...ofOneCause(each, { ...observation, elsewhere: elsewhereOf(observation) }) };
  const known = knownOf(observation);
  const states = {} as Record<ProblemCode, ProblemState>;
  const problems: Omit<Problem, 'since'>[] = [];
  const undecided: Partial<Record<ProblemCode, string>> = {};
  const takenBack: ProblemCode[] = [];
  for (const code of PROBLEM_CODES) {
    const missing = missingOf(PROBLEMS[code].restsOn, known);
    // A false HEAD is why nothing was looked up, so that reason is told rather than the missing answers.
    const isUnseen = known.database === 'rows' && !known.objects && unseen[code] !== undefined;
    const verdict = missing.length > 0 && !isUnseen ? because(missing.join(', ')) : verdicts[code];
    states[code] = typeof verdict === 'string' ? verdict : isRaised(verdict) ? 'raised' : 'unknown';
    if (typeof verdict === 'string') continue;
    if (isRaised(verdict)) problems.push({ code, ...verdict });
    else {
      undecided[code] = verdict.undecided;
      if (verdict.takesBack) takenBack.push(code);
    }
  }
  return { states, problems, undecided, takenBack };
}

function knownOf({ config, sampled, probe }: Observation): Known {
  const isRead = sampled !== null && !('unsupported' in sampled);
  return {
    settings: toldSettings(config),
    tried: triedBy(probe),
    database: isRead ? 'rows' : sampled === null ? 'nothing' : 'tables',
    standby: isRead ? sampled.standby.doubt : null,
    objects: isRead && hasAnswers(sampled.survey),
  };
}

/** The buckets and connections of the references that are not below the path, as far as they are named. */
function elsewhereOf({ sampled }: Observation): readonly { bucket: string; connection: string }[] {
  if (sampled === null || 'unsupported' in sampled) return [];
  return sampled.survey.mismatchedBases;
}

function hasAnswers({ window, rows }: Survey): boolean {
  return window.broken.empty !== null || rows.missing.rows + rows.empty.rows + rows.unreadable.rows > 0;
}

type Rulings<From extends Source> = Record<CodeFrom<From>, Ruling>;

/** While a source is silent, nothing is known of the problems that it decides. */
function unknown<From extends Source>(from: From): Rulings<From> {
  const codes = PROBLEM_CODES.filter((code) => sourceOf(code) === from);
  return Object.fromEntries(codes.map((code) => [code, 'unknown'])) as Rulings<From>;
}

function fromSettings({ config: { xcom }, sampled }: Observation): Rulings<'settings'> {
  const { compression } = xcom;
  // The setting is as certain without rows; only its cost is not known then.
  const survey = sampled === null || 'unsupported' in sampled ? null : sampled.survey;
  return {
    threshold_disabled: thresholdDisabled(xcom, survey),
    compression_unsupported:
      compression !== null && codecOf(compression) === 'unknown'
        ? say(`The compression is ${compression}, for which fsspec knows no file extension.`)
        : 'clear',
  };
}

function probed({ probe, config, sampled }: Observation): Rulings<'probe'> {
  const path = storageInForce(config);
  if (probe === null || path === null) return unknown('probe');
  const isRead = sampled !== null && !('unsupported' in sampled);
  // Only one of several paths is probed. A value that is written below another path says nothing about the probed one.
  const isOne = config.xcom.paths?.length === 1;
  const rulings = fromProbe(probe, {
    bucket: path.bucket,
    latestWritten: isRead ? latestWritten(sampled, { path, isOne }) : null,
  });
  // If somebody took the logs' connection for that of XComs, the refusal shows up in these problems.
  const words = logsWords(config.logs, path);
  for (const code of ['not_watching', 'write_denied', 'reads_denied'] as const) {
    const ruling = rulings[code];
    if (words !== '' && isRaised(ruling))
      rulings[code] = { ...ruling, evidence: `${ruling.evidence}${words}` };
  }
  return rulings;
}

function fromDatabase({ sampled, config }: Observation): Rulings<'database'> {
  if (sampled === null) return unknown('database');
  if ('unsupported' in sampled)
    return { ...unknown('database'), schema_unsupported: say(`${sentence(sampled.unsupported)}.`) };
  const { shape, survey, canary, isCanaryGone, now } = sampled;
  const { rows } = survey;
  const skips = shape.major === 3 ? rows.skips : NO_EVIDENCE;
  const rulings: Rulings<'database'> = {
    schema_unsupported: 'clear',
    airflow_too_old: shape.tooOld
      ? say(`The tables have the shape of Airflow ${shape.airflow}: ${shape.name}.`)
      : 'clear',
    ...explainFallback(survey, {
      ...config,
      canaryWorks: canary?.pools.some(isReadBack) === true,
      now,
    }),
    ...brokenObjects(survey, now),
    path_mismatch: pathMismatch(survey, config),
    path_leaked: some(
      rows.leaked,
      (n) => `${counted(n, 'row')} in the window hold${n === 1 ? 's' : ''} the path of another row.`,
    ),
    local_path: localPath(survey, config),
    skip_decision_offloaded: some(
      skips,
      (n) => `${counted(n, 'skip decision')} in the window ${n === 1 ? 'is a reference' : 'are references'}.`,
    ),
    third_party_backend: some(
      rows.third_party,
      (n) =>
        `${counted(n, 'row')} in the window hold${n === 1 ? 's a reference' : ' references'} of another backend, or to a store that is not S3.`,
    ),
    orphans_growing: orphansGrowing(sampled),
    exporter_behind: behind(sampled),
    ...explainCanary(canary, { isGone: isCanaryGone }),
  };
  return unlessUnowned(rulings, survey.unowned);
}

/** While HEAD is wrong about the probe's object, its answers about other objects count for nothing. */
function misseen(probe: ProbeResult | null): Partial<Record<ProblemCode, Ruling>> {
  const detail = falseHead(probe);
  if (detail === null) return {};
  const ruling = because(`a HEAD tells what is not so: ${detail}`);
  return {
    objects_missing: ruling,
    objects_empty: ruling,
    objects_unreadable: ruling,
    threshold_mismatch: ruling,
  };
}

function orphansGrowing({ survey, orphanGrowth: growth }: Sampled): Ruling {
  const { orphanObjects, unlistable } = survey.window;
  if (unlistable.runs > 0 && (orphanObjects === null || growth === 'unknown'))
    return because(`there is no listing of ${unlistableWords(unlistable)}`);
  if (orphanObjects === null)
    return because('no run of the window has been listed yet; one is, ten minutes after it ended');
  if (growth === 'none') return 'clear';
  if (growth === 'unknown')
    return because(
      'objects without a row have not been counted twice lately; they are when every run that ended ten minutes ago is listed',
    );
  return say(
    `Objects that no row refers to grew from ${growth.from} to ${growth.to} under the runs of the window.`,
  );
}

/** For rows that show a problem by themselves, without an answer of S3. */
function some(seen: Evidence, evidence: (rows: number) => string): Ruling {
  return seen.rows > 0 ? say(evidence(seen.rows), seen) : 'clear';
}

/** More requests help only the references that wait for one. References that were asked about in vain do not count. */
function behind({ coverage, unmeasured, survey, now }: Sampled): Ruling {
  if (unmeasured > 0)
    return say(`${unmeasured} new values were too many or too large to be measured exactly in this cycle.`);
  const { oldest } = survey.unlooked.waiting;
  const seconds = oldest === null ? 0 : (now - oldest) / 1_000;
  if (seconds > LATE_SECONDS)
    return say(
      `${Math.min(99, Math.round(coverage * 100))} % of the window is decided; the oldest reference waits since ${Math.round(seconds)} s.`,
    );
  return 'clear';
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
