import type { ProblemCode } from '../diagnosis/problem-catalogue.ts';
import { PROBLEMS } from '../diagnosis/problem-catalogue.ts';
import type { Report } from '../diagnosis/report.ts';
import { formatCount, formatMoment, formatSeconds } from '../lib/format.ts';
import type { JobStatus } from '../status/jobs.ts';
import type { Status } from '../status/status.ts';
import type { Verdict, VerdictState } from '../status/verdict.ts';
import { isNeverRead, undecidedNote, verdictOf } from '../status/verdict.ts';
import { canarySection } from './canary-section.ts';
import type { Html, Part } from './html.ts';
import { html, raw } from './html.ts';
import { ago, facts, prose, section, table, tableRow, UNKNOWN, when } from './page-parts.ts';
import type { ProblemView } from './problem-section.ts';
import { clearedSection, problemArticle, problemList, problemPage, rowsSection } from './problem-section.ts';
import { storageSection } from './storage-section.ts';
import { columnsOf, STYLE } from './style.ts';
import { windowSection } from './window-section.ts';

/**
 * How often the page refreshes, except when it shows one problem's rows or when the reader has turned refreshing off.
 */
export const REFRESH_SECONDS = 15;

/** The choice of what the page shows. */
export interface PageView {
  /** The one problem to show, with all its rows; null shows everything. */
  readonly problem: ProblemCode | null;
  /** The page of the problem's rows, from 1. */
  readonly page: number;
  readonly refresh: boolean;
  /** The address of the runbook; null when it is not served. */
  readonly runbook: string | null;
}

