import { expect, test } from 'vitest';
import { recogniseShape } from '../../../src/airflow/shape.ts';

test('a database without tables of Airflow is told apart from tables that no release has', () => {
  expect(recogniseShape([])).toEqual({
    unsupported: 'no table of Airflow is there, or the role sees none in the schemas of its search_path',
  });
  expect(
    recogniseShape([{ table: 'dag_run', column: 'id', type: 'integer', mayRead: true, hidesRows: false }]),
  ).toEqual({
    unsupported: 'table dag_run lacks a column of every known release',
  });
});

test('a table of the former name beside that for new rows is not Airflow’s', () => {
  const columns = {
    dag_run: ['id', 'dag_id', 'run_id', 'state'],
    task_instance: ['id', 'dag_id', 'run_id', 'task_id', 'region_index', 'working_set'],
    xcom: ['dag_run_id', 'task_id', 'map_index', 'key', 'dag_id', 'run_id', 'value', 'timestamp'],
    xcom_v2: ['id', 'task_instance_id', 'key', 'value', 'timestamp'],
  };
  const catalogue = Object.entries(columns).flatMap(([table, names]) =>
    names.map((column) => ({
      table,
      column,
      type: column === 'value' ? 'jsonb' : 'text',
      mayRead: true,
      hidesRows: false,
    })),
  );
  expect(recogniseShape(catalogue)).toMatchObject({ name: 'xcom_v2-jsonb', airflow: '3.4' });
  const before = catalogue.filter(({ table }) => table !== 'xcom_v2');
  expect(recogniseShape(before)).toMatchObject({ name: 'xcom-jsonb', airflow: '3.0-3.2' });
});
