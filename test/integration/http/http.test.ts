import { hashSync } from 'bcryptjs';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import type { HttpServerOptions } from '../../../src/http/routes.ts';
import { startHttpServer } from '../../../src/http/server.ts';
import type { HttpServer } from '../../../src/http/server.ts';
import { createMetrics } from '../../../src/metrics/metrics.ts';
import { expectScrapeMatchesContract, sampleOf } from '../../support/contract.ts';
import { faultOfAnswer, listOperations, readOpenApi } from '../../support/open-api.ts';
import { METRICS_OPTIONS, STATUS } from '../../support/small-exporter.ts';

const run = promisify(execFile);

const servers: HttpServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

async function start(changes: Partial<HttpServerOptions> = {}) {
  const lines: string[] = [];
  const options: HttpServerOptions = {
    host: '127.0.0.1',
    port: 0,
    webConfigFile: null,
    metrics: createMetrics(METRICS_OPTIONS),
    status: () => STATUS,
    ready: () => true,
    reload: () => Promise.resolve({ ok: true }),
    webConfigRead: () => undefined,
    log: pino({}, { write: (line: string) => lines.push(line) }),
    ...changes,
  };
  const server = await startHttpServer(options);
  servers.push(server);
  return { server, lines, options, url: `http://127.0.0.1:${server.port}` };
}

/** Gives the bytes as they are sent: fetch() would unpack them. */
function raw(url: string, options: { method?: string; headers?: Record<string, string> } = {}) {
  return new Promise<{ status: number; headers: NodeJS.Dict<string | string[]>; body: Buffer }>(
    (resolve, reject) => {
      const sent = request(url, { ...options, agent: false }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks),
          });
        });
      });
      sent.on('error', reject);
      sent.end();
    },
  );
}

describe('/metrics', () => {
  test('is the text format, whatever is asked for', async () => {
    const { url } = await start();
    const response = await fetch(`${url}/metrics`, {
      headers: { accept: 'application/openmetrics-text; version=1.0.0; q=0.9, text/plain; q=0.1' },
    });
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expectScrapeMatchesContract(await response.text());
  });

  test.each([
    ['gzip', 'gzip'],
    ['gzip;q=1.0, deflate, br', 'gzip'],
    ['identity', undefined],
    ['gzip;q=0', undefined],
    ['br', undefined],
    [null, undefined],
  ])('with Accept-Encoding %s comes as %s', async (accepted, expected) => {
    const { url } = await start();
    const response = await raw(`${url}/metrics`, {
      headers: accepted === null ? {} : { 'accept-encoding': accepted },
    });
    expect(response.headers['content-encoding']).toBe(expected);
    expect(response.headers['vary']).toBe('Accept-Encoding');
    expect(response.headers['content-length']).toBe(String(response.body.length));
    const text = expected === 'gzip' ? gunzipSync(response.body) : response.body;
    expectScrapeMatchesContract(text.toString());
  });

  test('in gzip is read in full by curl', async () => {
    const { url } = await start();
    const { stdout } = await run('curl', [
      '--silent',
      '--show-error',
      '--fail',
      '--compressed',
      `${url}/metrics`,
    ]);
    const scrape = expectScrapeMatchesContract(stdout);
    expect(sampleOf(scrape, 'process_resident_memory_bytes')).toBeGreaterThan(0);
  });

  test('shows what was published just before', async () => {
    const { url, options } = await start();
    const metrics = options.metrics as ReturnType<typeof createMetrics>;
    metrics.setLeader(true);
    const scrape = expectScrapeMatchesContract(await (await fetch(`${url}/metrics`)).text());
    expect(sampleOf(scrape, 'airflow_xcom_exporter_leader')).toBe(1);
  });
});

describe('the life of the process', () => {
  test('healthy always, ready when it is', async () => {
    let ready = false;
    const { url } = await start({ ready: () => ready });
    expect((await fetch(`${url}/-/healthy`)).status).toBe(200);
    const before = await fetch(`${url}/-/ready`);
    expect([before.status, await before.text()]).toEqual([
      503,
      expect.stringMatching(/^Not ready: the first cycle/),
    ]);
    ready = true;
    expect((await fetch(`${url}/-/ready`)).status).toBe(200);
  });

  test('reload answers with what came of it, to POST only', async () => {
    let calls = 0;
    const { url } = await start({
      reload: () => {
        calls += 1;
        return Promise.resolve(
          calls === 1
            ? { ok: true, waits: ['it takes a restart'] }
            : { ok: false, problems: ['window: 24x', 'no such key: foo'] },
        );
      },
    });
    const byPage = { method: 'POST', headers: { origin: 'https://elsewhere.example' } };
    expect((await fetch(`${url}/-/reload`, byPage)).status).toBe(403);
    const get = await fetch(`${url}/-/reload`);
    expect([get.status, get.headers.get('allow'), calls]).toEqual([405, 'POST', 0]);
    const right = await fetch(`${url}/-/reload`, { method: 'POST' });
    expect([right.status, await right.text()]).toEqual([200, 'Reloaded.\nit takes a restart\n']);
    const wrong = await fetch(`${url}/-/reload`, { method: 'POST' });
    expect([wrong.status, await wrong.text()]).toEqual([
      400,
      'Not reloaded:\nwindow: 24x\nno such key: foo\n',
    ]);
    expect(wrong.headers.get('content-type')).toMatch(/^text\/plain/);
  });
});

