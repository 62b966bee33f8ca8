import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Server, Socket } from 'node:net';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { secret } from '../../../src/lib/secret.ts';
import type { Proxies } from '../../../src/s3/agents.ts';
import { NO_PROXIES } from '../../../src/s3/agents.ts';
import { openObjectStore } from '../../../src/s3/client.ts';
import { greet } from '../../../src/s3/greeting.ts';
import type { EmbeddedS3 } from '../../../src/demo/embedded-s3.ts';
import { connectionTo, recordRequests, useS3 } from '../../support/s3.ts';

const never = new AbortController().signal;
/** Only the proxy leads to this host. */
const FAR = 's3.example';
const server = useS3('bucket');

let folder = '';
const open: { server: Server; sockets: Set<Socket> }[] = [];
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'proxy-'));
  const subject = ['-subj', '/CN=s3.example', '-addext', `subjectAltName=DNS:${FAR}`];
  const files = ['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem')];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...subject, ...files], {
    stdio: 'ignore',
  });
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});
afterEach(() => {
  for (const one of open.splice(0)) {
    for (const socket of one.sockets) socket.destroy();
    one.server.close();
  }
  vi.useRealTimers();
});

async function listen(one: Server): Promise<number> {
  const sockets = new Set<Socket>();
  one.on('connection', (socket: Socket) => sockets.add(socket));
  open.push({ server: one, sockets });
  await new Promise<void>((resolve) => one.listen(0, '127.0.0.1', resolve));
  return (one.address() as AddressInfo).port;
}

/** Answers as an S3 that has the bucket and one object. */
function answer({ method }: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, { etag: '"0"', 'content-length': method === 'HEAD' ? 3 : 0 }).end();
}

/** A proxy that leads every tunnel to one port, and notes the targets and credentials of its requests. */
async function startProxy({ tunnel, status }: { tunnel: number; status: number }) {
  const asked: (string | undefined)[][] = [];
  const proxy = createServer((request, response) => {
    asked.push([request.url?.split('?')[0], request.headers['proxy-authorization']]);
    answer(request, response);
  });
  proxy.on('connect', (request: IncomingMessage, near: Socket) => {
    asked.push([`CONNECT ${request.url ?? ''}`, request.headers['proxy-authorization']]);
    if (status !== 200) {
      near.end(`HTTP/1.1 ${status} No\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nno`);
      return;
    }
    const far = connect(tunnel, '127.0.0.1', () => {
      near.write('HTTP/1.1 200 OK\r\n\r\n');
      near.pipe(far).pipe(near);
    });
    for (const socket of [near, far]) socket.on('error', () => near.destroy());
  });
  const port = await listen(proxy);
  return { asked, port, url: secret(`http://us%40er:geheim@127.0.0.1:${port}`) };
}

const SIGNED = `Basic ${Buffer.from('us@er:geheim').toString('base64')}`;

function store(s3: EmbeddedS3, endpoint: string, proxies: Proxies, limits: Limits = {}) {
  const connection = { ...connectionTo(endpoint, s3), authorities: join(folder, 'cert.pem'), proxies };
  const options = { observer: recordRequests(), log: pino({ level: 'silent' }), ...limits };
  return { connection, ...openObjectStore(connection, options) };
}

type Limits = Pick<Parameters<typeof openObjectStore>[1], 'requestTimeoutMs' | 'concurrency'>;

/** A proxy that takes connections and says nothing until it is told to work. */
async function startSilentProxy({ tunnel }: { tunnel: number }) {
  const held: Socket[] = [];
  const world = { isSilent: true };
  const proxy = createServer();
  proxy.on('connect', (_: IncomingMessage, near: Socket) => {
    near.on('error', () => near.destroy());
    if (world.isSilent) {
      held.push(near.resume().once('end', () => near.destroy()));
      return;
    }
    const far = connect(tunnel, '127.0.0.1', () => {
      near.write('HTTP/1.1 200 OK\r\n\r\n');
      near.pipe(far).pipe(near);
    });
    far.on('error', () => near.destroy());
  });
  const host = `127.0.0.1:${await listen(proxy)}`;
  return { held, world, host, url: secret(`http://${host}`) };
}

test('plain HTTP goes through the proxy as a whole, with the password of its URL', async () => {
  const proxy = await startProxy({ tunnel: 0, status: 200 });
  const far = store(server(), `http://${FAR}:9000`, { http: proxy.url, https: null });
  const found = await far.head({ bucket: 'bucket', key: 'a b/k' }, never);
  far.close();
  expect(found).toEqual({ kind: 'present', bytes: 3, archive: null, lastModified: null });
  expect(proxy.asked).toEqual([[`http://${FAR}:9000/bucket/a%20b/k`, SIGNED]]);
});

