import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import { pino } from 'pino';
import { afterEach, expect, test, vi } from 'vitest';
import type { HeadAnswer } from '../../../src/s3/client.ts';
import { openObjectStore } from '../../../src/s3/client.ts';
import { connectionWith, recordRequests } from '../../support/s3.ts';

async function headAt(endpoint: string): Promise<HeadAnswer> {
  const store = openObjectStore(connectionWith({ region: 'us-east-1', endpoint, forcePathStyle: true }), {
    observer: recordRequests(),
    log: pino({ level: 'silent' }),
    requestTimeoutMs: 1_000,
  });
  const answer = await store.head({ bucket: 'bucket', key: 'k' }, new AbortController().signal);
  store.close();
  return answer;
}

afterEach(() => {
  vi.restoreAllMocks();
  syncBuiltinESMExports();
});

test('a name server that is late is no storage that takes no connection', async () => {
  // Node asks the next name server only after five seconds.
  vi.spyOn(dns, 'lookup').mockImplementation(() => undefined);
  syncBuiltinESMExports();
  const answer = await headAt('http://s3.example');
  expect(answer).toMatchObject({
    reason: 'timeout',
    detail: 'no address in 400 ms for the host s3.example',
    said: { by: 'exporter' },
  });
});

test('one packet to the name server that is lost costs no answer', async () => {
  const asked: string[] = [];
  vi.spyOn(dns, 'lookup').mockImplementation(((...[host, , done]: Lookup) => {
    asked.push(host);
    // The second is answered by an address where nothing listens.
    if (asked.length > 1) done(null, [{ address: '127.0.0.1', family: 4 }]);
  }) as typeof dns.lookup);
  syncBuiltinESMExports();
  const answer = await headAt('http://s3.example:1');
  expect([asked.length, answer]).toMatchObject([2, { reason: 'unreachable', said: { by: 'network' } }]);
});

type Lookup = [string, object, (error: null, addresses: readonly dns.LookupAddress[]) => void];
