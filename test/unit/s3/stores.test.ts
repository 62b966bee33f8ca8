import { pino } from 'pino';
import { expect, test } from 'vitest';
import type { Learned } from '../../../src/s3/stores.ts';
import { openStores } from '../../../src/s3/stores.ts';
import { readConfig } from '../../../src/settings/read-config.ts';
import { recordRequests } from '../../support/s3.ts';

test('an id is known if a variable or the database holds its connection, whoever names it', () => {
  const { s3 } = readConfig({
    argv: [],
    env: {
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 's3://of_the_path@bucket/xcom',
      AIRFLOW_CONN_IN_A_VARIABLE: 'aws://key:secret@/',
    },
    readFile: () => '',
  });
  const stores = openStores(s3, { observer: recordRequests(), log: pino({ level: 'silent' }) });
  stores.learn(
    new Map<string, Learned>([
      ['in_the_database', stores.connectionOf('')],
      ['unreadable', { why: 'nobody told the key' }],
    ]),
  );
  const ids = ['', 'of_the_path', 'in_a_variable', 'in_the_database', 'unreadable', 'only_in_rows'];
  // A row without a connection is read through that of the path, which nobody gave.
  expect(ids.filter(stores.knows)).toEqual(['in_a_variable', 'in_the_database']);
  stores.learn(new Map([['of_the_path', stores.connectionOf('in_a_variable')]]));
  expect(ids.filter(stores.knows)).toEqual(['', 'of_the_path', 'in_a_variable', 'in_the_database']);
  stores.close();
});
