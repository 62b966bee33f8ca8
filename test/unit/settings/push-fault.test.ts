import { expect, test } from 'vitest';
import { parseXComPaths } from '../../../src/airflow/xcom-path.ts';
import { faultInRelease, pushFaultOf } from '../../../src/settings/push-fault.ts';
import { readConfig } from '../../../src/settings/read-config.ts';

const fault = pushFaultOf([{ pushFault: 'The scheme', unless: 'Airflow 3.2' }], {
  backend: null,
  paths: null,
});

test.each([
  ['before 2.9', 'every push fails'],
  ['2.9', 'every push fails'],
  ['2.10-2.11', 'every push fails'],
  ['3.0-3.2', 'pushes may fail'],
  [null, 'pushes may fail'],
  ['3.3', undefined],
  ['3.4', undefined],
])('a fault of releases before 3.2, in %s: %s', (releases, effect) => {
  expect(faultInRelease(fault, releases)?.effect).toBe(effect);
});

test('a fault that does not depend on the release of Airflow is the same in each', () => {
  for (const unless of [undefined, 'common-io 1.3.0'] as const) {
    const told = unless === undefined ? { pushFault: 'a' } : { pushFault: 'a', unless };
    const other = pushFaultOf([told], { backend: null, paths: null });
    for (const releases of [null, '2.9', '3.0-3.2', '3.4'])
      expect(faultInRelease(other, releases)).toEqual(other);
  }
});

test('the gravest fault counts, and none with the class that keeps values in the database', () => {
  const warnings = [
    'a sentence',
    { pushFault: 'perhaps', unless: 'Airflow 3.2' },
    { pushFault: 'some', connections: ['a'] },
    { pushFault: 'all' },
  ] as const;
  const paths = parseXComPaths('s3://a@b/x,s3://c@b/y');
  const sentence = (count: number) =>
    pushFaultOf(warnings.slice(0, count), { backend: null, paths })?.sentence;
  expect([1, 2, 3, 4].map(sentence)).toEqual([
    undefined,
    'perhaps',
    'some (this concerns workers with the path s3://a@b/x)',
    'all',
  ]);
  expect(pushFaultOf(warnings, { backend: 'airflow.models.xcom.BaseXCom', paths })).toBeNull();
});

test.each([
  ['s3://a@b1/x,s3://c@b2/y', 'the pushes of some workers fail'],
  ['s3://c@b1/x,s3://c@b2/y', 'every push fails'],
  ['s3://c@b2/y', 'every push fails'],
  ['s3://a@b1/x', undefined],
])('with the paths %s and a fault of the connection c %s', (paths, effect) => {
  const connection = (extra: object) => JSON.stringify({ login: 'k', password: 's', extra });
  const config = readConfig({
    argv: ['--xcom.path', paths],
    env: {
      AIRFLOW_CONN_A: connection({ region_name: 'eu-west-1' }),
      AIRFLOW_CONN_C: connection({ region_name: 'eu-west-1', config_kwargs: { addressing_style: 'path' } }),
    },
    readFile: () => {
      throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
    },
  });
  expect(config.xcom.pushFault?.effect).toBe(effect);
  if (effect === 'the pushes of some workers fail')
    expect(config.xcom.pushFault?.sentence).toMatch(
      / \(this concerns workers with the path s3:\/\/c@b2\/y\)$/,
    );
});

test('a fault that two connections have is one of both their paths', () => {
  const twice = ['a', 'c'].map((id) => ({ pushFault: 'Half of a pair', connections: [id] }));
  const paths = parseXComPaths('s3://a@b/x,s3://c@b/y');
  expect(pushFaultOf(twice, { backend: null, paths })).toEqual({
    sentence: 'Half of a pair',
    effect: 'every push fails',
    unless: null,
  });
});
