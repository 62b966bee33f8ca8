import { ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, createServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import { Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { NO_PROXIES } from '../../../src/s3/agents.ts';
import { openObjectStore } from '../../../src/s3/client.ts';
import type { HeadAnswer, ObjectStore } from '../../../src/s3/client.ts';
import { explainFailure } from '../../../src/s3/failure.ts';
import type { ListAnswer } from '../../../src/s3/listing.ts';
import type { S3Connection } from '../../../src/s3/connection.ts';
import type { S3Reason } from '../../../src/s3/reason.ts';
import { startHttpFaultProxy } from '../../support/http-fault-proxy.ts';
import type { HttpFault, HttpFaultAnswer, HttpFaultProxy } from '../../support/http-fault-proxy.ts';
import { connectionTo, recordRequests, useS3 } from '../../support/s3.ts';

const log = pino({ level: 'silent' });
const requestTimeoutMs = 1_000;
const server = useS3('xcom', 'other');
const never = new AbortController().signal;

let proxy: HttpFaultProxy;
let store: ObjectStore;
let seen: ReturnType<typeof recordRequests>;

beforeEach(async () => {
  proxy = await startHttpFaultProxy({ upstream: server() });
  seen = recordRequests();
  store = openObjectStore(connectionTo(proxy.url, server()), { observer: seen, log, requestTimeoutMs });
});

afterEach(async () => {
  vi.unstubAllEnvs();
  store.close();
  await proxy.stop();
  for (const other of others.splice(0)) other.closeAllConnections();
});

const others: Server[] = [];

/** A server that answers as the test says; gives its address. */
async function listen(answer: RequestListener): Promise<string> {
  const other = createServer(answer);
  others.push(other);
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  other.unref();
  return `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

const HELLO = { kind: 'present', bytes: 5, archive: null, lastModified: expect.any(Number) as number };
async function put(key: string, text = 'hello'): Promise<void> {
  expect(await store.put({ bucket: 'xcom', key, body: bytes(text) }, never)).toEqual({
    kind: 'done',
    version: null,
    attempts: 1,
  });
}

/** Puts objects without the client, for tests that look at other requests. */
async function plantDirectly(keys: readonly string[]): Promise<void> {
  // Thousands of connections at once would overflow the server's queue.
  for (let at = 0; at < keys.length; at += 50)
    await Promise.all(
      keys
        .slice(at, at + 50)
        .map((key) => fetch(`${server().endpoint}/xcom/${key}`, { method: 'PUT', body: 'x' })),
    );
}

/**
 * Opens a store with a long timeout, for tests in which nothing stalls: they must not depend on how busy the machine
 * is.
 */
function beginPatient(): void {
  store.close();
  const options = { observer: seen, log, requestTimeoutMs: 20_000 };
  store = openObjectStore(connectionTo(proxy.url, server()), options);
}

type Operation = 'head' | 'get' | 'list' | 'put' | 'delete';

function ask(operation: Operation): Promise<{ readonly kind: string }> {
  const target = { bucket: 'xcom', key: 'k' };
  switch (operation) {
    case 'list':
      return store.list({ bucket: 'xcom', prefix: 'k', after: null }, never);
    case 'put':
      return store.put({ ...target, body: bytes('x') }, never);
    case 'head':
    case 'get':
    case 'delete':
      return store[operation](target, never);
  }
}

/** The age of an object as its listing has it, in whole seconds as a HEAD has it. */
async function listedAt(key: string): Promise<number> {
  const answer = await store.list({ bucket: 'xcom', prefix: key, after: null }, never);
  const at = answer.kind === 'listed' ? answer.objects[0]?.lastModified : undefined;
  return Math.floor((at ?? NaN) / 1_000) * 1_000;
}

/** The requests that reached the proxy, to compare with those that the client says it sent. */
function arrived(): Record<Operation, number> {
  const { put, head, get, list, delete: deleted } = proxy.requests;
  return { put, head, get, list, delete: deleted };
}

describe('what S3 answers', () => {
  beforeEach(beginPatient);

  test('an object is put, seen, read and deleted', async () => {
    const target = { bucket: 'xcom', key: 'a/b' };
    await put('a/b');
    expect(await store.head(target, never)).toEqual({ ...HELLO, lastModified: await listedAt(target.key) });
    expect(await store.get(target, never)).toEqual({ kind: 'got', body: bytes('hello'), version: null });
    expect(await store.delete(target, never)).toEqual({ kind: 'done', version: null });
    expect(await store.delete(target, never)).toEqual({ kind: 'done', version: null });
    expect(await store.get(target, never)).toEqual({ kind: 'missing' });
    expect(await store.head(target, never)).toEqual({ kind: 'missing' });
    expect(seen.failures).toEqual([]);
  });

  test.each([
    'a+b',
    'manual__2026-01-01T00:00:00+00:00',
    'a%20b',
    'a#b',
    'a?b=c&d',
    'a b ',
    'ünï/日本',
    'a//b',
    `'"<&>`,
  ])('the key %s is the same in every request', async (name) => {
    const key = `odd/${name}`;
    await put(key);
    expect(await store.head({ bucket: 'xcom', key }, never)).toEqual(HELLO);
    expect(await store.get({ bucket: 'xcom', key }, never)).toMatchObject({ kind: 'got' });
    expect(await store.list({ bucket: 'xcom', prefix: key, after: null }, never)).toMatchObject({
      objects: [{ key, bytes: 5 }],
    });
    expect(await store.delete({ bucket: 'xcom', key }, never)).toEqual({ kind: 'done', version: null });
  });

  test.each([
    ['AWS_USE_DUALSTACK_ENDPOINT', 'true'],
    ['AWS_USE_FIPS_ENDPOINT', 'true'],
    ['AWS_DEFAULTS_MODE', ''],
  ])('beside an endpoint %s=%s keeps no request back', async (name, value) => {
    vi.stubEnv(name, value);
    await put('xcom/a');
  });

  test('2,500 keys come in three pages, each once', async () => {
    const names = Array.from({ length: 2_500 }, (_, index) => `pages/${String(index).padStart(4, '0')}`);
    await plantDirectly(names);

    const pages: string[][] = [];
    let after: string | null = null;
    do {
      const answer = await store.list({ bucket: 'xcom', prefix: 'pages/', after }, never);
      if (answer.kind === 'unknown') throw new Error(answer.detail);
      pages.push(answer.objects.map(({ key }) => key));
      after = answer.next;
    } while (after !== null);
    expect(pages.map((page) => page.length)).toEqual([1_000, 1_000, 500]);
    expect(pages.flat()).toEqual(names);
    expect(seen.requests.list).toBe(3);
  });

  test('a page may be made smaller, and an empty prefix has an empty one', async () => {
    await put('small/1');
    await put('small/2');
    const first = await store.list({ bucket: 'xcom', prefix: 'small/', after: null, maxKeys: 1 }, never);
    expect(first).toMatchObject({ kind: 'listed', objects: [{ key: 'small/1' }] });
    expect(first.kind === 'listed' && first.next).toBeTypeOf('string');
    const none = await store.list({ bucket: 'xcom', prefix: 'nothing/', after: null }, never);
    expect(none).toEqual({ kind: 'listed', objects: [], next: null });
  });

  test('a missing bucket is never a missing object', async () => {
    const target = { bucket: 'nowhere', key: 'a' };
    const unknown = { kind: 'unknown', reason: 'no_such_bucket', detail: 'NoSuchBucket (404)' };
    expect(await store.head(target, never)).toMatchObject(unknown);
    expect(await store.get(target, never)).toMatchObject(unknown);
    expect(await store.put({ ...target, body: bytes('') }, never)).toMatchObject(unknown);
    expect(await store.delete(target, never)).toMatchObject(unknown);
    expect(await store.list({ bucket: 'nowhere', prefix: '', after: null }, never)).toMatchObject(unknown);
  });

  test('one look at the bucket serves the missing objects of a minute', async () => {
    const heads = Array.from({ length: 20 }, (_, index) =>
      store.head({ bucket: 'other', key: `no/${index}` }, never),
    );
    expect(new Set((await Promise.all(heads)).map(({ kind }) => kind))).toEqual(new Set(['missing']));
    expect(seen.requests).toMatchObject({ head: 20, list: 1 });
    expect(proxy.requests).toMatchObject({ head: 20, list: 1 });
  });

  test('a 404 is not believed while the bucket cannot be looked at', async () => {
    proxy.setFault({ match: ({ kind }) => kind === 'list', answer: 'deny' });
    expect(await store.head({ bucket: 'other', key: 'no' }, never)).toMatchObject({
      kind: 'unknown',
      reason: 'denied',
    });
  });
});

