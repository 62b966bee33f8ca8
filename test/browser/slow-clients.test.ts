import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { startHttpServer } from '../../src/http/server.ts';
import type { HttpServer } from '../../src/http/server.ts';
import { createMetrics } from '../../src/metrics/metrics.ts';
import { METRICS_OPTIONS, STATUS } from '../support/small-exporter.ts';

const servers: HttpServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

async function start(): Promise<HttpServer> {
  const metrics = createMetrics(METRICS_OPTIONS);
  const server = await startHttpServer({
    host: '127.0.0.1',
    port: 0,
    webConfigFile: null,
    metrics,
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

/** Waits as long as the server does, so it is no part of `npm test`. */
test('a request that never ends is given up, while others are answered', async () => {
  const { port } = await start();
  const order: string[] = [];
  const slow = exchange(port, 'GET /metrics HTTP/1.1\r\nHost: x\r\n').then((text) => {
    order.push('given up');
    return text;
  });
  await delay(1_000);
  expect((await fetch(`http://127.0.0.1:${port}/metrics`)).status).toBe(200);
  order.push('answered');
  expect(await slow).toMatch(/^HTTP\/1\.1 408 /);
  expect(order).toEqual(['answered', 'given up']);
});