describe('the description of the API', () => {
  test('is served as it stands in the repository', async () => {
    const { url } = await start();
    const answer = await fetch(`${url}/api/v1/openapi.json`);
    expect([answer.status, answer.headers.get('content-type')]).toEqual([
      200,
      'application/json; charset=utf-8',
    ]);
    expect(await answer.json()).toEqual(readOpenApi());
  });

  test('holds for every answer there is: each status of each operation, and none besides', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'open-api-'));
    const webConfigFile = join(folder, 'web.yml');
    writeFileSync(webConfigFile, `basic_auth_users: { prometheus: ${hashSync('geheim', 10)} }\n`);
    const open = await start();
    const closed = await start({
      webConfigFile,
      ready: () => false,
      reload: () => Promise.resolve({ ok: false, problems: ['window: 24x'] }),
    });
    rmSync(folder, { recursive: true });
    const variants = ['', '?problem=path_leaked&dag_id=a&limit=1', '?limit=0', '?dag=a'];
    const operations = listOperations(readOpenApi());
    const password = { authorization: `Basic ${btoa('prometheus:geheim')}` };
    const seen = new Set<string>();
    for (const operation of operations)
      for (const { url } of [open, closed])
        for (const query of operation.path === '/api/v1/findings' ? variants : [''])
          for (const headers of [{}, password, { ...password, origin: 'https://elsewhere.example' }]) {
            const { method, path } = operation;
            const answer = await fetch(`${url}${path}${query}`, { method, headers });
            seen.add(`${answer.status} ${method} ${path}`);
            const fault = await faultOfAnswer(answer, operation);
            expect([method, path, query, fault]).toEqual([method, path, query, null]);
          }
    const described = operations.flatMap(({ method, path, responses }) =>
      Object.keys(responses).map((status) => `${status} ${method} ${path}`),
    );
    expect([...seen].sort()).toEqual(described.sort());
  });

  test('names every address under /api', async () => {
    const { url } = await start();
    const other = await (await fetch(`${url}/nothing`)).text();
    const named = other.match(/\/api[^\s,]+[a-z]/g) ?? [];
    expect(named.length).toBeGreaterThan(1);
    for (const path of named) expect(Object.keys(readOpenApi().paths)).toContain(path);
  });
});