describe('what goes wrong is told apart', () => {
  const names = ['head', 'get', 'list', 'put', 'delete'] as const;
  const faults: [HttpFaultAnswer, S3Reason, string, string | null][] = [
    // The fault, the reason, the detail, and the detail of a HEAD if it differs because a HEAD has no body.
    ['deny', 'denied', 'AccessDenied (403)', 'no code (403)'],
    ['slow_down', 'throttled', 'SlowDown (503)', 'no code (503)'],
    ['server_error', 'server_error', 'InternalError (500)', 'no code (500)'],
    [
      'wrong_region',
      'wrong_region',
      'PermanentRedirect (301): S3 asks for the region eu-south-2',
      'no code (301): S3 asks for the region eu-south-2',
    ],
    ['clock_skew', 'clock_skew', 'RequestTimeTooSkewed (403)', 'no code (403)'],
    ['expired_token', 'denied', 'ExpiredToken (400)', 'ExpiredToken (400)'],
    ['no_such_bucket', 'no_such_bucket', 'NoSuchBucket (404)', 'NoSuchBucket (404)'],
    ['stall', 'timeout', `no answer in ${requestTimeoutMs} ms`, null],
  ];
  const cases = faults.flatMap(([answer, reason, detail, headDetail]) =>
    names.map((operation) => ({
      answer,
      operation,
      reason,
      detail: operation === 'head' ? (headDetail ?? detail) : detail,
    })),
  );

  test.each(cases)(
    '$answer on $operation: $reason, $detail',
    async ({ answer, operation, reason, detail }) => {
      proxy.setFault({ answer });
      expect(await ask(operation)).toMatchObject({ kind: 'unknown', reason, detail });
      expect(seen.failures.at(-1)).toMatch(new RegExp(` ${reason}$`));
      expect(seen.requests).toEqual(arrived());
    },
  );

  test.each(['head', 'get', 'list', 'put'] as const)(
    'a page in place of an answer to %s is not one',
    async (operation) => {
      proxy.setFault({ answer: 'garbage' });
      const answer = await ask(operation);
      expect(answer).toMatchObject({ kind: 'unknown', reason: 'server_error' });
      expect(seen.failures.at(-1)).toBe(`${operation} server_error`);
    },
  );

  test.each(['head', 'get', 'list', 'put'] as const)(
    'a connection that is cut during %s',
    async (operation) => {
      await put('k');
      proxy.setFault({ answer: 'cut' });
      expect(await ask(operation)).toMatchObject({
        kind: 'unknown',
        reason: 'unreachable',
        detail: 'ECONNRESET',
      });
    },
  );

  test('nobody listens', async () => {
    await proxy.stop();
    expect(await ask('head')).toMatchObject({
      kind: 'unknown',
      reason: 'unreachable',
      detail: 'ECONNREFUSED',
    });
    proxy = await startHttpFaultProxy({ upstream: server() });
  });

  test('the host has no address', async () => {
    await withStore({ endpoint: 'http://storage.invalid' }, async (lost) => {
      const answer = await lost.head({ bucket: 'xcom', key: 'k' }, never);
      expect(answer).toMatchObject({ kind: 'unknown', reason: 'unreachable' });
    });
  });

  test('plain HTTP where TLS is expected', async () => {
    await withStore({ endpoint: proxy.url.replace('http:', 'https:') }, async (lost) => {
      const answer = await lost.list({ bucket: 'xcom', prefix: '', after: null }, never);
      expect(answer).toMatchObject({ kind: 'unknown', reason: 'unreachable' });
    });
  });

  test('a failure that passes is retried, counted, and reported', async () => {
    await put('k');
    let left = 1;
    proxy.setFault({ match: () => left-- > 0, answer: 'server_error' });
    expect(await ask('head')).toEqual(HELLO);
    expect(seen.requests.head).toBe(2);
    expect(seen.failures).toEqual(['head server_error']);
  });

  test('no detail holds the key or the credentials', async () => {
    for (const answer of ['deny', 'garbage', 'cut', 'server_error'] as const) {
      proxy.setFault({ answer });
      const text = JSON.stringify(await store.get({ bucket: 'xcom', key: 'sensitive-name' }, never));
      expect(text).not.toMatch(/sensitive-name|embedded/);
    }
  });
});

