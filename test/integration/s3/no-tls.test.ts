import { pino } from 'pino';
import { afterAll, expect, test } from 'vitest';
import { NO_PROXIES } from '../../../src/s3/agents.ts';
import { secret } from '../../../src/lib/secret.ts';
import { openObjectStore } from '../../../src/s3/client.ts';
import { greet } from '../../../src/s3/greeting.ts';
import { connectionTo, useS3 } from '../../support/s3.ts';

const s3 = useS3('airflow-xcom');
const closers: (() => void)[] = [];
afterAll(() => {
  for (const close of closers) close();
});

/** The embedded server speaks plain HTTP. */
const endpoint = (): string => s3().endpoint.replace('http:', 'https:');

test('https in front of a port of plain HTTP is called by its name', async () => {
  const greeting = await greet(connectionTo(endpoint(), s3()), 'airflow-xcom', AbortSignal.timeout(10_000));
  expect(greeting).toMatchObject({ kind: 'failed', stage: 'tls', code: 'ERR_SSL_WRONG_VERSION_NUMBER' });
});

test('a request says what to write', async () => {
  const store = openObjectStore(
    {
      region: 'us-east-1',
      endpoint: endpoint(),
      accessKeyId: s3().accessKeyId,
      secretAccessKey: secret(s3().secretAccessKey),
      sessionToken: null,
      profile: null,
      role: null,
      forcePathStyle: true,
      authorities: null,
      proxies: NO_PROXIES,
      identityProxies: NO_PROXIES,
      sendsChecksums: true,
      asker: 'workers',
      variants: {},
      agent: null,
      profileKeys: null,
    },
    { log: pino({ level: 'silent' }), observer: { request: () => undefined, failure: () => undefined } },
  );
  closers.push(() => {
    store.close();
  });
  const answer = await store.head({ bucket: 'airflow-xcom', key: 'x' }, AbortSignal.timeout(20_000));
  expect(answer).toMatchObject({
    kind: 'unknown',
    reason: 'unreachable',
    detail: expect.stringContaining(
      'the endpoint answers in plain HTTP: write http:// in endpoint_url',
    ) as string,
  });
});
