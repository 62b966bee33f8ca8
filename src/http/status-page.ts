import { PROBLEMS } from '../problems.ts';
import { BROKEN_REASONS, STORAGES, type Finding, type Problem, type Report } from '../report.ts';
import type { JobStatus, Status } from '../status.ts';
import { airflowLink, formatBytes, formatCount, formatSeconds, shorten } from './format.ts';
import { html, raw, type Html } from './html.ts';
import { STYLE } from './status-style.ts';
import { verdictOf } from './verdict.ts';

const REFRESH_SECONDS = 15;
const SHOWN_FINDINGS = 10;
/** Bytes of all tables of findings together: with it the page stays under 100 kB, however long the names. */
const ROOM_FOR_FINDINGS = 60_000;
const SHOWN_PLACES = 5;
/** Airflow lets a name have 250 characters; in full it is in the API. */
const SHOWN_NAME = 60;
const UNKNOWN = 'not known';

type Cell = Html | string;

/** The whole page as a document without scripts. Everything that comes from outside goes through `html`. */
export function renderStatusPage(status: Status): string {
  const verdict = verdictOf(status);
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta http-equiv="refresh" content="${REFRESH_SECONDS}" />
        <title>${verdict.title} - airflow-xcom-exporter</title>
        ${raw(`<style>${STYLE}</style>`)}
      </head>
      <body>
        <header class="${verdict.state}">
          <h1>${verdict.title}</h1>
          ${verdict.notes.map((note) => html`<p>${note}</p>`)}
          <p class="soft">${lastCycle(status)}</p>
        </header>
        <main>
          ${status.act !== null && html`<p class="act" role="note"><b>Demo:</b> ${status.act}</p>`}
          ${problemsSection(status)} ${status.report !== null && windowSection(status.report)}
          ${storageSection(status)} ${jobsSection(status)} ${settingsSection(status)}
        </main>
        <footer>
          <p class="soft">
            airflow-xcom-exporter ${status.version}, up for
            ${formatSeconds((status.now - status.startedAt) / 1000)}.
            <a href="/metrics">Metrics</a>, <a href="/api/v1/status">status</a> and
            <a href="/api/v1/findings">findings</a> as JSON. This page renews itself every ${REFRESH_SECONDS}
            seconds.
          </p>
        </footer>
      </body>
    </html> `;
  return page.html;
}

function lastCycle({ report, now }: Status): Cell {
  if (report === null) return 'Nothing has been measured yet.';
  return html`Last cycle ${ago(report.at, now)}, took ${formatSeconds(report.durationSeconds)}. Decided:
  ${report.coverage === null ? UNKNOWN : `${Math.floor(report.coverage * 100)} %`}. Lag:
  ${report.lagSeconds === null ? UNKNOWN : formatSeconds(report.lagSeconds)}.`;
}

function problemsSection(status: Status): Html | null {
  const { report } = status;
  if (report === null || report.problems.length === 0) return null;
  return html`<section aria-labelledby="problems">
    <h2 id="problems">Problems${status.stale && ' at the last good cycle'}</h2>
    ${report.problems.map((problem) => problemArticle(problem, status))}
  </section>`;
}

function problemArticle(problem: Problem, status: Status): Html {
  const { code, evidence, where, since } = problem;
  const { severity, title, remedy } = PROBLEMS[code];
  const places = where
    .slice(0, SHOWN_PLACES)
    .map(({ label, value, rows }) => `${label} ${shorten(value, SHOWN_NAME)} (${formatCount(rows)})`);
  const more = where.length - places.length;
  return html`<article class="${severity}" aria-labelledby="${code}">
    <h3 id="${code}"><b>${severity}:</b> ${title}</h3>
    <p>${evidence}</p>
    ${places.length > 0 && html`<p>Where: ${places.join(', ')}${more > 0 && `, ${more} more`}.</p>`}
    <p>What to do: ${remedy}</p>
    <p class="soft"><code>${code}</code>, since ${ago(since, status.now)}.</p>
    ${problem.findings.length > 0 && findingsTable(problem, status)}
  </article>`;
}

function findingsTable({ code, findings }: Problem, status: Status): Html {
  const head = ['dag', 'run', 'task', 'map index', 'key', 'size', 'queue', 'host', 'when'];
  const room = ROOM_FOR_FINDINGS / (status.report?.problems.length ?? 1);
  const rows = findings.slice(0, SHOWN_FINDINGS).map((finding) => tableRow(findingCells(finding, status)));
  let size = 0;
  const shown = rows.filter((row, i) => {
    size += Buffer.byteLength(row.html);
    return i === 0 || size <= room;
  });
  const more = findings.length - shown.length;
  return html`${table(`Latest rows of ${code}`, head, shown)}
  ${more > 0 && html`<p><a href="/api/v1/findings?problem=${code}">${more} more as JSON</a></p>`}`;
}

function findingCells(finding: Finding, { report, airflowBaseUrl, now }: Status): readonly Cell[] {
  const href =
    airflowBaseUrl === null
      ? null
      : airflowLink(finding, { baseUrl: airflowBaseUrl, airflow: report?.backend?.airflow ?? '' });
  const task = shorten(finding.taskId, SHOWN_NAME);
  return [
    shorten(finding.dagId, SHOWN_NAME),
    shorten(finding.runId, SHOWN_NAME),
    href === null ? task : html`<a href="${href}">${task}</a>`,
    finding.mapIndex < 0 ? '-' : String(finding.mapIndex),
    shorten(finding.key, SHOWN_NAME),
    finding.bytes === null ? UNKNOWN : formatBytes(finding.bytes),
    shorten(finding.queue ?? UNKNOWN, SHOWN_NAME),
    shorten(finding.hostname ?? UNKNOWN, SHOWN_NAME),
    ago(finding.at, now),
  ];
}

function windowSection({ window }: Report): Html {
  if (window === null) {
    return section('window', 'The window', html`<p>What the window holds is ${UNKNOWN}.</p>`);
  }
  const bytesOf = (bytes: number | null): string => (bytes === null ? UNKNOWN : formatBytes(bytes));
  const countOf = (count: number | null): string => (count === null ? UNKNOWN : formatCount(count));
  const names = { db: 'values in the database', s3: 'references to S3', other: 'references to elsewhere' };
  const rows = [
    ...STORAGES.map((storage) => [
      names[storage],
      countOf(window.rows[storage]),
      bytesOf(window.bytes[storage]),
    ]),
    ['oversize values in the database', countOf(window.oversizeRows), bytesOf(window.oversizeBytes)],
    ...BROKEN_REASONS.map((reason) => [`broken references: ${reason}`, countOf(window.broken[reason]), '']),
    ['objects without a row', countOf(window.orphanObjects), bytesOf(window.orphanBytes)],
  ];
  return section(
    'window',
    `The window: ${formatSeconds(window.seconds)}`,
    table('What the window holds', ['what', 'number', 'size'], rows.map(tableRow)),
  );
}

function storageSection({ report, probe }: Status): Html {
  const backend = report?.backend ?? null;
  const threshold = report?.thresholdBytes ?? null;
  const facts = [
    ['Airflow', backend?.airflow],
    ['schema', backend?.schema],
    ['bucket', backend?.bucket],
    ['prefix', backend?.prefix],
    ['connection', backend?.connection],
    ['compression', backend?.compression],
    [
      'threshold',
      threshold === null
        ? undefined
        : threshold < 0
          ? `${threshold} (nothing is offloaded)`
          : formatBytes(threshold),
    ],
    ['oversize from', report === null ? undefined : formatBytes(report.oversizeBytes)],
  ].map(([name = '', value]) => [name, value === undefined ? UNKNOWN : value === '' ? '-' : value]);
  const steps = (probe?.steps ?? []).map((step) => [
    step.operation,
    step.ok === null
      ? 'not tried'
      : step.ok
        ? html`<b class="ok">ok</b>`
        : html`<b class="failed">failed</b>: ${step.reason} (${step.detail})`,
    step.ok === null ? '' : formatSeconds(step.seconds),
  ]);
  return section(
    'storage',
    'Object storage',
    html`${table('What is watched', ['what', 'value'], facts.map(tableRow))}
    ${steps.length === 0 ? html`<p>No probe has ended yet.</p>` : table('Last probe', ['operation', 'outcome', 'took'], steps.map(tableRow))}`,
  );
}

function jobsSection({ jobs, now }: Status): Html {
  const whenOf = (at: number | null): Cell => (at === null ? 'never' : ago(at, now));
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
  const head = ['job', 'runs', 'failures', 'skips', 'last run', 'last success', 'took', 'last failure'];
  return section('jobs', 'Jobs', table('Jobs of the exporter', head, rows.map(tableRow)));
}

function settingsSection({ settings }: Status): Html {
  const rows = settings.map(({ name, shown, origin, from }) => [name, shown, origin, from]);
  return section(
    'settings',
    'Configuration',
    table('Settings in force', ['setting', 'value', 'origin', 'from'], rows.map(tableRow)),
  );
}

function section(id: string, title: string, content: Html): Html {
  return html`<section aria-labelledby="${id}">
    <h2 id="${id}">${title}</h2>
    ${content}
  </section>`;
}

/** A wide table scrolls by itself, by keyboard too. */
function table(label: string, head: readonly string[], rows: readonly Html[]): Html {
  return html`<div class="scroll" role="region" aria-label="${label}" tabindex="0">
    <table>
      <caption>
        ${label}
      </caption>
      <thead>
        <tr>
          ${head.map((name) => html`<th scope="col">${name}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows}
      </tbody>
    </table>
  </div>`;
}

/** The first cell names the row. */
function tableRow([name = '', ...cells]: readonly Cell[]): Html {
  return html`<tr>
    <th scope="row">${name}</th>
    ${cells.map((cell) => html`<td>${cell}</td>`)}
  </tr>`;
}

function ago(at: number, now: number): Html {
  const seconds = Math.max(0, Math.round((now - at) / 1_000));
  const iso = new Date(at).toISOString().slice(0, 19);
  return html`<time datetime="${iso}Z">${seconds === 0 ? 'now' : `${formatSeconds(seconds)} ago`}</time>`;
}
