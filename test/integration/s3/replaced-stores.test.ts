import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { secret } from '../../../src/lib/secret.ts';
import type { S3Connection } from '../../../src/s3/connection.ts';
import { openStores } from '../../../src/s3/stores.ts';
import { connectionWith, recordRequests } from '../../support/s3.ts';

test('a store that another connection has replaced is closed by the next look at the connections', async () => {
  const sockets: Socket[] = [];
  const server = createServer((_, answer) =>
    answer.writeHead(200, { etag: '"e"', 'content-length': 5 }).end(),
  );
  // The server itself would close an idle connection only after minutes.
  server.keepAliveTimeout = 600_000;
  server.on('connection', (socket) => sockets.push(socket));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const told = (key: string): Map<string, S3Connection> =>
    new Map([['a', connectionWith({ endpoint, forcePathStyle: true, secretAccessKey: secret(key) })]]);
  const stores = openStores(
    { connections: told('old'), fallback: 'a', hasUnnamed: false, missing: new Map() },
    { observer: recordRequests(), log: pino({ level: 'silent' }) },
  );
  const never = new AbortController().signal;
  await stores.of('a').head({ bucket: 'b', key: 'k' }, never);
  const [first] = sockets;
  if (first === undefined) throw new Error('nothing was sent');
  stores.learn(told('new'));
  // A request may still be under way in the old one.
  expect(first.destroyed).toBe(false);
  const isClosed = once(first, 'close');
  stores.learn(told('new'));
  await isClosed;
  stores.close();
  server.closeAllConnections();
});
