import { expect, test } from 'vitest';
import { parseXComPaths } from '../../../src/airflow/xcom-path.ts';
import { gravestFault, pushFaultsOf } from '../../../src/settings/push-fault.ts';
import { readConfig } from '../../../src/settings/read-config.ts';

const faults = pushFaultsOf([{ pushFault: 'The scheme', unless: 'Airflow 3.2' }], {
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
  expect(gravestFault(faults, releases)?.effect).toBe(effect);
});

test('a fault that does not depend on the release of Airflow is the same in each', () => {
  for (const unless of [undefined, 'common-io 1.3.0'] as const) {
    const told = unless === undefined ? { pushFault: 'a' } : { pushFault: 'a', unless };
    const other = pushFaultsOf([told], { backend: null, paths: null });
    for (const releases of [null, '2.9', '3.0-3.2', '3.4'])
      expect(gravestFault(other, releases)).toEqual(other[0]);
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
    gravestFault(pushFaultsOf(warnings.slice(0, count), { backend: null, paths }), null)?.sentence;
  expect([1, 2, 3, 4].map(sentence)).toEqual([
    undefined,
    'perhaps',
    'some (this concerns workers with the path s3://a@b/x)',
    'all',
  ]);
  expect(pushFaultsOf(warnings, { backend: 'airflow.models.xcom.BaseXCom', paths })).toEqual([]);
});

test('the release is applied to each fault before the gravest is taken', () => {
  const paths = parseXComPaths('s3://a@b/x,s3://c@b/y');
  const gravest = (releases: string, ...warnings: Parameters<typeof pushFaultsOf>[0]) =>
    gravestFault(pushFaultsOf(warnings, { backend: null, paths }), releases);
  const threshold = { pushFault: 'threshold', unless: 'Airflow 3.2' } as const;
  const backend = { pushFault: 'class', unless: 'common-io 1.3.0' } as const;
  const some = { pushFault: 'some', connections: ['a'] };
  expect(gravest('3.4', threshold, backend)?.sentence).toBe('class');
  expect(gravest('2.10-2.11', backend, threshold)?.sentence).toBe('threshold');
  expect(gravest('2.10-2.11', some, threshold)).toMatchObject({
    sentence: 'threshold',
    effect: 'every push fails',
  });
  expect(gravest('3.4', some, threshold)?.effect).toBe('the pushes of some workers fail');
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
  const [fault] = config.xcom.pushFaults;
  expect(fault?.effect).toBe(effect);
  if (effect === 'the pushes of some workers fail')
    expect(fault?.sentence).toMatch(/ \(this concerns workers with the path s3:\/\/c@b2\/y\)$/);
});

test('a fault that two connections have is one of both their paths', () => {
  const twice = ['a', 'c'].map((id) => ({ pushFault: 'Half of a pair', connections: [id] }));
  const paths = parseXComPaths('s3://a@b/x,s3://c@b/y');
  expect(pushFaultsOf(twice, { backend: null, paths })).toEqual([
    { sentence: 'Half of a pair', effect: 'every push fails', unless: null },
  ]);
});