describe('HEADs one after another', () => {
  test.each(['a+b', 'run__2026-01-01T00:00:00+00:00', 'a b', `'"<&>()*!~`, 'ünï/日本', 'a//b', 'a%20b'])(
    'ask for the key %s and no other',
    async (name) => {
      const paths: string[] = [];
      const endpoint = await listen((request, response) => {
        paths.push(request.url ?? '');
        response.writeHead(200, { etag: '"0"', 'content-length': '5' }).end();
      });
      await withStore({ endpoint }, async (odd) => {
        for (const key of ['first', name, name])
          expect(await odd.head({ bucket: 'xcom', key }, never)).toEqual({
            kind: 'present',
            bytes: 5,
            archive: null,
            lastModified: null,
          });
      });
      expect(paths.map(decodeURIComponent)).toEqual(['/xcom/first', `/xcom/${name}`, `/xcom/${name}`]);
    },
  );

  test.each([
    ['deny', 'denied', 'no code (403)'],
    ['slow_down', 'throttled', 'no code (503)'],
    ['server_error', 'server_error', 'no code (500)'],
    ['wrong_region', 'wrong_region', 'no code (301): S3 asks for the region eu-south-2'],
    ['clock_skew', 'clock_skew', 'no code (403)'],
    ['expired_token', 'denied', 'ExpiredToken (400)'],
    ['no_such_bucket', 'no_such_bucket', 'NoSuchBucket (404)'],
    ['garbage', 'server_error', 'not an answer of S3'],
    ['cut', 'unreachable', 'ECONNRESET'],
    ['stall', 'timeout', `no answer in ${requestTimeoutMs} ms`],
  ] as const)('%s is told apart all the same, and counted', async (answer, reason, detail) => {
    await put('k');
    await ask('head');
    const before = seen.requests.head;
    proxy.setFault({ answer });
    expect(await ask('head')).toMatchObject({ kind: 'unknown', reason, detail });
    expect(seen.requests.head - before).toBeLessThanOrEqual(answer === 'wrong_region' ? 3 : 2);
    expect(seen.requests).toEqual(arrived());
    // The failure changes nothing for later requests.
    proxy.setFault(null);
    expect(await ask('head')).toEqual(HELLO);
  });

  test('a failure that passes costs a second request and nothing else', async () => {
    await put('k');
    await ask('head');
    let left = 1;
    proxy.setFault({ match: () => left-- > 0, answer: 'server_error' });
    expect(await ask('head')).toEqual(HELLO);
    expect(seen.requests.head).toBe(3);
    expect(seen.failures).toEqual(['head server_error']);
  });

  test('a missing object is one, and an object that is gone since too', async () => {
    await put('k');
    await ask('head');
    expect(await store.delete({ bucket: 'xcom', key: 'k' }, never)).toEqual({ kind: 'done', version: null });
    expect(await ask('head')).toEqual({ kind: 'missing' });
    expect(seen.failures).toEqual([]);
  });
});

