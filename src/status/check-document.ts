import { z } from 'zod';
import { MAX_FINDINGS } from '../diagnosis/evidence.ts';
import { PROBLEMS } from '../diagnosis/problem-catalogue.ts';
import type { Problem } from '../diagnosis/problem.ts';
import type { Report } from '../diagnosis/report.ts';
import type { Tried } from '../probe/bucket.ts';
import { findingSchema, findingsOf } from './problem-document.ts';
import { reportDocument, reportShape, SCHEMA_VERSION, warningsSchema } from './report-document.ts';
import type { Verdict } from './verdict.ts';
import {
  doubtOf,
  outOfReachNote,
  pushFaultNote,
  standbyNote,
  unansweredOf,
  undecidedNote,
  unprobedNote,
  unreadNote,
  unseenNote,
  verdictSchema,
} from './verdict.ts';

/** The findings of `check`. */
export interface Checked {
  readonly report: Report;
  /** Null: no path in S3 is configured. */
  readonly probed: Tried | null;
  /** Sentences about odd settings. */
  readonly warnings: readonly string[];
  readonly version: string;
}

/** The output of `check --json`: the names of `/api/v1/status` and `/api/v1/findings`. */
export const checkSchema = z
  .strictObject({
    schema_version: z.literal(SCHEMA_VERSION),
    version: z.string().describe('The release of the exporter.'),
    exit_code: z
      .union([z.literal(0), z.literal(1), z.literal(2)])
      .describe('0: healthy, 1: problems, 2: could not decide.'),
    verdict: verdictSchema,
    ...reportShape,
    findings: z
      .array(findingSchema)
      .describe(`Problem by problem, newest first, at most ${MAX_FINDINGS} of each.`),
    warnings: warningsSchema,
  })
  .describe('What `check --json` prints.');

export type CheckDocument = z.output<typeof checkSchema>;

/**
 * 0: healthy; 1: problems found; 2: could not decide, because the database or object storage gave no answer, or because
 * there was too much to look at. The latter is no problem of the deployment.
 */
export function checkCode({ report, probed }: Pick<Checked, 'report' | 'probed'>): 0 | 1 | 2 {
  if (problemsOf(report).length > 0) return 1;
  const isUnread = report.window === null || report.databaseFailure !== null;
  const isUnasked = probed === null || probed.steps.every(({ ok }) => ok !== true);
  const isUndecided = report.s3Failure !== null || isPartial(report);
  const isDoubtful = doubtOf(report, { probe: probed, hasStorage: probed !== null }) !== null;
  return isUnread || isUnasked || isUndecided || isDoubtful ? 2 : 0;
}

/** Leaves out problems that are only for information, and the problem of the exporter's own look at the deployment. */
function problemsOf({ problems }: Report): readonly Problem[] {
  return problems.filter(({ code }) => code !== 'exporter_behind' && PROBLEMS[code].severity !== 'info');
}

export function checkVerdict(checked: Checked): Verdict {
  const { report } = checked;
  const notes = notesOf(checked);
  switch (checkCode(checked)) {
    case 0:
      return { state: 'healthy', title: 'Healthy', notes };
    case 1: {
      const count = problemsOf(report).length;
      return { state: 'problems', title: count === 1 ? '1 problem' : `${count} problems`, notes };
    }
    case 2:
      return { state: 'unknown', title: 'Could not decide', notes: [...notes, ...emptyNote(report)] };
  }
}

/** Decided rows and all rows of the window; null if nothing was read. */
function sampledRows({ window, coverage }: Report): { decided: number; all: number } | null {
  if (window === null || coverage === null) return null;
  const all = window.rows.db + window.rows.s3 + window.rows.other;
  // Rounded down, so that a part of the rows is never shown as all of them.
  return { decided: Math.floor(coverage * all), all };
}

export function checkDocument(checked: Checked): CheckDocument {
  const { report, probed, warnings, version } = checked;
  return {
    schema_version: SCHEMA_VERSION,
    version,
    exit_code: checkCode(checked),
    verdict: checkVerdict(checked),
    ...reportDocument(report, probed),
    findings: findingsOf(report.problems),
    warnings: [...warnings],
  };
}

function notesOf({ report, probed }: Checked): string[] {
  const { databaseFailure } = report;
  const s3Failure = report.s3Failure ?? unansweredOf(report, probed);
  const notes: string[] = [];
  if (databaseFailure !== null) notes.push(`The database: ${databaseFailure.detail}`);
  if (s3Failure !== null)
    notes.push(`Object storage gave no answer: ${s3Failure.reason} (${s3Failure.detail})`);
  if (probed === null) notes.push(unprobedNote(report));
  const rows = sampledRows(report);
  if (rows !== null && isPartial(report)) {
    const share = Math.floor((100 * rows.decided) / Math.max(1, rows.all));
    // More requests do not help if the storage answers none, or if a standby is behind.
    const mayHelp =
      s3Failure === null && report.standbyDoubt === null && report.states.exporter_behind === 'raised';
    const more = mayHelp ? ' More with a higher s3.requests-per-cycle, or a shorter window.' : '';
    notes.push(`A sample: ${rows.decided} of ${rows.all} rows are decided (${share} %).${more}`);
  }
  notes.push(
    ...standbyNote(report),
    ...unreadNote(report),
    ...outOfReachNote(report),
    ...unseenNote(report),
    ...pushFaultNote(report),
  );
  if (databaseFailure === null) notes.push(...undecidedNote(report));
  return notes;
}

/** An empty window right after the installation is no mistake of the user. */
function emptyNote(report: Report): string[] {
  return sampledRows(report)?.all === 0
    ? ['No XCom row is in the window, so nothing can be judged yet. Let a DAG push a value, and ask again.']
    : [];
}

function isPartial({ coverage, states }: Report): boolean {
  return (coverage !== null && coverage < 1) || states.exporter_behind === 'raised';
}
