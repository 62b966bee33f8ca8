import { describe, expect, test } from 'vitest';
import { knownSettings, withHeard } from '../../../src/canary/known-settings.ts';
import { NO_CANARY, noteTasks } from '../../../src/canary/memory.ts';
import type { CanaryVerdict } from '../../../src/canary/verdict.ts';
import { judgeCanary } from '../../../src/canary/verdict.ts';
import { toldSettings } from '../../../src/settings/config.ts';
import { readConfig } from '../../../src/settings/read-config.ts';
import { BACKEND, lookOf, settingsWith, taskOf, WITHOUT_BACKEND } from '../../support/canary.ts';

const NOW = Date.UTC(2026, 10, 28, 12);
const PATH = 's3://aws_xcom@airflow-xcom/xcom';

/** The verdict after each pool has reported the settings that it resolves. */
function canary(changes: Readonly<Record<string, object>>): CanaryVerdict | null {
  const pools = Object.fromEntries(Object.keys(changes).map((name) => [name, name]));
  const tasks = Object.entries(changes).map(([name, change]) =>
    taskOf(lookOf(name, { pools, ...change }), { at: NOW }),
  );
  return judgeCanary(noteTasks(NO_CANARY, tasks, { now: NOW }).memory, {
    now: NOW,
    told: { backend: null, paths: null, threshold: null },
  });
}

const configOf = (env = {}) => readConfig({ argv: [], env, readFile: () => '' });
const untold = configOf();
const known = (changes: Readonly<Record<string, object>>, { xcom } = untold) =>
  knownSettings(xcom, canary(changes));

describe('what all queues agree on', () => {
  test('stands for what nobody told, with its origin', () => {
    const { xcom, heard } = known({ default: {}, legacy: {} });
    expect(xcom).toMatchObject({ backend: BACKEND, threshold: 1000, compression: '' });
    expect(xcom.paths?.map(({ raw }) => raw)).toEqual([PATH]);
    expect(xcom.inForce).toMatchObject({ bucket: 'airflow-xcom', connection: 'aws_xcom', prefix: 'xcom' });
    expect(Object.values(toldSettings({ xcom }))).toEqual([true, true, true, true]);
    expect(heard).toEqual([
      { name: 'xcom.path', shown: PATH, from: 'the canary of all 2 queues' },
      { name: 'xcom.threshold', shown: '1000', from: 'the canary of all 2 queues' },
      { name: 'xcom.compression', shown: '', from: 'the canary of all 2 queues' },
      { name: 'xcom.backend', shown: BACKEND, from: 'the canary of all 2 queues' },
    ]);
    expect(
      withHeard(untold.origins, heard)
        .filter(({ origin }) => origin === 'canary')
        .map(({ name, shown }) => [name, shown]),
    ).toEqual([
      ['xcom.path', PATH],
      ['xcom.threshold', '1000'],
      ['xcom.compression', ''],
      ['xcom.backend', BACKEND],
    ]);
  });

  test('is no word against what was told', () => {
    const told = configOf({ AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD: '5' });
    const { xcom, heard } = known({ default: {} }, told);
    expect(xcom.threshold).toBe(5);
    expect(heard.map(({ name }) => name)).toEqual(['xcom.path', 'xcom.compression', 'xcom.backend']);
    expect(heard[0]?.from).toBe('the canary of queue default');
  });

  test('leaves the size from which a value counts as oversize as it was', () => {
    expect(known({ default: {} }).xcom.oversize).toBe(untold.xcom.oversize);
  });

  test('may be that there is nothing: Airflow’s own class, no path, no threshold', () => {
    const { xcom } = known({ default: WITHOUT_BACKEND, legacy: WITHOUT_BACKEND });
    expect(xcom).toMatchObject({ backend: '', paths: [], inForce: null, threshold: -1 });
  });
});

test.each<[string, Record<string, object>, string[]]>([
  ['queues differ', { default: {}, legacy: settingsWith({ threshold: '5' }) }, ['xcom.threshold']],
  ['a threshold is no number', { default: settingsWith({ threshold: '1k' }) }, ['xcom.threshold']],
  ['a threshold is masked', { default: settingsWith({ threshold: '***' }) }, ['xcom.threshold']],
  ['a path names no bucket', { default: settingsWith({ path: 's3://aws@/xcom' }) }, ['xcom.path']],
  ['a path held keys', { default: settingsWith({ path: 's3://***@bucket/xcom' }) }, ['xcom.path']],
  ['a path was cut', { default: settingsWith({ path: `s3://b/${'x'.repeat(493)}` }) }, ['xcom.path']],
])('where %s, that setting is not known', (_, changes, missing) => {
  const { xcom, heard } = known(changes);
  const names = ['xcom.backend', 'xcom.path', 'xcom.threshold', 'xcom.compression'] as const;
  expect(names.filter((name) => !toldSettings({ xcom })[name])).toEqual(missing);
  expect(heard).toHaveLength(4 - missing.length);
});

test.each(['1_000', '+1000'])('a threshold of %s is what Python reads in it', (threshold) => {
  expect(known({ default: settingsWith({ threshold }) }).xcom.threshold).toBe(1_000);
});

test('a threshold that nothing reaches is known, and shown as workers have it', () => {
  const threshold = '9223372036854775807';
  const { xcom, heard } = known({ default: settingsWith({ threshold }) });
  expect(xcom.threshold).toBe(Number(threshold));
  expect(heard.find(({ name }) => name === 'xcom.threshold')?.shown).toBe(threshold);
});

test('while a queue is not heard, nothing is known', () => {
  const alone = judgeCanary(
    noteTasks(NO_CANARY, [taskOf(lookOf('default'), { at: NOW })], { now: NOW }).memory,
    {
      now: NOW,
      told: { backend: null, paths: null, threshold: null },
    },
  );
  expect(knownSettings(untold.xcom, alone)).toEqual({ xcom: untold.xcom, heard: [] });
  expect(knownSettings(untold.xcom, null)).toEqual({ xcom: untold.xcom, heard: [] });
});
