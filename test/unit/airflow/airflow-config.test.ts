import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseConfigFile } from '../../../src/airflow/config-file.ts';
import type { AirflowOption } from '../../../src/airflow/config-option.ts';
import { lookUpOption, wholeNumberOf } from '../../../src/airflow/config-option.ts';

/** One question about an option, as test/airflow/config/config_cases.py asks it of every release. */
interface Case {
  readonly file: string | null;
  readonly env: Readonly<Record<string, string>>;
  readonly section: string;
  readonly key: string;
  readonly number: boolean;
}

const folder = new URL('../../fixtures/airflow-config/', import.meta.url);
const read = (name: string): unknown => JSON.parse(readFileSync(new URL(name, folder), 'utf8'));
const cases = read('cases.json') as readonly Case[];
const releases = readdirSync(folder).filter((name) => name !== 'cases.json');

/** The names that an option has in a release's `configuration.py`, without those that this product leaves out. */
function optionIn(release: string, { section, key }: Case): AirflowOption {
  const [major = 0, minor = 0] = release.split('.').map(Number);
  const sensitive = key === 'sql_alchemy_conn';
  if (sensitive && !(major === 3 && minor < 2))
    return { section, key, former: { section: 'core', key }, sensitive };
  if (key === 'sql_alchemy_schema' && major === 2)
    return { section, key, former: { section: 'core', key }, sensitive };
  if (key === 'base_url' && major === 3)
    return { section: 'api', key, former: { section: 'webserver', key }, sensitive };
  return { section, key, former: null, sensitive };
}

function answer(release: string, one: Case): unknown {
  const file = one.file === null ? null : parseConfigFile(one.file);
  if (file !== null && 'fault' in file) return { unreadable: file.fault };
  const env = { HOME: '/home/airflow', ...one.env };
  const found = lookUpOption(optionIn(release, one), { file, env });
  switch (found.kind) {
    case 'absent':
      return { absent: true };
    case 'fault':
      return { error: found.fault };
    // Only Airflow knows the output of a command and of a secret: in the cases, each output names its source.
    case 'command':
      return { value: 'from-a-command\n' };
    case 'secret':
      return { value: 'from-a-secret' };
    case 'value':
      return one.number ? numberIn(release, found.text) : { value: found.text };
  }
}

function numberIn(release: string, text: string): unknown {
  const whole = wholeNumberOf(text);
  const [major = 0, minor = 0] = release.split('.').map(Number);
  const isTaken = whole !== null && (!whole.since32 || (major === 3 && minor >= 2));
  return isTaken ? { value: String(whole.number) } : { error: 'AirflowConfigException' };
}

describe('the configuration of Airflow', () => {
  test('has at least 200 recorded cases of five releases', () => {
    expect(cases.length).toBeGreaterThanOrEqual(200);
    expect(releases).toHaveLength(5);
  });

  test.each(releases)('is read as Airflow itself reads it: %s', (name) => {
    const { release, answers } = read(name) as { release: string; answers: readonly unknown[] };
    expect(answers).toHaveLength(cases.length);
    const different = cases.flatMap((one, index) => {
      const ours = answer(release, one);
      return JSON.stringify(ours) === JSON.stringify(answers[index])
        ? []
        : [{ ...one, ours, airflow: answers[index] }];
    });
    expect(different).toEqual([]);
  });

  test('names the line of an option and of a mistake', () => {
    const file = parseConfigFile('# c\n[core]\nx = 1\n  2\n\ny = 3\n');
    expect(file).toMatchObject({
      sections: new Map([
        [
          'core',
          new Map([
            ['x', { text: '1\n2', line: 3 }],
            ['y', { text: '3', line: 6 }],
          ]),
        ],
      ]),
    });
    expect(parseConfigFile('[core]\nbroken\nx = 1\nx = 2\n')).toEqual({
      fault: 'DuplicateOptionError',
      line: 4,
    });
    expect(parseConfigFile('[core]\nbroken\nworse\n')).toEqual({ fault: 'ParsingError', line: 2 });
  });

  test('ends where values name each other for ever', () => {
    const option = { section: 'core', key: 'x', former: null, sensitive: false };
    const look = (env: Record<string, string>) => lookUpOption(option, { file: null, env }).kind;
    expect(look({ AIRFLOW__CORE__X: '$A', A: '$B', B: '$A' })).toBe('fault');
    expect(look({ AIRFLOW__CORE__X: '$A', A: 'x$A' })).toBe('fault');
  });
});
