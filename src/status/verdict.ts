import { z } from 'zod';
import { CANARY_CODES, PROBLEMS, PROBLEM_CODES } from '../diagnosis/problem-catalogue.ts';
import { LARGE_BYTES } from '../diagnosis/fallback.ts';
import type { ProblemCode } from '../diagnosis/problem-catalogue.ts';
import { sourceOf } from '../diagnosis/problem-sources.ts';
import type { Report } from '../diagnosis/report.ts';
import { unlistableWords } from '../diagnosis/window-totals.ts';
import { formatMoment, sizeWords } from '../lib/format.ts';
import type { Tried } from '../probe/bucket.ts';
import type { Status } from './status.ts';

export const verdictSchema = z
  .strictObject({
    state: z.enum(['healthy', 'problems', 'unknown', 'standby']),
    title: z.string().describe('A few words, with the figure.'),
    notes: z.array(z.string()).describe('Sentences that limit or explain it.'),
  })
  .describe('What is said first. Healthy is said only of what was looked at and lately.');

export type Verdict = z.output<typeof verdictSchema>;
export type VerdictState = Verdict['state'];

/**
 * The first words of the page and the API. Healthy is said only of what was looked at, and lately. After a reload the
 * earlier verdict stands until there is a new one, and a note says so.
 */
export function verdictOf(status: Status): Verdict {
  const verdict = verdictOfLook(status);
  const { reloading, reloadedAt, report, now } = status;
  if (!reloading || reloadedAt === null || report === null) return verdict;
  const note = `Settings were reloaded at ${formatMoment(reloadedAt, now)}. The first look with them has not ended: this verdict is of those before.`;
  return { ...verdict, notes: [note, ...verdict.notes] };
}

function verdictOfLook(status: Status): Verdict {
  const { report } = status;
  const sampling = status.jobs.find(({ job }) => job === 'sample');
  if (!status.leader && sampling?.lastFailure != null) {
    return {
      state: 'unknown',
      title: 'Unknown: it is not known who leads',
      notes: [sampling.lastFailure],
    };
  }
  if (!status.leader && sampling?.lastRunAt === null) {
    return {
      state: 'unknown',
      title: 'Unknown: no answer yet on who leads',
      notes: ['The database has not answered yet which exporter leads. Until then this one does not sample.'],
    };
  }
  if (!status.leader) {
    return {
      state: 'standby',
      title: 'Standby',
      notes: ['Another exporter holds the lock and samples; this one waits.'],
    };
  }
  if (report === null && status.reloading && status.reloadedAt !== null) {
    return {
      state: 'unknown',
      title: 'Settings reloaded, first cycle under way',
      notes: [
        `Settings were reloaded at ${formatMoment(status.reloadedAt, status.now)}; the first cycle with them has not ended.`,
      ],
    };
  }
  if (report === null) {
    return {
      state: 'unknown',
      title: 'No cycle yet',
      notes: ['The first look at the database has not ended.'],
    };
  }

  const notes = [
    ...failuresOf(report, status.probe),
    ...standbyNote(report),
    ...unreadNote(report),
    ...outOfReachNote(report),
    ...unseenNote(report),
    ...pushFaultNote(report),
  ];
  if (status.stale && isNeverRead(status))
    return { state: 'unknown', title: 'Unknown: the database has not been read yet', notes };
  if (status.stale) {
    return {
      state: 'unknown',
      title: 'Unknown: the figures are stale',
      notes: [
        'No cycle has read the database in three ticks of sample.schedule; what is below is the past.',
        ...notes,
      ],
    };
  }
  const count = report.problems.filter(({ code }) => PROBLEMS[code].severity !== 'info').length;
  if (count > 0) return { state: 'problems', title: count === 1 ? '1 problem' : `${count} problems`, notes };
  if (report.databaseFailure !== null) {
    return { state: 'unknown', title: 'Unknown: the database could not be read', notes };
  }

  const limits = [...notes, ...(status.hasStorage ? [] : [unprobedNote(report)]), ...undecidedNote(report)];
  const doubt = doubtOf(report, status);
  if (doubt !== null) return { state: 'unknown', title: `Unknown: ${doubt}`, notes: limits };
  return { state: 'healthy', title: 'Healthy', notes: limits };
}

