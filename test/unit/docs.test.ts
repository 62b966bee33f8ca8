import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { PROBLEM_CODES, runbookOf } from '../../src/diagnosis/problem-catalogue.ts';
import { METRICS } from '../../src/metrics/catalogue.ts';
import { SETTING_INPUTS } from '../../src/settings/catalogue.ts';
import { readConfig } from '../../src/settings/read-config.ts';
import { TABLES, renderTables } from '../support/doc-tables.ts';

const root = new URL('../../', import.meta.url);
const pages = readdirSync(new URL('docs/', root))
  .filter((name) => name.endsWith('.md'))
  .map((name) => `docs/${name}`);
/** All documents for a person who runs or changes the exporter. */
const documents = [
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'findings/README.md',
  'grafana/README.md',
  ...pages,
];

// `npm run docs` writes the differences.
test.each(Object.keys(TABLES) as (keyof typeof TABLES)[])(
  '%s has the tables that follow from the code',
  async (path) => {
    await expect(renderTables(read(path), path)).toMatchFileSnapshot(`../../${path}`);
  },
);

test.each(documents)('%s names only settings and scripts that there are', (path) => {
  const known = new Set(SETTING_INPUTS.flatMap(({ flag, variable }) => [flag, variable]));
  const named =
    read(path).match(/XCOM_EXPORTER_[A-Z0-9_]+|(?<=[ `])--(?:web|sample|probe|log|xcom|s3)\.[a-z.-]+/g) ?? [];
  expect(named.filter((name) => !known.has(name))).toEqual([]);

  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const run = [...read(path).matchAll(/npm run (?:--silent )?([a-z0-9:-]+)/g)].map(([, name]) => name ?? '');
  expect(run.filter((name) => !(name in scripts))).toEqual([]);
});

test.each(documents)('%s links to what there is', (path) => {
  const targets = [...read(path).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
  const broken = targets.filter((target) => !/^https?:/.test(target) && !resolves(target, path));
  expect(broken).toEqual([]);
});

test.each(documents)('%s asks Prometheus for metrics and labels that there are', (path) => {
  const queries = [...read(path).matchAll(/```promql\n(.*?)```/gs)].map(([, text = '']) => text).join('\n');
  const known = new Map(METRICS.map((metric) => [metric.name, metric]));
  for (const [, name = '', selector = ''] of queries.matchAll(/(airflow_xcom_[a-z0-9_]+)(?:\{([^}]*)\})?/g)) {
    const metric = known.get(name.replace(/_(?:bucket|sum|count)$/, '')) ?? known.get(name);
    expect([name, metric?.name]).not.toContain(undefined);
    const labels: readonly string[] = [...(metric?.labels ?? []), 'le', 'job', 'instance'];
    for (const [, label = ''] of selector.matchAll(/(\w+)\s*[=!]/g)) expect(labels).toContain(label);
  }
});

test.each(pages.filter((path) => path !== 'docs/sbom-licences.md'))('%s begins with who needs it', (path) => {
  const [title = '', first = ''] = read(path).split(/\n{2,}/);
  expect(title).toMatch(/^# /);
  expect(first).toMatch(/^For whoever /);
});

test('README leads to every page', () => {
  const led = documents.flatMap((path) =>
    path === 'README.md' || path === 'docs/install.md'
      ? [...read(path).matchAll(/\]\(([^)#\s]+)/g)].map(
          ([, target = '']) => new URL(target, new URL(path, root)).href,
        )
      : [],
  );
  const apart = pages.filter(
    (path) => path !== 'docs/sbom-licences.md' && !led.includes(new URL(path, root).href),
  );
  expect(apart).toEqual([]);
});

test('install.md pushes the image under the tag that the chart asks for', () => {
  const { appVersion } = parse(read('charts/airflow-xcom-exporter/Chart.yaml')) as { appVersion: string };
  const tags = [...read('docs/install.md').matchAll(/example\.org\/airflow-xcom-exporter:(\S+)/g)];
  expect(tags.map(([, tag]) => tag)).toEqual([appVersion, appVersion]);
});

describe('README.md', () => {
  test('is one screen and a half', () => {
    expect(read('README.md').split(/\s+/).length).toBeLessThan(900);
  });

  test('has an example of worker.env with which nothing is wrong, odd or unknown', () => {
    const example = /```ini\n(.*?)```/s.exec(read('README.md'))?.[1] ?? '';
    const env = Object.fromEntries(
      example
        .trim()
        .split('\n')
        .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    );
    const config = readConfig({
      argv: [],
      env,
      readFile: () => {
        throw new Error('Cannot read a file: there is none');
      },
    });
    const { backend, compression, paths, threshold } = config.xcom;
    expect([backend, compression, paths?.length, threshold]).toEqual([
      expect.stringContaining('XComObjectStorageBackend'),
      '',
      1,
      1_048_576,
    ]);
    expect(config.database).not.toBeNull();
    expect([...config.s3.connections.keys()]).toContain('aws_xcom');
    expect(config.warnings).toEqual([]);
  });
});

describe('docs/runbook.md', () => {
  const sections = new Map(
    read('docs/runbook.md')
      .split(/^## /m)
      .slice(1)
      .map((section) => [section.slice(0, section.indexOf('\n')), section]),
  );

  test('has one section for each problem, in the order of the pages', () => {
    expect([...sections.keys()].filter((title) => /^[a-z_0-9]+$/.test(title))).toEqual(PROBLEM_CODES);
  });

  test('is linked to in one way: pages, check and alerts give the same', () => {
    for (const code of PROBLEM_CODES) expect(resolves(`../${runbookOf(code)}`, 'docs/runbook.md')).toBe(true);
    const alerts = read('grafana/alerts.yml').match(/(?<=runbook_url: ).*$/gm) ?? [];
    expect(alerts.length).toBeGreaterThan(PROBLEM_CODES.length / 3);
    const templated = PROBLEM_CODES.map(runbookOf)
      .join()
      .replaceAll(/#\w+/g, '#{{ $labels.problem }}')
      .split(',');
    for (const link of alerts) {
      const target = link.replaceAll(/^['"]|['"]$/g, '');
      expect([target, templated.includes(target) || resolves(`../${target}`, 'grafana/alerts.yml')]).toEqual([
        target,
        true,
      ]);
    }
  });

  test.each(PROBLEM_CODES)('says of %s what it means, how to confirm and mend it', (code) => {
    const section = sections.get(code) ?? '';
    for (const part of ['**Means.**', '**Confirm.**', '**Fix.**', '**Rows already written.**'])
      expect(section).toContain(part);
  });
});

function read(path: string): string {
  return readFileSync(new URL(path, root), 'utf8');
}

function resolves(target: string, from: string): boolean {
  const [path = '', anchor] = target.split('#');
  const url = path === '' ? new URL(from, root) : new URL(path, new URL(from, root));
  if (!existsSync(url)) return false;
  return anchor === undefined || anchorsOf(readFileSync(url, 'utf8')).has(anchor);
}

/** The anchors of the headings, as GitHub makes them. */
function anchorsOf(markdown: string): Set<string> {
  const headings = [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) => title);
  return new Set(
    headings.map((title) =>
      title
        .toLowerCase()
        .replaceAll(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    ),
  );
}