test('an access point is asked by its host name also at an endpoint of one’s own, and a bucket by the path', async () => {
  const proxy = await startProxy({ tunnel: 0, status: 200 });
  const far = store(server(), `http://accesspoint.${FAR}`, { http: proxy.url, https: null });
  const bucket = 'arn:aws:s3:eu-west-1:123456789012:accesspoint/xcom';
  const found = await far.head({ bucket, key: 'k' }, never);
  await far.head({ bucket: 'bucket', key: 'k' }, never);
  far.close();
  expect(found).toEqual({ kind: 'present', bytes: 3, archive: null, lastModified: null });
  expect(proxy.asked.map(([url]) => url)).toEqual([
    `http://xcom-123456789012.accesspoint.${FAR}/k`,
    `http://accesspoint.${FAR}/bucket/k`,
  ]);
});

test('TLS goes through a tunnel, and the authorities are asked for what is behind it', async () => {
  const tls = createTlsServer(
    { key: readFileSync(join(folder, 'key.pem')), cert: readFileSync(join(folder, 'cert.pem')) },
    answer,
  );
  const proxy = await startProxy({ tunnel: await listen(tls), status: 200 });
  const far = store(server(), `https://${FAR}`, { http: null, https: proxy.url });
  const found = await far.head({ bucket: 'bucket', key: 'k' }, never);
  expect(found).toEqual({ kind: 'present', bytes: 3, archive: null, lastModified: null });
  expect(await far.put({ bucket: 'bucket', key: 'k', body: new Uint8Array(3) }, never)).toMatchObject({
    kind: 'done',
  });
  expect(proxy.asked).toEqual([[`CONNECT ${FAR}:443`, SIGNED]]);
  expect(await greet(far.connection, 'bucket', never)).toMatchObject({
    kind: 'answered',
    url: `https://${FAR}/bucket`,
  });
  far.close();
  const untrusted = store(server(), `https://${FAR}`, { http: null, https: proxy.url });
  untrusted.close();
  expect(await greet({ ...untrusted.connection, authorities: null }, 'bucket', never)).toMatchObject({
    stage: 'tls',
    code: 'DEPTH_ZERO_SELF_SIGNED_CERT',
  });
});

test('a proxy that refuses is named, and so is one that is not there', async () => {
  const proxy = await startProxy({ tunnel: 0, status: 403 });
  const refused = store(server(), `https://${FAR}`, { http: null, https: proxy.url });
  const gone = secret('http://u:geheim@127.0.0.1:1');
  const down = store(server(), `https://${FAR}`, { http: null, https: gone });
  const downInPlain = store(server(), `http://${FAR}:9000`, { http: gone, https: null });
  const host = `127.0.0.1:${proxy.port}`;
  expect(await refused.head({ bucket: 'bucket', key: 'k' }, never)).toMatchObject({
    reason: 'unreachable',
    detail: `the proxy ${host} answered 403`,
    said: { by: 'proxy', status: 403 },
  });
  for (const one of [down, downInPlain]) {
    expect(await one.head({ bucket: 'bucket', key: 'k' }, never)).toMatchObject({
      reason: 'unreachable',
      detail: 'the proxy 127.0.0.1:1 did not answer: ECONNREFUSED',
      said: { by: 'proxy', code: 'ECONNREFUSED' },
    });
    expect(await greet(one.connection, 'bucket', never)).toMatchObject({
      stage: 'proxy',
      code: 'the proxy 127.0.0.1:1 did not answer: ECONNREFUSED',
    });
    one.close();
  }
  expect(await greet(refused.connection, 'bucket', never)).toMatchObject({
    stage: 'proxy',
    code: `the proxy ${host} answered 403`,
  });
  refused.close();
  down.close();
});

