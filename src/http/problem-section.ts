import type { Finding } from '../diagnosis/evidence.ts';
import { PROBLEMS } from '../diagnosis/problem-catalogue.ts';
import type { Problem } from '../diagnosis/problem.ts';
import { formatCount, formatMoment } from '../lib/format.ts';
import type { Status } from '../status/status.ts';
import { airflowLink } from './airflow-link.ts';
import type { Html, Part } from './html.ts';
import { html, joined } from './html.ts';
import { ago, facts, name, prose, size, table, tableRow, UNKNOWN, when } from './page-parts.ts';
import { columnsOf } from './style.ts';

/** Rows of one problem beside the others. */
const SHOWN_FINDINGS = 10;
/** Bytes of all tables of findings together: with it the page stays under 100 kB, however long the names. */
const ROOM_FOR_FINDINGS = 24_000;
/** Rows on a page of one problem: as many as stay under 100 kB with names of any length in any script. */
const FINDINGS_PER_PAGE = 20;
const SHOWN_PLACES = 5;

export interface ProblemView {
  readonly status: Status;
  /** The address of the runbook; null: it is not served. */
  readonly runbook: string | null;
}

/**
 * The problems in a line each: what, where, when it was first seen. None of the links is to a part of the page: a browser that
 * has one in its address does not renew the page.
 */
export function problemList(problems: readonly Problem[], now: number): Html {
  return html`<ol>
    ${problems.map(({ code, where: [first], since }) => {
      const { severity, title } = PROBLEMS[code];
      const place = first !== undefined && html`: ${first.label} ${name(first.value)}`;
      return html`<li>
        ${badge(severity)} <a href="/?problem=${code}">${title}</a>${place}, first seen ${ago(since, now)}
      </li>`;
    })}
  </ol>`;
}

/** A problem with its latest rows. */
export function problemArticle(problem: Problem, view: ProblemView): Html {
  const { code, findings } = problem;
  return html`<article class="${PROBLEMS[code].severity}" id="${code}" aria-labelledby="${code}-title">
    ${explained(problem, view)} ${findings.length > 0 && latestFindings(problem, view.status)}
  </article>`;
}

/** A problem with one page of its rows; `page` from 1, and the last one where there are not so many. */
export function problemPage(problem: Problem, view: ProblemView & { readonly page: number }): Html {
  const { code, findings } = problem;
  const pages = Math.max(1, Math.ceil(findings.length / FINDINGS_PER_PAGE));
  const page = Math.min(view.page, pages);
  const first = (page - 1) * FINDINGS_PER_PAGE;
  const shown = findings.slice(first, first + FINDINGS_PER_PAGE);
  const caption = `Rows ${formatCount(first + 1)} to ${formatCount(first + shown.length)} of ${formatCount(findings.length)} listed, newest first`;
  return html`<article class="${PROBLEMS[code].severity}" id="${code}" aria-labelledby="${code}-title">
    ${explained(problem, view)}
    ${
      findings.length === 0
        ? html`<p>There are no rows to list.</p>`
        : [
            findingsTable(
              caption,
              shown.map((finding) => findingRow(finding, view.status)),
            ),
            pager(code, { page, pages }),
          ]
    }
  </article>`;
}

function explained(problem: Problem, { status: { now }, runbook }: ProblemView): Html {
  const { code, evidence, where, since, lastSeen } = problem;
  const { severity, title, remedy } = PROBLEMS[code];
  const pairs: (readonly [string, Part])[] = [];
  if (where.length > 0) pairs.push(['Where', places(where)]);
  pairs.push(['First seen by the exporter', when(since, now)]);
  if (lastSeen !== undefined) pairs.push(['Last seen', when(lastSeen, now)]);
  return html`<h3 id="${code}-title">${badge(severity)} ${title}</h3>
    <p class="evidence">${evidence}</p>
    ${facts(pairs)}
    <dl>
      <div class="todo">
        <dt>What to do</dt>
        <dd>
          ${prose(remedy)} ${runbook !== null && html`<a href="${runbook}#${code}">Runbook: ${code}</a>`}
        </dd>
      </div>
    </dl>`;
}

function badge(severity: string): Html {
  return html`<span class="badge ${severity}">${severity}</span>`;
}

/** Groups them by their kind: `dag orders (12), daily (3); queue legacy (15)`. */
function places(where: Problem['where']): Part {
  const labels = [...new Set(where.map(({ label }) => label))];
  const shown = labels.map((label) => {
    const ours = where.filter((place) => place.label === label);
    const named = ours
      .slice(0, SHOWN_PLACES)
      .map(({ value, rows }) => html`<b>${name(value)}</b> (${formatCount(rows)})`);
    const more = ours.length - named.length;
    return [`${label} `, joined(named, ', '), more > 0 && `, ${formatCount(more)} more`];
  });
  return joined(shown, '; ');
}

function latestFindings({ code, findings }: Problem, status: Status): Part {
  const room = ROOM_FOR_FINDINGS / (status.report?.problems.length ?? 1);
  const shown: Html[] = [];
  let size = 0;
  for (const finding of findings.slice(0, SHOWN_FINDINGS)) {
    const row = findingRow(finding, status);
    size += Buffer.byteLength(row.html);
    if (size > room) break;
    shown.push(row);
  }
  const all = html`<a href="/?problem=${code}">all ${formatCount(findings.length)} rows listed</a>`;
  return [
    shown.length > 0 &&
      findingsTable(
        `The latest ${shown.length === 1 ? 'row' : `${shown.length} rows`} behind it, newest first`,
        shown,
      ),
    shown.length < findings.length && html`<p>See ${all}.</p>`,
  ];
}

function findingsTable(caption: string, rows: readonly Html[]): Html {
  return table(caption, columnsOf('findings'), { rows, kind: 'findings' });
}

function findingRow(finding: Finding, { report, airflowBaseUrl, now }: Status): Html {
  const { dagId, runId, taskId, mapIndex, key, bytes, hostname, queue, at } = finding;
  const airflow = report?.backend?.airflow ?? '';
  const href = airflowBaseUrl === null ? null : airflowLink(finding, { baseUrl: airflowBaseUrl, airflow });
  return tableRow([
    name(dagId),
    name(runId),
    href === null ? name(taskId) : html`<a href="${href}">${name(taskId)}</a>`,
    mapIndex < 0 ? '' : String(mapIndex),
    name(key),
    size(bytes),
    hostname === null ? UNKNOWN : name(hostname),
    queue === null ? UNKNOWN : name(queue),
    [ago(at, now), html` <small>${formatMoment(at, now)}</small>`],
  ]);
}

function pager(
  code: string,
  { page, pages }: { readonly page: number; readonly pages: number },
): Html | null {
  if (pages === 1) return null;
  const to = (target: number, words: string): Html =>
    html`<a href="/?problem=${code}&amp;page=${target}">${words}</a>`;
  return html`<nav aria-label="Pages of rows">
    ${page > 1 && [to(1, 'Newest'), ' ', to(page - 1, 'Newer')]}
    <span>Page ${formatCount(page)} of ${formatCount(pages)}</span>
    ${page < pages && [to(page + 1, 'Older'), ' ', to(pages, 'Oldest')]}
  </nav>`;
}
