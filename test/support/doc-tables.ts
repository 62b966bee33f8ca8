import { METRICS } from '../../src/metrics/catalogue.ts';
import type { MetricDefinition } from '../../src/metrics/catalogue.ts';
import type { Grounds } from '../../src/diagnosis/problem-catalogue.ts';
import { PROBLEM_CODES, PROBLEMS } from '../../src/diagnosis/problem-catalogue.ts';
import { settingsTable } from '../../src/settings/catalogue.ts';

const SETTINGS_PAGE = {
  settings: () =>
    table(
      ['setting', 'default', 'meaning'],
      settingsTable().map((row) => [`\`${row.name}\``, row.default, row.description]),
    ),
};

const METRICS_PAGE = {
  metrics: () =>
    table(
      ['metric', 'type', 'labels', 'meaning'],
      METRICS.map((metric) => [nameOf(metric), metric.type, metric.labels.join(', '), metric.help]),
    ),
};

const RUNBOOK = {
  problems: () =>
    table(
      ['problem', 'severity', 'said when'],
      PROBLEM_CODES.map((code) => [`[\`${code}\`](#${code})`, PROBLEMS[code].severity, PROBLEMS[code].title]),
    ),
  grounds: () =>
    table(
      ['problem', 'settings', 'also, where told', 'probe', 'database', 'object storage'],
      PROBLEM_CODES.map((code) => {
        const { settings, heeds, probe, database, objects }: Grounds = PROBLEMS[code].restsOn;
        return [
          `[\`${code}\`](#${code})`,
          settings.map((name) => `\`${name}\``).join(', '),
          heeds.map((name) => `\`${name}\``).join(', '),
          probe.length > 1 ? `one of ${probe.join(', ')}` : probe.join(', '),
          database === 'nothing' ? '' : database,
          objects ? 'answers about references' : '',
        ];
      }),
    ),
};

/** The pictures as `npm run pictures` makes them. */
const PICTURES_PAGE = {
  pictures: () =>
    table(
      ['problem', 'on a desk', 'on a phone'],
      PROBLEM_CODES.filter((code) => PROBLEMS[code].severity === 'critical').map((code) => [
        `[\`${code}\`](runbook.md#${code}): ${PROBLEMS[code].title}`,
        `![${code} at 1280 pixels](images/page/${code}.png)`,
        `![${code} at 375 pixels](images/page/${code}-phone.png)`,
      ]),
    ),
};

/** The tables that are made from the code, by their file and the name of their markers. */
export const TABLES = {
  'docs/settings.md': SETTINGS_PAGE,
  'docs/metrics.md': METRICS_PAGE,
  'docs/runbook.md': RUNBOOK,
  'docs/pictures.md': PICTURES_PAGE,
} as const;

/**
 * Gives the text with every table between `<!-- name:begin -->` and `<!-- name:end -->` written again.
 *
 * @throws {Error} when the markers of a table are missing.
 */
export function renderTables(text: string, file: keyof typeof TABLES): string {
  let rendered = text;
  for (const [name, render] of Object.entries(TABLES[file])) {
    const [begin, end] = [`<!-- ${name}:begin -->`, `<!-- ${name}:end -->`];
    const [from, to] = [rendered.indexOf(begin), rendered.indexOf(end)];
    if (from < 0 || to < from) throw new Error(`Cannot write the table of ${name}: no ${begin} … ${end}`);
    // The formatter would align the columns, and a column of long sentences would make every line as long as the
    // longest.
    const body = `<!-- prettier-ignore -->\n${render()}\n`;
    rendered = `${rendered.slice(0, from)}${begin}\n${body}\n${rendered.slice(to)}`;
  }
  return rendered;
}

function nameOf({ name, stability }: MetricDefinition): string {
  return stability === 'experimental' ? `\`${name}\` (experimental)` : `\`${name}\``;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), `|${head.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n');
}
