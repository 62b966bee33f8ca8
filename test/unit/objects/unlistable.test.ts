import { expect, test } from 'vitest';
import { refusedAmong } from '../../../src/objects/unlistable.ts';

test.each([
  ['old_minio', /give AIRFLOW_CONN_…, or an empty one, aws:\/\/, if the workers use a role\)$/],
  ['', /its rows name no connection, .*: name that path in xcom\.path too\)$/],
])('the remedy for the connection %j, which is not known, is one that exists', (connection, remedy) => {
  const place = { connection, bucket: 'xcom', prefix: 'base' };
  expect(refusedAmong([place], { stores: { knows: () => false }, unlistable: [] })).toMatch(remedy);
});
