import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { ObjectStore } from '../../../src/s3/client.ts';
import { openObjectStore } from '../../../src/s3/client.ts';
import { NO_ANSWER_OF_S3 } from '../../../src/s3/failure.ts';
import { connectionWith, recordRequests } from '../../support/s3.ts';

const never = new AbortController().signal;
const BUCKET = 'xcom--use1-az4--x-s3';
const DENIED =
  'User: arn:aws:iam::1:user/a is not authorized to perform: s3express:CreateSession on resource: x because no identity-based policy allows the s3express:CreateSession action';

let server: Server;
let url = '';
let store: ObjectStore;
/** The answers to requests for a session, the last of them again and again. */
let sessions: (readonly [status: number, body: string] | 'never')[];
let asked: string[];
/** Milliseconds by which the server's clock is ahead. */
let aheadMs: number;

beforeEach(async () => {
  asked = [];
  aheadMs = 0;
  server = createServer((request, response) => {
    request.resume();
    const isSession = (request.url ?? '').includes('session');
    asked.push(
      isSession ? 'session' : `${request.method ?? ''} ${String(request.headers['x-amz-s3session-token'])}`,
    );
    const answer = isSession
      ? ((sessions.length > 1 ? sessions.shift() : sessions[0]) ?? [500, ''])
      : ([200, ''] as const);
    if (answer === 'never') return;
    const [status, body] = answer;
    response.writeHead(status, {
      date: new Date(Date.now() + aheadMs).toUTCString(),
      ...{ 'content-type': 'application/xml', etag: '"0"', 'x-amz-request-id': 'x' },
    });
    response.end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  store = openObjectStore(connectionWith({ region: 'us-east-1', endpoint: url, forcePathStyle: true }), {
    observer: recordRequests(),
    log: pino({ level: 'silent' }),
  });
});

afterEach(async () => {
  vi.useRealTimers();
  store.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

function lasting(seconds: number, token: string) {
  const end = new Date(Date.now() + aheadMs + seconds * 1_000).toISOString();
  const keys = '<AccessKeyId>S</AccessKeyId><SecretAccessKey>s</SecretAccessKey>';
  return [
    200,
    `<CreateSessionResult><Credentials>${keys}<SessionToken>${token}</SessionToken><Expiration>${end}</Expiration></Credentials></CreateSessionResult>`,
  ] as const;
}

function refused(status: number, code: string, message = 'm') {
  return [status, `<Error><Code>${code}</Code><Message>${message}</Message></Error>`] as const;
}

function put() {
  return store.put({ bucket: BUCKET, key: 'k', body: new Uint8Array(1) }, never);
}

test('one session serves many requests', async () => {
  sessions = [lasting(300, 'one')];
  await Promise.all([put(), put(), put()]);
  await put();
  expect(asked.filter((one) => one === 'session')).toHaveLength(1);
  expect(asked.filter((one) => one === 'PUT one')).toHaveLength(4);
});

test('a session that S3 does not give is asked for again', async () => {
  sessions = [refused(403, 'AccessDenied'), lasting(300, 'one')];
  expect((await put()).kind).toBe('unknown');
  expect((await put()).kind).toBe('done');
});

test('a refused session is a refusal of S3, and names the action', async () => {
  sessions = [refused(403, 'AccessDenied', DENIED)];
  expect(await put()).toEqual({
    kind: 'unknown',
    reason: 'denied',
    detail: 'AccessDenied (403)',
    // S3 was asked, so there is no `unasked`.
    said: {
      by: 's3',
      code: 'AccessDenied',
      status: 403,
      cause: 'permission',
      action: 's3express:CreateSession',
      policy: 'identity-based policy',
    },
  });
});

test('a session that cannot be renewed serves to its end', async () => {
  // The test runner reports a rejection that nobody handles as an error of its own.
  sessions = [lasting(50, 'one'), refused(403, 'AccessDenied'), lasting(300, 'two')];
  const kinds = [(await put()).kind, (await put()).kind, (await put()).kind];
  expect(kinds).toEqual(['done', 'done', 'done']);
  expect(asked).toEqual(['session', 'PUT one', 'session', 'PUT one', 'session', 'PUT two']);
});

test('a session that has ended serves no longer', async () => {
  sessions = [lasting(-1, 'one'), refused(403, 'AccessDenied')];
  await put();
  expect((await put()).kind).toBe('unknown');
});

test('a session ends by the clock of S3', async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  aheadMs = 10 * 60_000;
  sessions = [lasting(300, 'one'), lasting(900, 'two')];
  await put();
  vi.setSystemTime(Date.now() + 6 * 60_000);
  expect((await put()).kind).toBe('done');
  expect(asked).toEqual(['session', 'PUT one', 'session', 'PUT two']);
});

test('S3 that is late to give a session is told as S3 that is late', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  sessions = ['never'];
  const late = put();
  await expect.poll(() => asked).toEqual(['session']);
  await vi.advanceTimersByTimeAsync(3_000);
  const answer = await late;
  expect(answer).toMatchObject({
    reason: 'timeout',
    detail: 'no answer in 3000 ms',
    said: { by: 'exporter' },
  });
  expect(answer).not.toHaveProperty('said.unasked');
});

test('a session that S3 is late to renew serves to its end', async () => {
  sessions = [lasting(50, 'one'), 'never'];
  await put();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const again = put();
  await expect.poll(() => asked.length).toBe(3);
  await vi.advanceTimersByTimeAsync(3_000);
  expect((await again).kind).toBe('done');
  expect(asked).toEqual(['session', 'PUT one', 'session', 'PUT one']);
});

test('a success without a session is no answer of S3', async () => {
  sessions = [[200, '<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>']];
  expect(await put()).toMatchObject({ reason: 'server_error', detail: NO_ANSWER_OF_S3, said: { by: 's3' } });
});
