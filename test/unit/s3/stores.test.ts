import { pino } from 'pino';
import { expect, test } from 'vitest';
import { secret } from '../../../src/lib/secret.ts';
import type { S3Connection } from '../../../src/s3/connection.ts';
import type { Learned } from '../../../src/s3/stores.ts';
import { openStores } from '../../../src/s3/stores.ts';
import { readConfig } from '../../../src/settings/read-config.ts';
import { connectionWith, recordRequests } from '../../support/s3.ts';

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
  // A row without a connection may be from a path that named none, and that led elsewhere.
  expect(ids.filter(stores.knows)).toEqual(['in_a_variable', 'in_the_database']);
  stores.learn(new Map([['of_the_path', stores.connectionOf('in_a_variable')]]));
  expect(ids.filter(stores.knows)).toEqual(['of_the_path', 'in_a_variable', 'in_the_database']);
  stores.close();
});

test.each([
  ['s3://aws@one/xcom', false, 'of-aws'],
  ['s3://aws@one/xcom,s3://two/xcom', true, 'its-own'],
  ['s3://two/xcom,s3://aws@one/xcom', true, 'its-own'],
  ['s3://aws@one/xcom,file:///xcom', false, 'of-aws'],
])('a row without a connection, with the paths %s', (paths, isKnown, asked) => {
  const { s3 } = readConfig({
    argv: [],
    env: {
      XCOM_EXPORTER_XCOM_PATH: paths,
      AIRFLOW_CONN_AWS: `aws://key:secret@/?endpoint_url=${encodeURIComponent('http://of-aws')}`,
      AWS_ENDPOINT_URL_S3: 'http://its-own',
    },
    readFile: () => '',
  });
  const stores = openStores(s3, { observer: recordRequests(), log: pino({ level: 'silent' }) });
  // An object that is found at the connection of the path is there, also in place of one that is not known.
  expect([stores.knows(''), stores.connectionOf('').endpoint]).toEqual([isKnown, `http://${asked}`]);
  // Airflow 2.9.0 and 2.9.1 leave the id out of every row.
  stores.takeUnnamed(true);
  expect([stores.knows(''), stores.connectionOf('').endpoint]).toEqual([true, `http://${asked}`]);
  stores.close();
});

test.each<[string, (hidden: string) => Partial<S3Connection>]>([
  ['key', (hidden) => ({ secretAccessKey: secret(hidden) })],
  ['token', (hidden) => ({ sessionToken: secret(hidden) })],
  ['password of the proxy', (hidden) => ({ proxies: { http: null, https: secret(hidden) } })],
  [
    'key of the profile',
    (hidden) => ({
      profileKeys: { accessKeyId: 'K', secretAccessKey: secret(hidden), sessionToken: null },
    }),
  ],
  [
    'password of the proxy for STS',
    (hidden) => ({
      role: {
        ...{ arn: 'r', endpoint: null, arguments: { RoleArn: 'r', RoleSessionName: 's' } },
        proxies: { http: null, https: secret(hidden) },
      },
    }),
  ],
  ['token of the agent', (hidden) => ({ agent: { url: 'u', tokenFile: null, token: secret(hidden) } })],
])('a connection whose %s has changed is opened anew, and no other', (_, told) => {
  const stores = openStores(
    { connections: new Map(), fallback: 'a', hasUnnamed: false, missing: new Map() },
    { observer: recordRequests(), log: pino({ level: 'silent' }) },
  );
  const learn = (hidden: string) => {
    stores.learn(new Map([['a', connectionWith(told(hidden))]]));
    return stores.of('a');
  };
  const before = learn('http://u:old@proxy:3128');
  expect(learn('http://u:old@proxy:3128')).toBe(before);
  expect(learn('http://u:new@proxy:3128')).not.toBe(before);
  stores.close();
});

test('each failure of credentials that stand in says so', async () => {
  const endpoint = 'http://127.0.0.1:1';
  const connections = new Map([['a', connectionWith({ region: 'us-east-1', endpoint })]]);
  const stores = openStores(
    { connections, fallback: 'a', hasUnnamed: false, missing: new Map([['a', 'nobody gave a']]) },
    { observer: recordRequests(), log: pino({ level: 'silent' }) },
  );
  const store = stores.of('a');
  const target = { bucket: 'bucket', key: 'k', body: new Uint8Array(1), prefix: '', after: null };
  const never = new AbortController().signal;
  for (const name of ['put', 'head', 'get', 'peek', 'list', 'delete'] as const)
    expect(await store[name](target, never)).toMatchObject({
      detail: 'nobody gave a, and with the credentials found in its place: ECONNREFUSED',
      said: { by: 'credentials' },
    });
  stores.close();
});