describe('a proxy that takes a connection and does not answer', () => {
  test('is told as late, and is of use again once it answers', async () => {
    const tls = createTlsServer(
      { key: readFileSync(join(folder, 'key.pem')), cert: readFileSync(join(folder, 'cert.pem')) },
      answer,
    );
    const proxy = await startSilentProxy({ tunnel: await listen(tls) });
    const limits = { requestTimeoutMs: 1_000, concurrency: 1 };
    const far = store(server(), `https://${FAR}`, { http: null, https: proxy.url }, limits);
    const head = () => far.head({ bucket: 'bucket', key: 'k' }, never);
    for (const asked of [1, 2]) {
      expect(await head()).toMatchObject({
        reason: 'timeout',
        detail: `no answer in 400 ms from the proxy ${proxy.host}`,
        said: { by: 'exporter' },
      });
      // The SDK tries each once more.
      expect(proxy.held).toHaveLength(2 * asked);
    }
    await vi.waitFor(() => {
      expect(proxy.held.every(({ destroyed }) => destroyed)).toBe(true);
    });
    proxy.world.isSilent = false;
    expect(await head()).toMatchObject({ kind: 'present' });
    far.close();
  });

  test('costs a request nothing if it was silent once', async () => {
    const tls = createTlsServer(
      { key: readFileSync(join(folder, 'key.pem')), cert: readFileSync(join(folder, 'cert.pem')) },
      answer,
    );
    const proxy = await startSilentProxy({ tunnel: await listen(tls) });
    const limits = { requestTimeoutMs: 4_000, concurrency: 1 };
    const far = store(server(), `https://${FAR}`, { http: null, https: proxy.url }, limits);
    const found = far.head({ bucket: 'bucket', key: 'k' }, never);
    await vi.waitFor(() => {
      expect(proxy.held).toHaveLength(1);
    });
    proxy.world.isSilent = false;
    expect(await found).toMatchObject({ kind: 'present' });
    far.close();
  });

  test('does not hold the check of the endpoint', async () => {
    const proxy = await startSilentProxy({ tunnel: 0 });
    const { connection, ...opened } = store(server(), `https://${FAR}`, { http: null, https: proxy.url });
    opened.close();
    const controller = new AbortController();
    const aborted = greet(connection, 'bucket', controller.signal);
    await vi.waitFor(() => {
      expect(proxy.held).toHaveLength(1);
    });
    controller.abort();
    expect(await aborted).toMatchObject({ kind: 'failed' });
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const late = greet(connection, 'bucket', never);
    await expect.poll(() => vi.getTimerCount()).toBeGreaterThan(1);
    await vi.advanceTimersByTimeAsync(4_000);
    expect(await late).toMatchObject({
      stage: 'timeout',
      code: `no answer in 4000 ms from the proxy ${proxy.host}`,
    });
  });

  test('is named if it leads to STS, and no connection to it stays', async () => {
    const proxy = await startSilentProxy({ tunnel: 0 });
    const role = { RoleArn: 'arn:aws:iam::123456789012:role/x', RoleSessionName: 's' };
    const connection = {
      ...connectionTo('http://127.0.0.1:1', server()),
      role: {
        arn: role.RoleArn,
        endpoint: 'https://sts.example',
        proxies: { http: null, https: proxy.url },
        arguments: role,
      },
    };
    const one = openObjectStore(connection, { observer: recordRequests(), log: pino({ level: 'silent' }) });
    expect(await one.head({ bucket: 'bucket', key: 'k' }, never)).toMatchObject({
      reason: 'timeout',
      detail: `no credentials: no answer in 1600 ms from the proxy ${proxy.host}`,
      said: { by: 'credentials', unasked: true },
    });
    one.close();
    await vi.waitFor(() => {
      expect(proxy.held.map(({ destroyed }) => destroyed)).toEqual([true]);
    });
  });
});

/** A port that takes no more connections: its queue is full, as behind a firewall that answers nothing. */
async function startDeafPort(): Promise<{ readonly port: number; readonly end: () => void }> {
  const script = [
    'import socket, sys',
    's = socket.socket()',
    's.bind(("127.0.0.1", 0))',
    's.listen(0)',
    'held = [socket.socket() for _ in range(4)]',
    'for one in held:',
    '    one.setblocking(False)',
    '    one.connect_ex(s.getsockname())',
    'print(s.getsockname()[1], flush=True)',
    'sys.stdin.read()',
  ];
  const child = spawn('python3', ['-c', script.join('\n')]);
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { port: Number(line.toString()), end: () => child.kill() };
}

test.each(['http', 'https'] as const)(
  'a proxy for %s that takes no connection is told as such',
  async (scheme) => {
    const deaf = await startDeafPort();
    const host = `127.0.0.1:${deaf.port}`;
    const proxies = { ...NO_PROXIES, [scheme]: secret(`http://${host}`) };
    const limits = { requestTimeoutMs: 1_000, concurrency: 1 };
    const far = store(server(), `${scheme}://${FAR}`, proxies, limits);
    expect(await far.head({ bucket: 'bucket', key: 'k' }, never)).toMatchObject({
      reason: 'unreachable',
      detail: `the proxy ${host} did not answer: ETIMEDOUT`,
      said: { by: 'proxy' },
    });
    far.close();
    deaf.end();
  },
);

test('a PUT has the checksum that s3fs sends, unless the worker is told to send none', async () => {
  const sent: (string | string[] | undefined)[] = [];
  const plain = createServer((request, response) => {
    sent.push(request.headers['x-amz-checksum-crc32']);
    answer(request, response);
  });
  const endpoint = `http://127.0.0.1:${await listen(plain)}`;
  for (const sendsChecksums of [true, false]) {
    const connection = { ...connectionTo(endpoint, server()), proxies: NO_PROXIES, sendsChecksums };
    const one = openObjectStore(connection, { observer: recordRequests(), log: pino({ level: 'silent' }) });
    await one.put({ bucket: 'bucket', key: 'k', body: new TextEncoder().encode('{}') }, never);
    one.close();
  }
  expect(sent).toEqual(['o6a/Qw==', undefined]);
});
