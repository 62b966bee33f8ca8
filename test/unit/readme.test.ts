import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { PROBLEM_CODES, runbookOf } from '../../src/diagnosis/problem-catalogue.ts';
import { SETTING_INPUTS } from '../../src/settings/catalogue.ts';
import { renderTables } from '../support/readme-tables.ts';

const root = new URL('../../', import.meta.url);

describe('README.md', () => {
  // `npm run docs` writes what differs.
  test('has the tables that follow from the code', async () => {
    await expect(renderTables(read('README.md'), 'README.md')).toMatchFileSnapshot('../../README.md');
  });

  test('names only settings and scripts that there are', () => {
    const known = new Set(SETTING_INPUTS.flatMap(({ flag, variable }) => [flag, variable]));
    const named = read('README.md').match(
      /XCOM_EXPORTER_[A-Z0-9_]+|(?<= )--(?:web|sample|probe|log|xcom|s3)\.[a-z.-]+/g,
    );
    expect(named?.length).toBeGreaterThan(0);
    expect(named?.filter((name) => !known.has(name))).toEqual([]);

    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const run = [...read('README.md').matchAll(/npm run (?:--silent )?([a-z0-9:]+)/g)].map(
      ([, name]) => name ?? '',
    );
    expect(run.filter((name) => !(name in scripts))).toEqual([]);
  });
});

test.each(['README.md', 'CONTRIBUTING.md', 'docs/runbook.md'])('%s links to what there is', (path) => {
  const targets = [...read(path).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
  const broken = targets.filter((target) => !/^https?:/.test(target) && !resolves(target, path));
  expect(broken).toEqual([]);
});

describe('docs/runbook.md', () => {
  const sections = new Map(
    read('docs/runbook.md')
      .split(/^## /m)
      .slice(1)
      .map((section) => [section.slice(0, section.indexOf('\n')), section]),
  );

  // `npm run docs` writes what differs.
  test('has the table of what each problem rests on', async () => {
    const path = 'docs/runbook.md';
    await expect(renderTables(read(path), path)).toMatchFileSnapshot(`../../${path}`);
  });

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

/** As GitHub makes them. */
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