describe('an access key that the storage does not know is denied, whatever the storage calls it', () => {
  test.each([
    // The first is documented by AWS and used by most others; the second is Garage's; the third was seen on versitygw
    // 1.8, whose HEAD looks like a missing object.
    [403, 'InvalidAccessKeyId'],
    [403, 'AccessDenied'],
    [404, 'XAdminUserNotFound'],
    [403, 'SomeNewWord'],
    [401, 'Unauthorized'],
  ])('%i %s', async (status, code) => {
    const endpoint = await listen((request, response) => {
      request.resume();
      response.writeHead(status, { 'content-type': 'application/xml' });
      response.end(request.method === 'HEAD' ? undefined : `<Error><Code>${code}</Code></Error>`);
    });
    await withStore({ endpoint }, async (unknown) => {
      const target = { bucket: 'xcom', key: 'k' };
      for (const answer of [
        await unknown.head(target, never),
        await unknown.get(target, never),
        await unknown.list({ bucket: 'xcom', prefix: 'k', after: null }, never),
        await unknown.put({ ...target, body: bytes('x') }, never),
      ]) {
        expect(answer).toMatchObject({ kind: 'unknown', reason: 'denied' });
      }
    });
  });
});

describe('a listing is not believed', () => {
  test('that breaks off, though the answer is whole', async () => {
    const endpoint = await listen((request, response) => {
      request.resume();
      response.writeHead(200, { 'content-type': 'application/xml' });
      response.end('<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>k1</Key>');
    });
    await withStore({ endpoint }, async (odd) => {
      expect(await odd.list({ bucket: 'xcom', prefix: 'k', after: null }, never)).toMatchObject({
        kind: 'unknown',
        reason: 'server_error',
        detail: 'not an answer of S3',
        said: { by: 's3', status: 200, code: null },
      });
    });
  });

  const end = '<IsTruncated>false</IsTruncated>';
  const goesOn = '<IsTruncated>true</IsTruncated><NextContinuationToken>a</NextContinuationToken>';
  test.each([
    ['that goes on with the token it was asked with', goesOn, 'k1'],
    ['with a key that does not begin with the prefix', end, 'other'],
  ])('%s', async (_, fields, name) => {
    const endpoint = await listen((request, response) => {
      request.resume();
      const object = `<Contents><Key>${name}</Key><LastModified>2026-11-28T11:22:33Z</LastModified><Size>5</Size></Contents>`;
      response.writeHead(200, { 'content-type': 'application/xml' });
      response.end(`<ListBucketResult>${fields}${object}</ListBucketResult>`);
    });
    await withStore({ endpoint }, async (odd) => {
      expect(await odd.list({ bucket: 'xcom', prefix: 'k', after: 'a' }, never)).toMatchObject({
        kind: 'unknown',
        detail: 'not an answer of S3',
      });
      const first = await odd.list({ bucket: 'xcom', prefix: '', after: null }, never);
      expect(first).toMatchObject({ kind: 'listed', objects: [{ key: name }] });
    });
  });
});

