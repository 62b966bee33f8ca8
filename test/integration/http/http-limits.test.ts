import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import { startHttpServer } from '../../../src/http/server.ts';
import type { HttpServer } from '../../../src/http/server.ts';
import { createMetrics } from '../../../src/metrics/metrics.ts';
import { METRICS_OPTIONS, STATUS } from '../../support/small-exporter.ts';

const servers: HttpServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

async function start(snapshot?: () => Promise<{ text: Buffer; gzip: Buffer }>): Promise<HttpServer> {
  const metrics = createMetrics(METRICS_OPTIONS);
  const server = await startHttpServer({
    host: '127.0.0.1',
    port: 0,
    webConfigFile: null,
    metrics: snapshot === undefined ? metrics : { snapshot },
    status: () => STATUS,
    ready: () => true,
    reload: () => Promise.resolve({ ok: true }),
    webConfigRead: () => undefined,
    log: pino({ level: 'silent' }),
  });
  servers.push(server);
  return server;
}

/** Sends these bytes; gives everything that comes back until the server closes the connection. */
function exchange(port: number, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    // A reset counts as an answer too.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      resolve(Buffer.concat(chunks).toString());
    });
  });
}

describe('requests that are not as they should be', () => {
  test.each([
    '/',
    '/metrics',
    '/-/healthy',
    '/-/ready',
    '/api/v1/status',
    '/api/v1/findings',
    '/docs/runbook.md',
  ])('%s answers HEAD as GET without a body, and no other method', async (path) => {
    const url = `http://127.0.0.1:${(await start()).port}${path}`;
    const get = await fetch(url, { headers: { 'accept-encoding': 'identity' } });
    const head = await fetch(url, { method: 'HEAD', headers: { 'accept-encoding': 'identity' } });
    expect([head.status, await head.text()]).toEqual([200, '']);
    const names = ['content-type', 'content-security-policy', 'x-content-type-options', 'refresh'];
    for (const name of names) expect([name, head.headers.get(name)]).toEqual([name, get.headers.get(name)]);
    // Figures of the process itself differ from one scrape to the next.
    if (path !== '/metrics')
      expect(head.headers.get('content-length')).toBe(get.headers.get('content-length'));
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
      const refused = await fetch(url, { method });
      expect([method, refused.status, refused.headers.get('allow')]).toEqual([method, 405, 'GET, HEAD']);
    }
  });

  test.each(['/nothing', '/Metrics', '/..%2f..%2fetc/passwd', '/docs/', '/%00', '/favicon.ico'])(
    '%s is not there',
    async (path) => {
      const answer = await fetch(`http://127.0.0.1:${(await start()).port}${path}`);
      expect([answer.status, answer.headers.get('content-type')]).toEqual([404, 'text/plain; charset=utf-8']);
    },
  );

  test('a wrong parameter of the page is told, and nothing of it repeated', async () => {
    const answer = await fetch(`http://127.0.0.1:${(await start()).port}/?problem=<img src=x>`);
    expect([answer.status, answer.headers.get('content-type')]).toEqual([400, 'text/plain; charset=utf-8']);
    expect(await answer.text()).toMatch(/^problem must be one of [a-z_, ]+\.\n$/);
  });

  test('the page renews itself unless it is told not to, or lists rows', async () => {
    const url = `http://127.0.0.1:${(await start()).port}/`;
    const refreshOf = async (query: string) => (await fetch(url + query)).headers.get('refresh');
    expect(await refreshOf('')).toBe('15');
    expect(await refreshOf('?refresh=off')).toBeNull();
    expect(await refreshOf('?problem=path_leaked')).toBeNull();
    expect(await refreshOf('?problem=path_leaked&refresh=on')).toBe('15');
  });

  test('headers that are too large are refused', async () => {
    const { port } = await start();
    const text = await exchange(port, `GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`);
    expect(text).toMatch(/^HTTP\/1\.1 431 /);
  });

  test('what is no HTTP is refused', async () => {
    const { port } = await start();
    expect(await exchange(port, 'hello\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
  });

  test('a reader that does not read keeps nobody from reading', async () => {
    const large = Buffer.alloc(20_000_000, 'x\n');
    const { port } = await start(() => Promise.resolve({ text: large, gzip: large }));
    const slow = connect(port, '127.0.0.1', () => slow.write('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'));
    slow.pause();
    await delay(200);
    const answer = await fetch(`http://127.0.0.1:${port}/metrics`, {
      headers: { 'accept-encoding': 'identity' },
    });
    expect((await answer.arrayBuffer()).byteLength).toBe(large.length);
    slow.destroy();
  });
});