/** Figures that were never read cannot be stale: only the settings and the probe count. */
export function isNeverRead({ report, everRead }: Pick<Status, 'report' | 'everRead'>): boolean {
  // With other settings it may have been read before a reload.
  return report?.window === null && report.databaseFailure !== null && !everRead;
}

/**
 * Problems that say that nothing goes to S3, or that every push fails. References can disprove them without a setting.
 */
const SHOWN_BY_REFERENCES: ReadonlySet<ProblemCode> = new Set([
  'threshold_disabled',
  'compression_unsupported',
  'backend_inactive',
]);

const FROM_PROBE = PROBLEM_CODES.filter((code) => sourceOf(code) === 'probe');

/**
 * Why it cannot be said that all is well, in a few words; null: it can. Healthy is a claim like any other. It takes
 * that something was there to be judged, that S3 answered, that every operation of the probe that was tried worked, and
 * that nothing critical is undecided.
 */
export function doubtOf(
  report: Pick<
    Report,
    | 'states'
    | 'takenBack'
    | 'window'
    | 's3Failure'
    | 'told'
    | 'heard'
    | 'standbyDoubt'
    | 'unreadColumns'
    | 'pushFault'
  >,
  { probe, hasStorage }: Pick<Status, 'probe' | 'hasStorage'>,
): string | null {
  const { states, takenBack, window, s3Failure, standbyDoubt, unreadColumns } = report;
  if (standbyDoubt !== null) return standbyDoubt;
  if (unreadColumns.length > 0) return `the role may not read ${unreadColumns.join(', ')}`;
  if (Object.values(states).every((state) => state === 'unknown')) return 'nothing could be decided';
  if (!hasStorage) return unprobedDoubt(report);
  if (s3Failure !== null || unansweredOf(report, probe) !== null)
    return 'object storage could not be looked at';
  if (probe === null) return 'no probe has ended yet';
  if (!probe.steps.some(({ ok }) => ok !== null)) return 'the probe tried nothing';
  const failed = probe.steps.find((step) => step.ok === false);
  if (failed !== undefined) return `the test ${failed.operation} of the probe failed`;
  // The probe ended after the look that the report is from: the next look judges the probe.
  if (FROM_PROBE.every((code) => states[code] === 'unknown')) return 'no probe has been judged yet';
  const isOffloading = (window?.rows.s3 ?? 0) > 0;
  const isEmpty = window !== null && Object.values(window.rows).every((rows) => rows === 0);
  const isOpen = PROBLEM_CODES.some(
    (code) =>
      isUndecided(states, code) &&
      PROBLEMS[code].severity === 'critical' &&
      sourceOf(code) !== 'probe' &&
      // Only values can decide it, and that there are none is told in words of its own.
      !(isEmpty && code === 'backend_inactive') &&
      // Settings that were told and rows that were seen contradict each other: one of them is out of date.
      (takenBack.includes(code) || !(isOffloading && SHOWN_BY_REFERENCES.has(code))),
  );
  if (isOpen) return 'not everything critical could be decided';
  // References in the window may be older than those settings.
  if (report.pushFault !== null) return `with the settings that were told ${report.pushFault.effect}`;
  return isEmpty ? 'nothing to judge yet, no XCom row is in the window' : null;
}

function unprobedDoubt(report: Pick<Report, 'told' | 'heard'>): string {
  if (isPathHeard(report)) return 'object storage is not probed';
  return report.told['xcom.path'] ? 'xcom.path names no place in S3' : 'xcom.path is not known';
}

/** A note for a configuration without a path in S3. The probe writes, so a canary's path is not enough for it. */
export function unprobedNote(report: Pick<Report, 'told' | 'heard'>): string {
  if (isPathHeard(report))
    return 'xcom.path is known from the canary alone: object storage is probed when the exporter is told it.';
  return report.told['xcom.path']
    ? 'xcom.path names no place in S3: object storage was not looked at.'
    : 'xcom.path is not known: object storage is probed when the exporter is told it.';
}

/** While a standby is behind, problems of its rows are neither raised nor cleared. */
export function standbyNote({ standbyDoubt }: Pick<Report, 'standbyDoubt'>): string[] {
  if (standbyDoubt === null) return [];
  return [
    `Problems of rows are neither reported nor cleared: ${standbyDoubt}. Let it catch up, or read the primary.`,
  ];
}