test('a web page with status 404 in answer to a HEAD is no word of S3 about the object', async () => {
  const endpoint = await listen((request, response) => {
    request.resume();
    response.writeHead(404, { 'content-type': 'text/html; charset=utf-8', server: 'nginx' });
    response.end();
  });
  await withStore({ endpoint }, async (odd) => {
    expect(await odd.head({ bucket: 'xcom', key: 'k' }, never)).toMatchObject({
      kind: 'unknown',
      reason: 'server_error',
      said: { by: 'proxy', status: 404 },
    });
  });
});

/** Traefik answers so for a route that it lacks. Neither answer has a header of S3. */
describe('a 404 to a HEAD that S3 did not sign is asked about by GET', () => {
  const noSuchKey = '<Error><Code>NoSuchKey</Code></Error>';
  const accessDenied = '<Error><Code>AccessDenied</Code></Error>';
  const keyDenied =
    '<Error><Code>AccessDenied</Code><Message>User: arn:aws:iam::1:user/a is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:x because no identity-based policy allows the kms:Decrypt action</Message></Error>';
  const empty =
    '<ListBucketResult><Name>xcom</Name><Prefix></Prefix><KeyCount>0</KeyCount><MaxKeys>1</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>';

  test.each<[string, number, string, string, object]>([
    ['S3 says that there is no such key', 404, 'application/xml', noSuchKey, { kind: 'missing' }],
    [
      'the gateway answers again',
      404,
      'text/plain; charset=utf-8',
      '404 page not found\n',
      { kind: 'unknown', reason: 'server_error', said: { by: 'proxy', status: 404 } },
    ],
    ['S3 hands out the object', 206, 'text/plain', 'x', { kind: 'unknown', said: { by: 'proxy' } }],
    [
      'S3 lacks the key of the object, which is there',
      403,
      'application/xml',
      keyDenied,
      { kind: 'unknown', said: { by: 'proxy' } },
    ],
    ['S3 lets nobody read: the 404 stands', 403, 'application/xml', accessDenied, { kind: 'missing' }],
  ])('%s', async (_, status, type, body, expected) => {
    const endpoint = await listen((request, response) => {
      request.resume();
      const isList = request.url?.includes('list-type') === true;
      if (request.method === 'HEAD') {
        response
          .writeHead(404, { 'content-type': 'text/plain; charset=utf-8', 'content-length': '19' })
          .end();
      } else if (isList) response.writeHead(200, { 'content-type': 'application/xml' }).end(empty);
      else response.writeHead(status, { 'content-type': type, etag: '"1"' }).end(body);
    });
    await withStore({ endpoint }, async (odd) => {
      const onSent = vi.fn();
      expect(await odd.head({ bucket: 'xcom', key: 'k', onSent }, never)).toMatchObject(expected);
      // The time of the HEAD begins with the HEAD.
      expect(onSent).toHaveBeenCalledTimes(1);
    });
  });

  test('one that S3 signed costs no further request', async () => {
    const { get } = seen.requests;
    expect(await store.head({ bucket: 'xcom', key: 'no such key' }, never)).toEqual({ kind: 'missing' });
    expect(seen.requests.get).toBe(get);
  });
});

