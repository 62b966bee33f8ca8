import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import { pino } from 'pino';
import { afterEach, expect, test, vi } from 'vitest';
import { openObjectStore } from '../../../src/s3/client.ts';
import { connectionWith, recordRequests } from '../../support/s3.ts';

afterEach(() => {
  vi.restoreAllMocks();
  syncBuiltinESMExports();
});

test('a name server that is late is no storage that takes no connection', async () => {
  // Node asks the next name server only after five seconds.
  vi.spyOn(dns, 'lookup').mockImplementation(() => undefined);
  syncBuiltinESMExports();
  const endpoint = 'http://s3.example';
  const store = openObjectStore(connectionWith({ region: 'us-east-1', endpoint, forcePathStyle: true }), {
    observer: recordRequests(),
    log: pino({ level: 'silent' }),
    requestTimeoutMs: 1_000,
  });
  const answer = await store.head({ bucket: 'bucket', key: 'k' }, new AbortController().signal);
  store.close();
  expect(answer).toMatchObject({
    reason: 'timeout',
    detail: 'no address in 400 ms for the host s3.example',
    said: { by: 'exporter' },
  });
});