/** The whole page as a document without scripts. All text from outside goes through `html`. */
export function renderStatusPage(status: Status, view: PageView): string {
  const verdict = verdictOf(status);
  const { problem } = view;
  const title = `${SIGNS[verdict.state]} ${verdict.title}`;
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${problem === null ? title : `${problem}: ${title}`} - airflow-xcom-exporter</title>
        <link
          rel="icon"
          href="data:image/svg+xml,${encodeURIComponent(iconOf(verdict.state, ICON_COLOURS).html)}"
        />
        ${raw(`<style>${STYLE}</style>`)}
      </head>
      <body>
        ${banner(status, verdict)}
        ${problem === null ? overview(status, view) : detail(problem, status, view)} ${footer(status, view)}
      </body>
    </html> `;
  return page.html;
}

const SIGNS: Readonly<Record<VerdictState, string>> = {
  healthy: '✓',
  problems: '✗',
  unknown: '?',
  standby: '–',
};

/** Colours for a white sign that stand out in a row of browser tabs, light or dark. */
const ICON_COLOURS: Readonly<Record<VerdictState, string>> = {
  healthy: '#1a7f37',
  problems: '#cf222e',
  unknown: '#6e7781',
  standby: '#6e7781',
};

const ICON_PATHS: Readonly<Record<VerdictState, string>> = {
  healthy: 'M4 8.5l3 3 5-6',
  problems: 'M8 3.5v5.5M8 12v.5',
  unknown: 'M5.5 6a2.5 2.5 0 1 1 3.5 2.2q-1 .5-1 1.5M8 12.2v.3',
  standby: 'M6 4.5v7M10 4.5v7',
};

function iconOf(state: VerdictState, colours: Readonly<Record<VerdictState, string>>): Html {
  return html`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16" aria-hidden="true">
    <circle cx="8" cy="8" r="8" fill="${colours[state]}" />
    <path
      d="${ICON_PATHS[state]}"
      fill="none"
      stroke="#fff"
      stroke-width="2"
      stroke-linecap="round"
      stroke-linejoin="round"
    />
  </svg>`;
}

function banner(status: Status, verdict: Verdict): Html {
  const { report, now } = status;
  const problems = report?.problems ?? [];
  const undecided = report === null ? [] : undecidedNote(report);
  return html`<header class="${verdict.state}">
    <h1>${iconOf(verdict.state, ICON_COLOURS)}${verdict.title}</h1>
    ${problems.length > 0 && !isPast(status) && problemList(problems, now)}
    ${verdict.state === 'healthy' && report !== null && html`<p>${healthySentence(report)}</p>`}
    ${verdict.notes.filter((note) => !undecided.includes(note)).map((note) => html`<p>${note}</p>`)}
    ${folded(verdict.notes.filter((note) => undecided.includes(note)))}
    <p class="soft">${lastCycle(status)}</p>
  </header>`;
}

/**
 * Folded away, because codes and reasons would push the problems off the screen. A reader who asks why can open them.
 */
function folded(undecided: readonly string[]): Html | null {
  if (undecided.length === 0) return null;
  return html`<details>
    <summary>What is not decided, and why</summary>
    ${undecided.map((note) => html`<p>${note}</p>`)}
  </details>`;
}

/** States with figures what was found to be well, and leaves out what is not known. */
function healthySentence({ window }: Report): string | null {
  if (window === null) return null;
  const broken = Object.values(window.broken);
  const sound = broken.every((count) => count === 0) ? ', no reference is known to be broken' : '';
  const large = window.oversizeRows === 0 ? ', none of them oversize' : '';
  return `In the last ${formatSeconds(window.seconds)}: ${formatCount(window.rows.db)} values in the database${large}; ${formatCount(window.rows.s3)} in S3${sound}.`;
}

function lastCycle({ report, reloading, now }: Status): Part {
  if (report === null) {
    return reloading
      ? 'Nothing has been measured with these settings yet.'
      : 'Nothing has been measured yet.';
  }
  return [
    'Looked at ',
    when(report.at, now),
    ` in ${formatSeconds(report.durationSeconds)}. ${decided(report)}. Lag: ${secondsOf(report.lagSeconds)}.`,
  ];
}

/** Without rows there is no share to show. */
function decided({ coverage, window }: Pick<Report, 'coverage' | 'window'>): string {
  if (coverage === null) return `Share of the window that is decided: ${UNKNOWN}`;
  const isEmpty = window !== null && Object.values(window.rows).every((rows) => rows === 0);
  return isEmpty ? 'There is no row to decide' : `${percentOf(coverage)} of the window is decided`;
}

function overview(status: Status, view: PageView): Html {
  const { report } = status;
  const canary = report?.canary.verdict ?? null;
  return html`<main>
    ${status.act !== null && html`<p class="act" role="note"><b>Demo:</b> ${status.act}</p>`}
    ${problemsSection({ status, runbook: view.runbook })} ${rowsSection(report?.problems ?? [], status)}
    ${clearedSection(status)} ${report !== null && windowSection(report, status)} ${storageSection(status)}
    ${canary !== null && canarySection(canary, status.now)} ${jobsSection(status)} ${settingsSection(status)}
  </main>`;
}

function problemsSection(view: ProblemView): Html | null {
  const { report } = view.status;
  if (report === null || report.problems.length === 0) return null;
  return section(
    'problems',
    isPast(view.status) ? 'Problems at the last good cycle' : 'Problems',
    report.problems.map((problem) => problemArticle(problem, view)),
  );
}

/** Whether the report was read once and is old. */
function isPast(status: Status): boolean {
  return status.stale && status.report !== null && !isNeverRead(status);
}

function detail(code: ProblemCode, status: Status, view: PageView): Html {
  const problem = status.report?.problems.find((one) => one.code === code);
  const { title, remedy } = PROBLEMS[code];
  const state = status.report?.states[code] ?? 'unknown';
  return html`<nav aria-label="Back"><a href="/">Everything</a></nav>
    <main>
      ${
        problem === undefined
          ? html`<h2>${title}</h2>
              <p>
                ${state === 'clear' ? 'This problem is not there now.' : 'Whether this problem is there is not known now.'}
              </p>
              <p>When it is: ${prose(remedy)}</p>`
          : problemPage(problem, { status, runbook: view.runbook, page: view.page })
      }
    </main>`;
}

function jobsSection({ jobs, report, requests, now }: Status): Html {
  const whenOf = (at: number | null): Part => (at === null ? 'never' : ago(at, now));
  const rows = jobs.map((job: JobStatus) => [
    job.job,
    formatCount(job.runs),
    formatCount(job.failures),
    formatCount(job.skips),
    whenOf(job.lastRunAt),
    whenOf(job.lastSuccessAt),
    job.lastDurationSeconds === null ? UNKNOWN : formatSeconds(job.lastDurationSeconds),
    job.lastFailure ?? '-',
  ]);
  return section('jobs', 'Jobs', [
    table('Jobs of the exporter', columnsOf('jobs'), { rows: rows.map(tableRow), kind: 'jobs' }),
    facts([
      [
        'Lag',
        `${secondsOf(report?.lagSeconds ?? null)} (age of the oldest row that is not decided; at least the delay of a standby)`,
      ],
      ['Coverage', report === null ? UNKNOWN : decided(report)],
      [
        'Requests to S3',
        requests === null
          ? UNKNOWN
          : `${formatCount(requests.sent)} of at most ${formatCount(requests.ceiling)} in the last cycle (${percentOf(requests.sent / requests.ceiling)})`,
      ],
    ]),
  ]);
}

function settingsSection({ settings, warnings, reloadedAt, now }: Status): Html {
  const untouched = settings.filter(({ origin }) => origin === 'default');
  return section('settings', 'Configuration', [
    reloadedAt !== null && html`<p>Reloaded ${when(reloadedAt, now)}.</p>`,
    warnings.length > 0 &&
      html`<ul class="odd" aria-label="What is odd about the settings">
        ${warnings.map((warning) => html`<li>${warning}</li>`)}
      </ul>`,
    untouched.length < settings.length &&
      settingsTable(
        'Settings in force',
        settings.filter(({ origin }) => origin !== 'default'),
      ),
    untouched.length > 0 &&
      html`<details>
        <summary>Settings at their default: ${untouched.length}</summary>
        ${settingsTable('Settings at their default', untouched)}
      </details>`,
  ]);
}

function settingsTable(caption: string, settings: Status['settings']): Html {
  const rows = settings.map(
    ({ name, shown, origin, from }) =>
      html`<tr class="${origin === 'default' ? 'default' : 'set'}">
        <th scope="row">${name}</th>
        <td>${origin === 'unknown' ? UNKNOWN : shown}</td>
        <td>${origin}</td>
        <td>${from}</td>
      </tr>`,
  );
  return table(caption, columnsOf('settings'), { rows, kind: 'settings' });
}

function footer({ version, startedAt, now }: Status, { refresh, problem, page }: PageView): Html {
  const other = new URLSearchParams({
    ...(problem === null ? {} : { problem, page: String(page) }),
    refresh: refresh ? 'off' : 'on',
  }).toString();
  const renewal = refresh
    ? html`This page renews itself every ${REFRESH_SECONDS} seconds: <a href="/?${other}">hold it still</a>.`
    : html`This page is as of ${formatMoment(now, now)} and stands still:
        <a href="/?${other}">let it renew itself</a>.`;
  return html`<footer>
    <p class="soft">
      airflow-xcom-exporter ${version}, up for ${formatSeconds((now - startedAt) / 1000)}.
      <a href="/metrics">Metrics</a>, <a href="/api/v1/status">status</a> and
      <a href="/api/v1/findings">findings</a> as JSON. ${renewal}
    </p>
  </footer>`;
}

function secondsOf(seconds: number | null): string {
  return seconds === null ? UNKNOWN : formatSeconds(seconds);
}

function percentOf(share: number | null): string {
  return share === null ? UNKNOWN : `${Math.floor(share * 100)} %`;
}