describe('credentials', () => {
  beforeEach(() => {
    for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'AWS_PROFILE']) {
      vi.stubEnv(name, undefined);
    }
    vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
    vi.stubEnv('AWS_CONFIG_FILE', '/nonexistent');
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/nonexistent');
  });
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  test('none to be found', async () => {
    await withStore({ accessKeyId: null, secretAccessKey: null }, async (anonymous) => {
      const answer = await anonymous.head({ bucket: 'xcom', key: 'k' }, never);
      expect(answer).toMatchObject({
        kind: 'unknown',
        reason: 'denied',
        detail: expect.stringMatching(/^no credentials found, and the exporter asks nothing/) as string,
      });
    });
    expect(seen.requests.head).toBe(0);
    expect(seen.failures).toEqual([]);
  });

  test('the default chain is asked when no key is given', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'from-environment');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'from-environment');
    await put('k');
    await withStore({ accessKeyId: null, secretAccessKey: null }, async (chained) => {
      expect(await chained.head({ bucket: 'xcom', key: 'k' }, never)).toMatchObject({ kind: 'present' });
    });
  });

  test('a file of keys is read anew by the next store, as after a reload', async () => {
    const folder = mkdtempSync(join(tmpdir(), 's3-client-'));
    const file = join(folder, 'credentials');
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', file);
    const sent: (string | undefined)[] = [];
    const endpoint = await listen((request, response) => {
      request.resume();
      sent.push(/Credential=([^/]+)/.exec(request.headers.authorization ?? '')?.[1]);
      response.writeHead(403).end();
    });
    for (const key of ['OLD', 'NEW']) {
      writeFileSync(file, `[default]\naws_access_key_id = ${key}\naws_secret_access_key = x\n`);
      await withStore({ endpoint, accessKeyId: null, secretAccessKey: null }, async (keyed) => {
        await keyed.list({ bucket: 'xcom', prefix: 'k', after: null }, never);
      });
    }
    expect([...new Set(sent)]).toEqual(['OLD', 'NEW']);
    rmSync(folder, { recursive: true });
  });

  test('a role that cannot be assumed', async () => {
    const sts = await startHttpFaultProxy({ upstream: server() });
    sts.setFault({ answer: 'deny' });
    // The connection has the endpoint of the variables as well.
    vi.stubEnv('AWS_ENDPOINT_URL_STS', 'http://elsewhere.invalid');
    await withStore(
      {
        role: {
          arn: 'arn:r',
          endpoint: sts.url,
          proxies: NO_PROXIES,
          arguments: { RoleArn: 'arn:aws:iam::000000000000:role/reader', RoleSessionName: 'airflow_x' },
        },
      },
      async (roleless) => {
        const answer = await roleless.head({ bucket: 'xcom', key: 'k' }, never);
        expect(answer).toMatchObject({ kind: 'unknown', reason: 'denied' });
      },
    );
    expect(sts.requests.other).toBe(1);
    expect(proxy.requests.head).toBe(0);
    await sts.stop();
  });
});

