import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseScrape } from '../support/contract.ts';
import { startDaemonProcess, waitedForCore } from '../faults/daemon-process.ts';
import type { DaemonProcess } from '../faults/daemon-process.ts';
import { hostileText, rounds } from './chance.ts';
import type { Chance } from './chance.ts';

let daemon: DaemonProcess;
const dir = mkdtempSync(join(tmpdir(), 'xcom-exporter-fuzz-'));

beforeAll(async () => {
  daemon = await startDaemonProcess({
    main: process.env['DAEMON_MAIN'] ?? '',
    prefix: [],
    lookFile: join(dir, 'look.json'),
    env: {
      XCOM_EXPORTER_DATABASE_URL: 'postgresql://user:password@127.0.0.1:1/airflow',
      XCOM_EXPORTER_WEB_LISTEN_ADDRESS: '127.0.0.1:0',
    },
  });
});
afterAll(async () => {
  await daemon.stop('SIGTERM');
  rmSync(dir, { recursive: true, force: true });
});

const PATHS = [
  '/',
  '/metrics',
  '/-/healthy',
  '/-/ready',
  '/-/reload',
  '/api/v1/status',
  '/api/v1/findings',
  '/nowhere',
];
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT', 'PATCH', 'BREW', ''];

function someRequest(chance: Chance): Buffer {
  if (chance.once(6)) return chance.bytes(chance.int(3_000));
  const query = chance.once(2)
    ? `?${encodeURI(hostileText(chance, 30))}=${hostileText(chance, 60).replaceAll(/\s/g, '+')}`
    : '';
  const path = chance.once(4)
    ? `/${hostileText(chance, 80)}`
    : `${chance.pick(PATHS)}${query}${chance.once(9) ? `?problem=${'a'.repeat(chance.int(20_000))}` : ''}`;
  const headers = [
    chance.pick(['Host: x', 'Host:', 'Host: a\r\nHost: b', 'X: y']),
    chance.pick([
      'Accept-Encoding: gzip',
      'Accept-Encoding: gzip;q=0, *;q=x',
      `Accept: ${hostileText(chance, 40)}`,
      'A: b',
    ]),
    chance.pick([
      'Content-Length: 5',
      'Content-Length: -1',
      'Content-Length: 5\r\nContent-Length: 6',
      'Transfer-Encoding: chunked',
    ]),
    chance.pick([
      'Authorization: Basic !!!!',
      `Authorization: Basic ${chance.bytes(30).toString('base64')}`,
      'Connection: close',
    ]),
    chance.pick([
      `X-Long: ${'x'.repeat(chance.int(40_000))}`,
      `${hostileText(chance, 20)}: 1`,
      'Expect: 100-continue',
      'Upgrade: h2c',
    ]),
  ];
  const body = chance.once(2) ? chance.bytes(chance.int(200)).toString('latin1') : '';
  const end = chance.once(8) ? '' : '\r\n\r\n';
  return Buffer.from(
    `${chance.pick(METHODS)} ${path} HTTP/${chance.pick(['1.1', '1.0', '2.0', '9'])}\r\n${headers.join('\r\n')}${end}${body}`,
  );
}

/** Sends the request in pieces, and waits for an answer, for the end of the connection, or for a moment. */
function send(request: Buffer, chance: Chance): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(daemon.port, '127.0.0.1');
    let answer = '';
    const timer = setTimeout(() => socket.destroy(), 150);
    socket.on('data', (piece) => (answer += piece.toString('latin1')));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(answer);
    });
    const at = chance.int(request.length + 1);
    socket.write(request.subarray(0, at));
    setImmediate(() => {
      if (chance.once(10)) socket.resetAndDestroy();
      else socket.write(request.subarray(at));
    });
  });
}

test('requests of any form are answered or dropped, and the next scrape is answered at once', async () => {
  let answered = 0;
  await rounds(async (chance) => {
    const answers = await Promise.all(Array.from({ length: 40 }, () => send(someRequest(chance), chance)));
    for (const answer of answers) {
      if (answer === '') continue;
      answered += 1;
      expect(answer).toMatch(/^HTTP\/1\.1 \d{3} /);
      expect(answer).not.toMatch(/^HTTP\/1\.1 500 /);
      expect(answer).not.toMatch(/\bat .*\.js:\d+|node_modules/);
    }
    const start = performance.now();
    const waited = waitedForCore(daemon.pid) + waitedForCore(process.pid);
    const scrape = await fetch(`http://127.0.0.1:${daemon.port}/metrics`);
    parseScrape(await scrape.text());
    const machine = waitedForCore(daemon.pid) + waitedForCore(process.pid) - waited;
    expect(performance.now() - start - machine, 'ms until /metrics was answered').toBeLessThan(500);
    expect(daemon.ended()).toBe(false);
  });
  expect(answered).toBeGreaterThan(0);
  expect(daemon.lines.join('\n')).not.toContain('Cannot answer a request');
  const { sockets } = await daemon.look();
  expect(sockets).toBeLessThan(60);
});