describe('pages', () => {
  test('the status page and its JSON', async () => {
    const { url } = await start();
    const page = await fetch(`${url}/`);
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(await page.text()).toMatch(/<h1>.*No cycle yet<\/h1>/s);
    const document = await fetch(`${url}/api/v1/status`);
    expect(document.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(await document.json()).toMatchObject({ version: '1.2.3', verdict: { state: 'unknown' } });
  });

  test('findings take parameters, and refuse wrong ones', async () => {
    const { url } = await start();
    const good = await fetch(`${url}/api/v1/findings?problem=path_leaked&dag_id=a&limit=1000`);
    expect([good.status, await good.json()]).toEqual([
      200,
      { schema_version: 1, at: null, stale: false, total: 0, findings: [] },
    ]);
    for (const [query, error] of [
      ['limit=0', /^limit must be a whole number from 1 to 1000$/],
      ['limit=1001', /^limit must be/],
      ['limit=1e2', /^limit must be/],
      ['limit=', /^limit must be/],
      ['problem=x', /^problem must be one of schema_unsupported, /],
      ['problem=worker_bypas', /; did you mean worker_bypass\?$/],
      ['problem[a]=b', /^unknown parameter: there is problem, dag_id, limit$/],
      ['dag_id=', /^dag_id must be one dag id$/],
      ['limit=1&limit=2', /^limit is given more than once/],
      ['dag_id=a&dag_id=b', /^dag_id is given more than once/],
      ['x=1', /^unknown parameter: there is problem, dag_id, limit$/],
      ['__proto__=1', /^unknown parameter/],
    ] as const) {
      const response = await fetch(`${url}/api/v1/findings?${query}`);
      expect([query, response.status, await response.json()]).toEqual([
        query,
        400,
        { error: expect.stringMatching(error) as string },
      ]);
    }
  });

  test.each(['/', '/metrics', '/-/healthy', '/nothing', '/api/v1/status'])(
    '%s has the headers of safety',
    async (path) => {
      const { url } = await start();
      const { headers } = await fetch(url + path);
      const policy = headers.get('content-security-policy') ?? '';
      expect(policy).toMatch(/^default-src 'none'; style-src 'sha256-[A-Za-z0-9+/]{43}='; /);
      expect(policy).not.toContain('unsafe');
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('referrer-policy')).toBe('no-referrer');
      expect(headers.get('cache-control')).toBe('no-store');
      expect(headers.get('x-powered-by')).toBeNull();
    },
  );

  test.each(['/', '/metrics', '/-/healthy', '/-/ready', '/api/v1/status', '/api/v1/findings'])(
    '%s answers HEAD and refuses POST',
    async (path) => {
      const { url } = await start();
      const head = await fetch(url + path, { method: 'HEAD' });
      expect([head.status, await head.text()]).toEqual([200, '']);
      const post = await fetch(url + path, { method: 'POST' });
      expect([post.status, post.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    },
  );

  test.each([
    ['/nothing', 404],
    ['/metrics/x', 404],
    ['/..%2f..%2fetc/passwd', 404],
    ['/<script>', 404],
    ['/%', 404],
  ])('%s is %i, in words that do not repeat it', async (path, status) => {
    const { url } = await start();
    const response = await raw(url + path);
    expect(response.status).toBe(status);
    expect(response.headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(response.body.toString()).not.toContain(path.slice(1));
  });

  test('an error is logged and told without its detail', async () => {
    const { url, lines } = await start({
      status: () => {
        throw new Error('the detail');
      },
      metrics: { snapshot: () => Promise.reject(new Error('another detail')) },
    });
    for (const path of ['/', '/api/v1/status', '/metrics']) {
      const response = await fetch(url + path);
      expect([response.status, await response.text()]).toEqual([
        500,
        'Internal error: see the log of the exporter.\n',
      ]);
    }
    expect(lines.join('')).toContain('the detail');
    expect(lines.join('')).toContain('another detail');
  });
});

describe('the socket', () => {
  test('an address in use is an error that says so', async () => {
    const { server } = await start();
    await expect(start({ port: server.port })).rejects.toThrow(
      `Cannot listen on 127.0.0.1:${server.port}: another process listens there; stop it or set web.listen-address to a free port`,
    );
  });

  test('an address that this machine has not is an error that says so', async () => {
    await expect(start({ host: '192.0.2.1' })).rejects.toThrow(
      /no such address; correct web\.listen-address/,
    );
  });

  test('no host is every address', async () => {
    const { server } = await start({ host: '' });
    expect((await fetch(`http://127.0.0.1:${server.port}/-/healthy`)).status).toBe(200);
  });

  /**
   * A server with a request that never ends. If something closes before it, that did not wait for the two seconds.
   */
  async function startHanging(): Promise<HttpServer> {
    let asked: () => void = () => undefined;
    const arrived = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const { server } = await start({
      reload: () => {
        asked();
        return new Promise(() => undefined);
      },
    });
    const socket = connect(server.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write('POST /-/reload HTTP/1.1\r\nhost: x\r\n\r\n');
    await arrived;
    return server;
  }

  async function orderOf(closing: Readonly<Record<string, Promise<void>>>): Promise<string[]> {
    const order: string[] = [];
    await Promise.all(Object.entries(closing).map(([name, closed]) => closed.then(() => order.push(name))));
    return order;
  }

  test('close ends connections that are kept alive at once', async () => {
    const hanging = await startHanging();
    const { server, url } = await start();
    await (await fetch(`${url}/-/healthy`)).text();
    expect(await orderOf({ hanging: hanging.close(), idle: server.close() })).toEqual(['idle', 'hanging']);
    await expect(fetch(`${url}/-/healthy`)).rejects.toThrow();
  });

  test('close answers what is under way', async () => {
    let answer: (result: { ok: true }) => void = () => undefined;
    let asked: () => void = () => undefined;
    const arrived = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const { server, url } = await start({
      reload: () =>
        new Promise((resolve) => {
          answer = resolve;
          asked();
        }),
    });
    const response = fetch(`${url}/-/reload`, { method: 'POST' });
    const hanging = await startHanging();
    await arrived;
    const order = orderOf({ hanging: hanging.close(), answering: server.close() });
    answer({ ok: true });
    expect((await response).status).toBe(200);
    expect(await order).toEqual(['answering', 'hanging']);
  });

  test('close waits two seconds for one that never ends, and no longer', async () => {
    const { server } = await start({ reload: () => new Promise(() => undefined) });
    const socket = connect(server.port, '127.0.0.1');
    const ended = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => undefined);
    socket.write('POST /-/reload HTTP/1.1\r\nhost: x\r\n\r\n');
    const silent = connect(server.port, '127.0.0.1');
    silent.on('error', () => undefined);
    await new Promise((resolve) => silent.once('connect', resolve));
    await new Promise((resolve) => setTimeout(resolve, 100));
    const aWhile = new Promise<void>((resolve) => setTimeout(resolve, 1_500));
    expect(await orderOf({ aWhile, closed: server.close() })).toEqual(['aWhile', 'closed']);
    await ended;
  });

  test('the port is free again after close', async () => {
    const { server } = await start();
    await server.close();
    const next = createServer();
    await new Promise<void>((resolve) => next.listen(server.port, '127.0.0.1', resolve));
    expect((next.address() as AddressInfo).port).toBe(server.port);
    await new Promise((resolve) => next.close(resolve));
  });
});