describe('time', () => {
  test.each([
    ['head', 'stall'],
    ['list', 'stall_body'],
    ['get', 'stall_body'],
    ['get', 'stall'],
  ] as const)('a %s that meets %s ends in time', async (operation, answer) => {
    proxy.setFault({ answer });
    expect(await ask(operation)).toMatchObject({
      ...{ kind: 'unknown', reason: 'timeout' },
      detail: expect.stringMatching(/^no answer in \d+ ms$/) as unknown,
      said: { by: 'exporter' },
    });
  });

  test('a server that did not answer in the time of an attempt was there, and another was not', async () => {
    const never = await listen(() => {});
    const unconnected = new Agent();
    unconnected.createConnection = () => Object.assign(new Socket(), { connecting: true });
    const answers = [];
    for (const more of [{ requestTimeout: 50 }, { socketTimeout: 50 }, { httpAgent: unconnected }]) {
      const client = new S3Client({
        ...{ region: 'us-east-1', endpoint: never, maxAttempts: 1 },
        credentials: { accessKeyId: 'K', secretAccessKey: 's' },
        requestHandler: new NodeHttpHandler({ connectionTimeout: 50, throwOnRequestTimeout: true, ...more }),
      });
      const error: unknown = await client
        .send(new ListObjectsV2Command({ Bucket: 'b' }))
        .catch((thrown: unknown) => thrown);
      client.destroy();
      const { reason, detail, said } = explainFailure(error, { now: 0, sent: true, hasBody: true });
      answers.push([reason, detail, said.by]);
    }
    expect(answers).toEqual([
      ['timeout', 'no answer in 50 ms', 'exporter'],
      ['timeout', 'no answer in 50 ms', 'exporter'],
      ['timeout', 'TimeoutError', 'network'],
    ]);
  });

  test.each(['stall', 'stall_body', { delayMs: 10_000 }] as const)(
    'an abort ends a %s before its timeout does',
    async (answer) => {
      proxy.setFault({ answer });
      const controller = new AbortController();
      setTimeout(() => {
        controller.abort();
      }, 100);
      const outcome = await store.list({ bucket: 'xcom', prefix: '', after: null }, controller.signal);
      expect(outcome).toMatchObject({ kind: 'unknown', reason: 'aborted' });
    },
  );

  test('an abort reaches the calls that still wait for their turn', async () => {
    proxy.setFault({ answer: 'stall' });
    const controller = new AbortController();
    const heads = Array.from({ length: 100 }, (_, index) =>
      store.head({ bucket: 'xcom', key: `k${index}` }, controller.signal),
    );
    await vi.waitFor(() => {
      expect(proxy.requests.head).toBe(16);
    });
    controller.abort();
    const outcomes = await Promise.all(heads);
    expect(outcomes.every((outcome) => outcome.kind === 'unknown' && outcome.reason === 'aborted')).toBe(
      true,
    );
    expect(proxy.requests.head).toBe(16);
  });

  test('nothing is sent for a signal that is aborted already', async () => {
    const outcome = await store.head({ bucket: 'xcom', key: 'k' }, AbortSignal.abort());
    expect(outcome).toMatchObject({ kind: 'unknown', reason: 'aborted' });
    expect(proxy.requests.head).toBe(0);
  });
});

