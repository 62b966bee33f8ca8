import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { NO_PROXIES } from '../../../src/s3/agents.ts';
import { openObjectStore } from '../../../src/s3/client.ts';
import { secret } from '../../../src/lib/secret.ts';
import { recordRequests } from '../../support/s3.ts';

test('a server of its own that once named another region is signed to for the configured one afterwards', async () => {
  let redirects = true;
  const regions = new Set<string>();
  const server = createServer((request, response) => {
    request.resume();
    if (redirects) {
      response.writeHead(301, { 'x-amz-bucket-region': 'eu-south-2' }).end();
      return;
    }
    regions.add(/Credential=[^/]+\/\d+\/([^/]+)\//.exec(request.headers.authorization ?? '')?.[1] ?? '');
    response.writeHead(200, { 'content-length': '3', etag: '"0"', 'x-amz-request-id': 'x' }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const store = openObjectStore(
    {
      region: 'us-east-1',
      endpoint: `http://127.0.0.1:${port}`,
      accessKeyId: 'key',
      secretAccessKey: secret('secret'),
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
    { observer: recordRequests(), log: pino({ level: 'silent' }) },
  );
  const { signal } = new AbortController();
  const heads = () =>
    Promise.all(
      Array.from({ length: 20 }, (_, at) => store.head({ bucket: 'bucket', key: `key-${at}` }, signal)),
    );
  try {
    // Many requests at once: when one has learned the region, the others must not take it for the configured region.
    await heads();
    redirects = false;
    const answers = await heads();
    expect(answers.find(({ kind }) => kind === 'unknown') ?? null).toBeNull();
    expect([...regions]).toEqual(['us-east-1']);
  } finally {
    store.close();
    server.closeAllConnections();
    server.close();
  }
});
