import type { Report } from '../diagnosis/report.ts';
import { STORAGES } from '../diagnosis/report.ts';
import { formatBytes, formatCount, formatMoment, formatSeconds } from '../lib/format.ts';
import type { History } from '../status/history.ts';
import { SIZE_BOUNDS, sizesOf } from '../status/history.ts';
import type { Status } from '../status/status.ts';
import type { Storage } from '../window/flags.ts';
import { BROKEN_REASONS } from '../window/flags.ts';
import type { Html, Part } from './html.ts';
import { html } from './html.ts';
import { section, size, table, tableRow, UNKNOWN } from './page-parts.ts';
import { barPlot, linePlot } from './plots.ts';

const NAMES: Readonly<Record<Storage, string>> = {
  db: 'values in the database',
  s3: 'references to S3',
  other: 'references to elsewhere',
};

/** Problems that large values in the database indicate. */
const OF_OVERSIZE = ['threshold_disabled', 'backend_inactive', 'worker_bypass', 'oversize_in_db'] as const;

/** The window in figures, with plots of how they developed. */
export function windowSection(report: Report, status: Status): Html {
  const { window } = report;
  if (window === null) {
    return section('window', 'The window', html`<p>What the window holds is ${UNKNOWN}.</p>`);
  }
  const rows = [
    ...STORAGES.map((storage) => [
      NAMES[storage],
      countOf(window.rows[storage]),
      size(window.bytes[storage]),
    ]),
    ['oversize values in the database', countOf(window.oversizeRows), size(window.oversizeBytes)],
    ...BROKEN_REASONS.map((reason) => [
      `broken references: ${reason.replace('_', ' ')}`,
      countOf(window.broken[reason]),
      '',
    ]),
    ['objects without a row', countOf(window.orphanObjects), size(window.orphanBytes)],
  ];
  const { history } = status;
  return section('window', `The window: the last ${formatSeconds(window.seconds)}`, [
    history.cycles.length > 0 &&
      html`<div class="plots">
        ${overTime(history, { what: 'rows', now: status.now })}
        ${overTime(history, { what: 'bytes', now: status.now })} ${distribution(history, report, status.now)}
      </div>`,
    table('The window in figures', ['what', 'number', 'size'], { rows: rows.map(tableRow) }),
  ]);
}

function overTime(
  { cycles }: History,
  { what, now }: { readonly what: 'rows' | 'bytes'; readonly now: number },
): Html {
  const format = what === 'rows' ? formatCount : formatBytes;
  // A storage that never holds a row would only hide another line.
  const storages = STORAGES.filter(
    (storage) => storage !== 'other' || cycles.some(({ rows }) => (rows?.other ?? 0) > 0),
  );
  const valuesOf = (storage: Storage) => cycles.map((point) => point[what]?.[storage] ?? null);
  const shown = (figure: number | null | undefined): string => (figure == null ? UNKNOWN : format(figure));
  const first = cycles[0]?.at ?? now;
  const span = formatSeconds(Math.max(0, Math.round((now - first) / 1_000)));
  const words = storages.map((storage) => {
    const known = valuesOf(storage).filter((value) => value !== null);
    return known.length === 0
      ? `${NAMES[storage]}: ${UNKNOWN}`
      : `${NAMES[storage]}: ${shown(known[0])} first, ${shown(known.at(-1))} last, at most ${shown(Math.max(...known))}`;
  });
  return linePlot(
    {
      id: `plot-${what}`,
      title: what === 'rows' ? 'Rows in the window, cycle by cycle' : 'Bytes in the window, cycle by cycle',
      words: `Over the last ${span}, ${cycles.length} cycles. ${words.join('; ')}.`,
      legend: storages.map((storage) => [storage, `${NAMES[storage]}: ${shown(valuesOf(storage).at(-1))}`]),
    },
    {
      at: cycles.map(({ at }) => at),
      lines: storages.map((storage) => ({ kind: storage, values: valuesOf(storage) })),
      format,
      from: cycles.length > 1 ? `${span} ago` : '',
    },
  );
}

/** The sizes of values on each side of the threshold: where the two sides mix, something is wrong. */
function distribution(history: History, report: Report, now: number): Html | null {
  const sizes = sizesOf(history);
  if (sizes === null) return null;
  const { counts, since } = sizes;
  // Rows written before the exporter started are in the window but were not counted.
  if ([...counts.db, ...counts.s3].every((count) => count === 0)) return null;
  const { oversizeBytes, thresholdBytes, states } = report;
  // The bars include the past, so red is only for a problem that exists now.
  const isWrong = OF_OVERSIZE.some((code) => states[code] === 'raised');
  const ranges = Array.from({ length: SIZE_BOUNDS.length + 1 }, (_, i) => {
    const from = i === 0 ? 0 : (SIZE_BOUNDS[i - 1] ?? 0);
    return { from, to: SIZE_BOUNDS[i] ?? null, db: counts.db[i] ?? 0, s3: counts.s3[i] ?? 0 };
  });
  const bars = ranges.map(({ from, db, s3 }, i) => ({
    label: i % 2 === 1 ? formatBytes(from) : '',
    stacks: [
      { kind: isWrong && from >= oversizeBytes ? 'over' : 'db', count: db },
      { kind: 's3', count: s3 },
    ],
  }));
  const threshold = thresholdBytes !== null && thresholdBytes >= 0 ? thresholdBytes : null;
  const marks = [
    ...(threshold === null ? [] : [{ at: placeOf(threshold), label: `threshold ${formatBytes(threshold)}` }]),
    ...(threshold === oversizeBytes
      ? []
      : [{ at: placeOf(oversizeBytes), label: `oversize ${formatBytes(oversizeBytes)}` }]),
  ];
  const words = ranges
    .filter(({ db, s3 }) => db + s3 > 0)
    .map(
      ({ from, to, db, s3 }) =>
        `${to === null ? `${formatBytes(from)} and more` : `${formatBytes(from)} to ${formatBytes(to)}`}: ${formatCount(db)} in the database, ${formatCount(s3)} in S3`,
    );
  const limit = threshold === null ? 'The threshold is negative or not known.' : `${marks[0]?.label ?? ''}.`;
  const legend: (readonly [string, Part])[] = [
    ['db', 'in the database'],
    ['s3', 'in S3'],
  ];
  if (bars.some(({ stacks }) => stacks.some(({ kind, count }) => kind === 'over' && count > 0)))
    legend.push(['over', 'oversize in the database']);
  return barPlot(
    {
      id: 'plot-sizes',
      title: `Sizes of the values counted since ${formatMoment(since, now)} (bars are logarithmic)`,
      words: `${limit} ${words.length === 0 ? 'No values yet' : words.join('; ')}.`,
      legend,
    },
    { bars, marks },
  );
}

/** The position in bars from the left: each bar holds sizes four times those of the bar before. */
function placeOf(bytes: number): number {
  return bytes < 1 ? 0 : Math.max(0, Math.log(bytes) / Math.log(4) - 3);
}

function countOf(count: number | null): string {
  return count === null ? UNKNOWN : formatCount(count);
}