describe('a storage that fails in all its ways at once', () => {
  test(
    'nothing is called missing, what was answered is right, and every call ends',
    { timeout: 20_000 },
    async () => {
      const keys = Array.from({ length: 48 }, (_, index) => `storm/${String(index).padStart(2, '0')}`);
      await plantDirectly(keys);
      const faults = [null, null, 'cut', null, 'stall', null, 'server_error', 'stall_body', null] as const;
      let turn = 0;
      let answer: HttpFaultAnswer | null = null;
      proxy.setFault({
        match: () => {
          answer = faults[turn++ % faults.length] ?? null;
          return answer !== null;
        },
        get answer() {
          return answer ?? 'cut';
        },
      });
      // No more calls at once than the client has places: the time of a call includes no wait for a place.
      for (let at = 0; at < keys.length; at += 16) {
        const calls = keys.slice(at, at + 16).map((key, index): Promise<HeadAnswer | ListAnswer> => {
          if (index % 4 > 0) return store.head({ bucket: 'xcom', key }, never);
          return store.list({ bucket: 'xcom', prefix: 'storm/', after: null }, never);
        });
        for (const outcome of await Promise.all(calls)) {
          expect(outcome.kind).not.toBe('missing');
          if (outcome.kind === 'listed') expect(outcome.objects).toHaveLength(keys.length);
        }
      }
    },
  );
});

describe('a storage that throttles', () => {
  beforeEach(beginPatient);

  /** Answers as a bucket does that throttles: so many requests in a period are answered, the others are not. */
  function allow(count: number, options: { perMs: number }): HttpFault {
    const times: number[] = [];
    return {
      match: () => {
        const now = performance.now();
        while (times[0] !== undefined && times[0] < now - options.perMs) times.shift();
        if (times.length >= count) return true;
        times.push(now);
        return false;
      },
      answer: 'slow_down',
    };
  }

  function askMany(count: number): Promise<HeadAnswer[]> {
    return Promise.all(
      Array.from({ length: count }, (_, index) => store.head({ bucket: 'xcom', key: `no/${index}` }, never)),
    );
  }

  test('is asked for less until it answers, and for all again in seconds when it has recovered', async () => {
    proxy.setFault(allow(5, { perMs: 100 }));
    const answers = await askMany(100);
    const refused = answers.filter((answer) => answer.kind === 'unknown');
    expect(refused.every(({ reason }) => reason === 'throttled')).toBe(true);
    expect(answers.length - refused.length).toBeGreaterThan(50);
    // Without a limit to the rate, most of a hundred requests would be refused, twice each.
    expect(proxy.requests.head).toBeLessThan(150);

    proxy.setFault(null);
    const answer = await askMany(100);
    expect(answer.every(({ kind }) => kind === 'missing')).toBe(true);
  });

  test('in a burst: what comes after it is answered, and nothing is called missing', async () => {
    await plantDirectly(Array.from({ length: 40 }, (_, index) => `there/${index}`));
    let left = 20;
    proxy.setFault({ match: ({ kind }) => kind === 'head' && left-- > 0, answer: 'slow_down' });
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, index) => store.head({ bucket: 'xcom', key: `there/${index}` }, never)),
    );
    const kinds = answers.map((answer) => (answer.kind === 'unknown' ? answer.reason : answer.kind));
    expect(kinds).not.toContain('missing');
    expect(kinds.filter((kind) => kind === 'present').length).toBeGreaterThan(20);
  });

  test('and never answers does not hold up hundreds of calls', async () => {
    proxy.setFault({ answer: 'slow_down' });
    const answer = await askMany(500);
    expect(answer.every((one) => one.kind === 'unknown' && one.reason === 'throttled')).toBe(true);
    expect(seen.requests.head).toBeLessThan(80);
  });
});

async function withStore(
  changes: Partial<S3Connection>,
  use: (store: ObjectStore) => Promise<void>,
): Promise<void> {
  const connection = { ...connectionTo(proxy.url, server()), ...changes };
  const changed = openObjectStore(connection, { observer: seen, log, requestTimeoutMs: 2_000 });
  try {
    await use(changed);
  } finally {
    changed.close();
  }
}