/** Without these columns the rows are counted all the same. */
export function unreadNote({ unreadColumns }: Pick<Report, 'unreadColumns'>): string[] {
  if (unreadColumns.length === 0) return [];
  return [
    `Not all is known: the role may not read ${unreadColumns.join(', ')}. Run docs/sql/role.sql again.`,
  ];
}

/** Names a threshold that no value reaches although some values are large: a slip in its digits, or in its unit. */
export function outOfReachNote({
  window,
  thresholdBytes,
  observed,
}: Pick<Report, 'window' | 'thresholdBytes' | 'observed'>): string[] {
  const largest = observed?.threshold.above ?? null;
  if (thresholdBytes === null || largest === null || window === null) return [];
  if (window.rows.s3 + window.rows.other > 0) return [];
  if (largest < LARGE_BYTES || largest >= thresholdBytes) return [];
  return [
    `The threshold of ${sizeWords(thresholdBytes)} is above every value seen, the largest of ${sizeWords(largest)}: no value goes to object storage.`,
  ];
}

/** Names the setting that makes pushes fail, even if references in the window suggest that pushes work. */
export function pushFaultNote({ pushFault }: Pick<Report, 'pushFault'>): string[] {
  return pushFault === null ? [] : [`${pushFault.sentence}.`];
}

/** Names runs that no listing leads to: the figure of objects without a row says nothing about them. */
export function unseenNote({ window }: Pick<Report, 'window'>): string[] {
  if (window === null) return [];
  const { unseenRuns, unlistable } = window;
  const shortened = unseenRuns - unlistable.runs;
  const notes: string[] = [];
  if (shortened > 0) {
    const runs = shortened === 1 ? 'one run' : `${shortened} runs`;
    notes.push(
      `Objects without a row were not looked for under ${runs}: the ids in their keys are shortened, and others may look the same.`,
    );
  }
  if (unlistable.runs > 0)
    notes.push(`Objects without a row were not looked for under ${unlistableWords(unlistable)}.`);
  return notes;
}

function isPathHeard({ heard }: Pick<Report, 'heard'>): boolean {
  return heard.some(({ name, shown }) => name === 'xcom.path' && shown !== '');
}

/** A problem that only a canary can show is left out here: a pool that is not heard is a problem of its own. */
function isUndecided(states: Report['states'], code: ProblemCode): boolean {
  return states[code] === 'unknown' && !CANARY_CODES.has(code);
}

/** Sentences that name the problems of which nothing is known, and why; empty when there is none. */
export function undecidedNote({ states, undecided }: Pick<Report, 'states' | 'undecided'>): string[] {
  const byReason = new Map<string, string[]>();
  for (const code of PROBLEM_CODES) {
    if (!isUndecided(states, code)) continue;
    const reason = undecided[code] ?? '';
    byReason.set(reason, [...(byReason.get(reason) ?? []), code]);
  }
  const lines = [...byReason].map(
    ([reason, codes]) => `Not decided: ${codes.join(', ')}${reason === '' ? '' : `: ${reason}`}.`,
  );
  return eachHintOnce(lines);
}

/** Keeps the hint how to tell a setting only at the first place where the setting is missing. */
function eachHintOnce(lines: readonly string[]): string[] {
  const said = new Set<string>();
  return lines.map((line) =>
    line.replace(/(\S+ is not known) \(give [^)]*\)/g, (whole, missing: string) => {
      if (said.has(whole)) return missing;
      said.add(whole);
      return whole;
    }),
  );
}

/** The first failure of a probe that says nothing about the bucket, not even that it cannot be reached. */
export function unansweredOf(
  { states }: Pick<Report, 'states'>,
  probe: Tried | null,
): { readonly reason: string; readonly detail: string } | null {
  const steps = probe?.steps ?? [];
  if (states.bucket_unreachable !== 'unknown' || steps.some(({ ok }) => ok === true)) return null;
  return steps.find((step) => step.ok === false) ?? null;
}

function failuresOf(report: Report, probe: Tried | null): string[] {
  const { databaseFailure } = report;
  const s3Failure = report.s3Failure ?? unansweredOf(report, probe);
  const notes: string[] = [];
  if (databaseFailure !== null) {
    notes.push(`${databaseFailure.detail}.`);
  }
  if (s3Failure !== null) notes.push(`Cannot read S3: ${s3Failure.reason} (${s3Failure.detail}).`);
  return notes;
}
