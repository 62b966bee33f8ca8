import { expect, test } from 'vitest';
import { readConfig } from '../../../src/settings/read-config.ts';

const tasksRun = (text: string) =>
  readConfig({ argv: [], env: { AIRFLOW__CORE__EXECUTOR: text }, readFile: () => '' }).tasksRun;

test.each([
  ['LocalExecutor', 'beside_scheduler'],
  ['SequentialExecutor', 'beside_scheduler'],
  ['airflow.executors.local_executor.LocalExecutor', 'beside_scheduler'],
  ['LocalExecutor, mine:airflow.executors.local_executor.LocalExecutor', 'beside_scheduler'],
  ['CeleryExecutor', 'elsewhere'],
  ['LocalExecutor,KubernetesExecutor', 'elsewhere'],
  ['LocalExecutor;team1=CeleryExecutor', 'elsewhere'],
  ['LocalKubernetesExecutor', 'elsewhere'],
  ['my.own.Executor', 'elsewhere'],
  ['', null],
  ['"LocalExecutor"', null],
  ["'CeleryExecutor'", null],
])('%s: tasks run %s', (text, place) => {
  expect(tasksRun(text)).toBe(place);
});

test('nobody told', () => {
  expect(readConfig({ argv: [], env: {}, readFile: () => '' }).tasksRun).toBeNull();
});
