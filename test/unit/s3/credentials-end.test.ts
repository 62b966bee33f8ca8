import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { afterEach, expect, test, vi } from 'vitest';
import { NO_PROXIES } from '../../../src/s3/agents.ts';
import { openObjectStore } from '../../../src/s3/client.ts';
import { connectionWith, recordRequests } from '../../support/s3.ts';

const MINUTE = 60_000;

afterEach(() => {
  vi.useRealTimers();
});

test.each([
  ['behind that of the storage', 10],
  ['right', 0],
])(
  'a role that ends in an hour is asked for once and renewed before its end, by a clock that is %s',
  async (_, ahead) => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const start = Date.now();
    const storageNow = () => Date.now() + ahead * MINUTE;
    const roles: number[] = [];
    const server = createServer((request, response) => {
      request.resume();
      request.on('end', () => {
        const own = { date: new Date(storageNow()).toUTCString(), etag: '"0"', 'x-amz-request-id': 'x' };
        if (request.method === 'POST') {
          const end = storageNow() + 60 * MINUTE;
          roles.push(end);
          const keys = `<AccessKeyId>R</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>${end}</SessionToken>`;
          response.writeHead(200, { ...own, 'content-type': 'text/xml' });
          response.end(
            `<AssumeRoleResponse><AssumeRoleResult><Credentials>${keys}<Expiration>${new Date(end).toISOString()}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`,
          );
          return;
        }
        const isOver = Number(request.headers['x-amz-security-token']) < storageNow();
        response.writeHead(isOver ? 400 : 200, { ...own, 'content-type': 'application/xml' });
        response.end(isOver ? '<Error><Code>ExpiredToken</Code><Message>m</Message></Error>' : '');
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const RoleArn = 'arn:aws:iam::123456789012:role/x';
    const store = openObjectStore(
      connectionWith({
        ...{ region: 'us-east-1', endpoint, forcePathStyle: true },
        role: { arn: RoleArn, endpoint, proxies: NO_PROXIES, arguments: { RoleArn, RoleSessionName: 's' } },
      }),
      { observer: recordRequests(), log: pino({ level: 'silent' }) },
    );
    const kinds: string[] = [];
    for (const minutes of [0, 30, 50, 54, 62, 70]) {
      vi.setSystemTime(start + minutes * MINUTE);
      const target = { bucket: 'bucket', key: 'k', body: new Uint8Array(1) };
      kinds.push((await store.put(target, new AbortController().signal)).kind);
    }
    store.close();
    server.closeAllConnections();
    server.close();
    expect(kinds).toEqual(['done', 'done', 'done', 'done', 'done', 'done']);
    expect(roles).toHaveLength(2);
  },
);
