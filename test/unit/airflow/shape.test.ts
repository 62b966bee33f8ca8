import { expect, test } from 'vitest';
import { recogniseShape } from '../../../src/airflow/shape.ts';

test('a database without tables of Airflow is told apart from tables that no release has', () => {
  expect(recogniseShape([])).toEqual({
    unsupported: 'no table of Airflow is there, or the role sees none in the schemas of its search_path',
  });
  expect(recogniseShape([{ table: 'dag_run', column: 'id', type: 'integer' }])).toEqual({
    unsupported: 'table dag_run lacks a column of every known release',
  });
});
