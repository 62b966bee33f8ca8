import type { Finding, Written } from '../diagnosis/evidence.ts';
import { PROBLEMS } from '../diagnosis/problem-catalogue.ts';
import type { Problem } from '../diagnosis/problem.ts';
import { formatCount, formatMoment, formatSeconds, shorten } from '../lib/format.ts';
import type { Status } from '../status/status.ts';
import { airflowLink } from './airflow-link.ts';
import type { Html, Part } from './html.ts';
import { html, joined } from './html.ts';
import { ago, facts, name, prose, section, size, table, tableRow, UNKNOWN, when } from './page-parts.ts';
import { columnsOf } from './style.ts';

/** How many rows of each problem the page with all problems shows. */
const SHOWN_FINDINGS = 10;
/** The most bytes for all tables of findings together: the page then stays under 100 kB, however long the names are. */
const ROOM_FOR_FINDINGS = 24_000;
/** Rows on a page of one problem: the page stays under 100 kB with names of any length in any script. */
const FINDINGS_PER_PAGE = 20;
const SHOWN_PLACES = 5;
/** The longest key that S3 accepts, in one-byte characters. */
const SHOWN_KEY = 1_024;
const SHOWN_EVIDENCE = 300;

export interface ProblemView {
  readonly status: Status;
  /** The address of the runbook; null when it is not served. */
  readonly runbook: string | null;
}

/**
 * The problems in one line each: what, where, and when first seen. No link leads to a part of the same page: a browser
 * does not refresh a page whose address names a part.
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

/** A problem without its rows: long rows must not separate it from the next problem. */
export function problemArticle(problem: Problem, view: ProblemView): Html {
  const { code, findings } = problem;
  return html`<article class="${PROBLEMS[code].severity}" id="${code}" aria-labelledby="${code}-title">
    ${explained(problem, view)}
    ${findings.length > 0 && html`<p><a href="/?problem=${code}">${listedWords(findings.length)}</a></p>`}
  </article>`;
}

function listedWords(rows: number): string {
  return rows === 1 ? 'Show its row' : `Show all ${formatCount(rows)} rows`;
}

/** The latest rows of every problem that has rows; null when no problem has any. */
export function rowsSection(problems: readonly Problem[], status: Status): Html | null {
  const tables = problems.map((problem) => latestFindings(problem, status));
  if (tables.every((one) => one === null)) return null;
  return section('rows', 'The rows behind the problems', tables);
}

/** The problems that have gone lately, for a reader who comes after they are over. */
export function clearedSection({ cleared, now }: Pick<Status, 'cleared' | 'now'>): Html | null {
  if (cleared.length === 0) return null;
  const rows = cleared.map(({ code, where: [first], evidence, since, clearedAt }) =>
    tableRow([
      [badge(PROBLEMS[code].severity), ' ', html`<a href="/?problem=${code}">${PROBLEMS[code].title}</a>`],
      first === undefined ? '' : [first.label, ' ', name(first.value)],
      formatSeconds(Math.round((clearedAt - since) / 1_000)),
      when(clearedAt, now),
      shorten(evidence, SHOWN_EVIDENCE),
    ]),
  );
  return section(
    'cleared',
    'Cleared lately',
    table('Problems that were there and are gone', columnsOf('cleared'), { rows, kind: 'cleared' }),
  );
}

/** A problem with one page of its rows. `page` counts from 1; a number that is too high gives the last page. */
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
  const { code, evidence, where, since, lastSeen, written = null } = problem;
  const { severity, title, remedy } = PROBLEMS[code];
  const pairs: (readonly [string, Part])[] = [];
  if (where.length > 0) pairs.push(['Where', places(where)]);
  if (written !== null) pairs.push(['Rows written', writtenWords(written, now)]);
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

/** When the rows were written: the exporter may have started to look later. */
function writtenWords({ first, last }: Written, now: number): Part {
  return first === last ? when(first, now) : ['first ', when(first, now), ', last ', when(last, now)];
}

function badge(severity: string): Html {
  return html`<span class="badge ${severity}">${severity}</span>`;
}

/** Groups the places by label: `dag orders (12), daily (3); queue legacy (15)`. */
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

function latestFindings({ code, findings }: Problem, status: Status): Html | null {
  const room = ROOM_FOR_FINDINGS / (status.report?.problems.length ?? 1);
  const shown: FindingRow[] = [];
  let size = 0;
  for (const finding of findings.slice(0, SHOWN_FINDINGS)) {
    const row = findingRow(finding, status);
    size += Buffer.byteLength(tableRow([...row.cells, row.object]).html);
    if (size > room) break;
    shown.push(row);
  }
  if (shown.length === 0) return null;
  const { title } = PROBLEMS[code];
  return findingsTable(
    shown.length === 1
      ? `${title}: the latest row`
      : `${title}: the latest ${shown.length} rows, newest first`,
    shown,
  );
}

/** Leaves out the column for objects when no row has one, as with values in the database. */
function findingsTable(caption: string, rows: readonly FindingRow[]): Html {
  const hasObjects = rows.some(({ object }) => object !== null);
  const columns = columnsOf('findings');
  return table(caption, hasObjects ? columns : columns.slice(0, -1), {
    rows: rows.map(({ cells, object }) => tableRow(hasObjects ? [...cells, object ?? ''] : cells)),
    kind: 'findings',
  });
}

interface FindingRow {
  readonly cells: readonly Part[];
  readonly object: Part | null;
}

function findingRow(finding: Finding, { report, airflowBaseUrl, now }: Status): FindingRow {
  const { dagId, runId, taskId, mapIndex, key, bytes, hostname, queue, at } = finding;
  const airflow = report?.backend?.airflow ?? '';
  const href = airflowBaseUrl === null ? null : airflowLink(finding, { baseUrl: airflowBaseUrl, airflow });
  const cells = [
    name(dagId),
    name(runId),
    href === null ? name(taskId) : html`<a href="${href}">${name(taskId)}</a>`,
    mapIndex < 0 ? '' : String(mapIndex),
    name(key),
    size(bytes),
    hostname === null ? UNKNOWN : name(hostname),
    queue === null ? UNKNOWN : name(queue),
    [ago(at, now), html` <small>${formatMoment(at, now)}</small>`],
  ];
  return { cells, object: objectWords(finding) };
}

/** Shown whole up to the longest possible key, so that a reader can copy it. */
function objectWords({ object = null, pathOf = null }: Finding): Part | null {
  if (object === null && pathOf === null) return null;
  const place =
    object !== null && html`<code>s3://${shorten(`${object.bucket}/${object.key}`, SHOWN_KEY)}</code>`;
  if (pathOf === null) return place;
  const { dagId, runId, taskId, key, mapIndex } = pathOf;
  const ids = html`dag ${name(dagId)}, run ${name(runId)}, task ${name(taskId)}`;
  const rest =
    key === null
      ? ' (not in the window)'
      : html`, key ${name(key)}${mapIndex !== null && mapIndex >= 0 && `, map index ${mapIndex}`}`;
  return [place, html` <small>the path of ${ids}${rest}</small>`];
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
