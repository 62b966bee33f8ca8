import { pathWords, thresholdWords } from '../diagnosis/observed.ts';
import { formatCount, formatSeconds } from '../lib/format.ts';
import type { Status } from '../status/status.ts';
import type { Html, Part } from './html.ts';
import { html } from './html.ts';
import { section, size, table, tableRow, UNKNOWN } from './page-parts.ts';
import { sparkline } from './plots.ts';

/** Shows where values should be stored, where they are seen, and how the bucket answered the last probe. */
export function storageSection(status: Status): Html {
  const { report, listing, clockSkewSeconds } = status;
  const backend = report?.backend ?? null;
  const threshold = report?.thresholdBytes ?? null;
  const known: (readonly [string, Part | undefined])[] = [
    ['Airflow', backend?.airflow],
    ['schema', backend?.schema],
    ...(backend === null
      ? [['path', told(status, 'xcom.path')] as const]
      : ([
          ['bucket', backend.bucket ?? told(status, 'xcom.path')],
          ['prefix', backend.prefix ?? told(status, 'xcom.path')],
          ['connection', backend.connection ?? told(status, 'xcom.path')],
        ] as const)),
    ['path seen', report === null ? undefined : pathWords(report.observed)],
    ['compression', backend?.compression ?? told(status, 'xcom.compression')],
    [
      'threshold',
      threshold === null
        ? told(status, 'xcom.threshold')
        : threshold < 0
          ? `${threshold} (nothing is offloaded)`
          : size(threshold),
    ],
    ['threshold seen', report === null ? undefined : thresholdWords(report.observed)],
    // A normal state needs no line.
    ...(listing === null || listing.kind === 'whole' ? [] : [['listings', listing.words] as const]),
    ...(clockSkewSeconds === null || clockSkewSeconds === 0
      ? []
      : [['clock', clockWords(clockSkewSeconds)] as const]),
    ['oversize from', report === null ? undefined : size(report.oversizeBytes)],
  ];
  const rows = known.map(([term, value]) => [
    term,
    value === undefined ? UNKNOWN : value === '' ? '-' : value,
  ]);
  return section(
    'storage',
    'Object storage',
    html`<div class="side">
      ${table('What is watched', ['what', 'value'], { rows: rows.map(tableRow) })} ${probeTable(status)}
    </div>`,
  );
}

function clockWords(skewSeconds: number): string {
  const side = skewSeconds > 0 ? 'behind' : 'ahead of';
  return `this machine is ${formatSeconds(Math.abs(skewSeconds))} ${side} the storage, by whose clock requests are signed`;
}

/** The setting as configured, for the time before the database has been read. When nobody set it, how to set it. */
function told({ settings }: Status, setting: string): string | undefined {
  const found = settings.find(({ name }) => name === setting);
  return found?.origin === 'unknown' ? `${UNKNOWN}: ${found.from}` : found?.shown;
}

function probeTable({ probe, jobs, history, now }: Status): Html {
  if (probe === null || probe.steps.length === 0) {
    const ended = jobs.some(({ job, runs }) => job === 'probe' && runs > 0);
    return html`<p>
      ${ended ? 'The exporter was told no path in S3: nothing is probed.' : 'No probe has ended yet.'}
    </p>`;
  }
  const { probes } = history;
  const span = formatSeconds(Math.max(0, Math.round((now - (probes[0]?.at ?? now)) / 1_000)));
  const rows = probe.steps.map((step) => [
    step.operation,
    step.ok === null
      ? 'not tried'
      : step.ok
        ? html`<b class="ok">ok</b>`
        : html`<b class="no">failed</b>: ${step.reason} (${step.detail})`,
    step.ok === null ? '' : formatSeconds(step.seconds),
    ...(probes.length > 1 ? [latency(step.operation)] : []),
  ]);
  const head = ['operation', 'outcome', 'took', ...(probes.length > 1 ? [`the last ${span}`] : [])];
  return table('Last probe of the bucket', head, { rows: rows.map(tableRow) });

  function latency(operation: (typeof probe & object)['steps'][number]['operation']): Html | null {
    const tried = probes.filter(({ seconds }) => seconds[operation] !== undefined);
    const values = tried.map(({ seconds }) => seconds[operation] ?? null);
    const known = values.filter((value) => value !== null);
    if (values.length < 2) return null;
    const failed = values.length - known.length;
    const most = known.length === 0 ? '' : `, at most ${formatSeconds(Math.max(...known))}`;
    return sparkline(
      {
        id: `spark-${operation}`,
        title: operation,
        words: `${formatCount(values.length)} probes in ${span}${most}, ${formatCount(failed)} failed`,
      },
      { at: tried.map(({ at }) => at), values },
    );
  }
}
