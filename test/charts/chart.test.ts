import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { SETTING_INPUTS, SETTING_NAMES } from '../../src/settings/catalogue.ts';
import { readConfig } from '../../src/settings/read-config.ts';

const chart = new URL('../../charts/airflow-xcom-exporter/', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, chart), 'utf8');

test('the chart is of the version of the package', () => {
  const { version } = JSON.parse(read('../../package.json')) as { version: string };
  expect(parse(read('Chart.yaml'))).toMatchObject({ version, appVersion: version });
});

test('dashboards and rules are those of grafana/, by a link', () => {
  const files = readdirSync(new URL('grafana/', chart));
  expect(files.filter((file) => file.endsWith('.json')).sort()).toEqual(
    readdirSync(new URL('../../grafana/', chart))
      .filter((file) => file.endsWith('.json'))
      .sort(),
  );
  const rules = parseAllDocuments(read('grafana/prometheusrule.yml')).map(
    (one) => one.toJS() as { spec: { groups: unknown[] } },
  );
  // The template splits the file at these lines.
  expect(read('grafana/prometheusrule.yml').split('\n---\n')).toHaveLength(rules.length);
  for (const { spec } of rules) expect(spec.groups.length).toBeGreaterThan(0);
});

test('settings that the chart refuses, and those of its examples, are settings', () => {
  const schema = JSON.parse(read('values.schema.json')) as {
    properties: { settings: { propertyNames: { not: { enum: string[] } } } };
  };
  const names = new Set<string>(SETTING_NAMES);
  expect(schema.properties.settings.propertyNames.not.enum.filter((name) => !names.has(name))).toEqual([]);
  for (const file of readdirSync(new URL('ci/', chart))) {
    const { settings = {} } = parse(read(`ci/${file}`)) as { settings?: Record<string, unknown> };
    const config = readConfig({
      argv: ['--config.file', file],
      env: {},
      readFile: () => JSON.stringify(settings),
    });
    expect(config.origins.filter(({ origin }) => origin === 'file')).toHaveLength(
      Object.keys(settings).length,
    );
  }
});

test('what an exec starts in the pod has the settings of the exporter: variables, and no flag', () => {
  const pod = read('templates/_pod.tpl');
  expect(/^ *args: (.*)$/m.exec(pod)?.[1]).toBe('[run]');
  const [, name, path] = /- name: (\w+_CONFIG_FILE)\n *value: (\S+)/.exec(pod) ?? [];
  expect(SETTING_INPUTS.find(({ variable }) => variable === name)?.setting).toBe('config.file');
  expect(pod).toContain(`mountPath: ${path}, subPath: settings.yml`);
});
