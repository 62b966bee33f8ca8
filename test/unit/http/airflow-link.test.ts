import { describe, expect, test } from 'vitest';
import { airflowLink } from '../../../src/http/airflow-link.ts';

const task = { dagId: 'orders', runId: 'manual__2026-01-01T00:00:00+00:00', taskId: 'g.t', mapIndex: -1 };
const baseUrl = 'https://airflow.example.com/prod/';
const base = 'https://airflow.example.com/prod';
const run = 'manual__2026-01-01T00%3A00%3A00%2B00%3A00';

describe('a link into Airflow', () => {
  test.each([
    ['2.9', -1, `${base}/dags/orders/grid?dag_run_id=${run}&task_id=g.t&tab=xcom`],
    ['2.11', 0, `${base}/dags/orders/grid?dag_run_id=${run}&task_id=g.t&map_index=0&tab=xcom`],
    ['2.10', 12, `${base}/dags/orders/grid?dag_run_id=${run}&task_id=g.t&map_index=12&tab=xcom`],
    ['3.0', -1, `${base}/dags/orders/runs/${run}/tasks/g.t/xcom`],
    ['3.4', 0, `${base}/dags/orders/runs/${run}/tasks/g.t/mapped/0/xcom`],
    ['3', 12, `${base}/dags/orders/runs/${run}/tasks/g.t/mapped/12/xcom`],
  ])('of release %s, map index %i', (airflow, mapIndex, link) => {
    expect(airflowLink({ ...task, mapIndex }, { baseUrl, airflow })).toBe(link);
  });

  test.each(['/', '?', '#', '&', '=', '%', '+', ' ', '\n', '"', '<', '>', '\\', '東', 'é', '😀'])(
    'keeps %j in its own part',
    (character) => {
      const name = `a${character}b`;
      const hostile = { dagId: name, runId: name, taskId: name, mapIndex: 3 };
      const three = new URL(airflowLink(hostile, { baseUrl, airflow: '3.1' }) ?? '');
      expect(three.pathname.split('/').map(decodeURIComponent)).toEqual([
        '',
        'prod',
        'dags',
        name,
        'runs',
        name,
        'tasks',
        name,
        'mapped',
        '3',
        'xcom',
      ]);
      expect([three.search, three.hash]).toEqual(['', '']);
      const two = new URL(airflowLink(hostile, { baseUrl, airflow: '2.10' }) ?? '');
      expect(two.pathname.split('/').map(decodeURIComponent)).toEqual(['', 'prod', 'dags', name, 'grid']);
      expect([...two.searchParams]).toEqual([
        ['dag_run_id', name],
        ['task_id', name],
        ['map_index', '3'],
        ['tab', 'xcom'],
      ]);
    },
  );

  test.each([
    ['a base that is no web address', { baseUrl: 'javascript:alert(1)' }],
    ['a base that only looks like one', { baseUrl: 'ftp://airflow' }],
    ['a release that is not known', { airflow: '' }],
    ['a release of another kind', { airflow: '1.10' }],
    ['a release that only begins like one', { airflow: '20.1' }],
    ['half a surrogate pair', { dagId: '\ud800' }],
    ['a step in the path', { taskId: '..' }],
    ['a step that leads nowhere', { dagId: '.' }],
    ['no name', { runId: '' }],
    ['an address that no server takes', { runId: '東'.repeat(250) }],
  ])('is none for %s', (_, changes) => {
    const {
      baseUrl: other = baseUrl,
      airflow = '3.0',
      ...names
    } = changes as Partial<typeof task & { baseUrl: string; airflow: string }>;
    expect(airflowLink({ ...task, ...names }, { baseUrl: other, airflow })).toBeNull();
  });
});
