import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { expect, test, vi } from 'vitest';
import { secret } from '../../../src/lib/secret.ts';
import { preflight } from '../../../src/probe/preflight.ts';
import type { PreflightStep } from '../../../src/probe/preflight-step.ts';
import { openObjectStore } from '../../../src/s3/client.ts';
import type { EmbeddedS3 } from '../../../src/demo/embedded-s3.ts';
import { greet } from '../../../src/s3/greeting.ts';
import type { Greeting } from '../../../src/s3/greeting.ts';
import { connectionTo, recordRequests } from '../../support/s3.ts';

type Failed = Extract<Greeting, { kind: 'failed' }>;

const NOBODY = { region: 'us-east-1', accessKeyId: 'K', secretAccessKey: 's' } as EmbeddedS3;

function answeredAt(url: string): Greeting {
  return { kind: 'answered', url, seconds: 0.001, skewSeconds: 0, bucketRegion: null, tls: null };
}

/** The step of a host that gives no answer. */
async function endpointOf(
  host: string,
  { isAtAws = false, stage = 'connection', code = 'ENOTFOUND' }: Partial<Failed & { isAtAws: boolean }>,
): Promise<PreflightStep | undefined> {
  const target = { region: null, isAtAws, bucket: 'xcom', prefix: '', write: true, id: 'a', asWorker: true };
  const store = openObjectStore(connectionTo('http://127.0.0.1:1', NOBODY), {
    observer: recordRequests(),
    log: pino({ level: 'silent' }),
  });
  const greeting = {
    kind: 'failed',
    url: `https://${host}/`,
    ...{ stage, code },
  } as const;
  const steps = await preflight(store, target, { greeting, signal: new AbortController().signal });
  store.close();
  return steps.find(({ check }) => check === 'endpoint');
}

test('a gateway that asks for fewer requests is no server that is not S3', async () => {
  const server = createServer((request, response) => {
    request.resume();
    request.on('end', () => {
      response.writeHead(429, {
        'content-type': 'text/plain',
        'content-length': '18',
        server: 'istio-envoy',
      });
      response.end(request.method === 'HEAD' ? undefined : 'local_rate_limited');
    });
  });
  const url = await new Promise<string>((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    });
  });
  const target = {
    ...{ region: null, isAtAws: false, bucket: 'xcom', prefix: '', write: true, id: 'a' },
    asWorker: true,
  };
  const store = openObjectStore(connectionTo(url, NOBODY), {
    observer: recordRequests(),
    log: pino({ level: 'silent' }),
    requestTimeoutMs: 500,
  });
  const greeting = answeredAt(`${url}/`);
  const steps = await preflight(store, target, { greeting, signal: new AbortController().signal });
  store.close();
  server.close();
  const stepOf = (check: string) => steps.find((step) => step.check === check);
  expect(stepOf('endpoint')).toMatchObject({ ok: true });
  expect(stepOf('put')).toMatchObject({ isOpen: true, detail: 'throttled: no code (429) from istio-envoy' });
});

test('at AWS a bucket in the host is the rule, and no addressing_style is to blame', async () => {
  const atAws = await endpointOf('xcom.s3.eu-west-11.amazonaws.com', { isAtAws: true });
  expect(atAws?.fix).toMatch(/^Correct region_name of the connection if the host has the wrong region/);
  const own = await endpointOf('xcom.minio.local', { isAtAws: false });
  expect(own?.fix).toMatch(/addressing_style/);
});

test('a host that is there and answers late is not known to fail', async () => {
  const server = createServer(() => {
    vi.advanceTimersByTime(5_000);
  });
  const url = await new Promise<string>((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    });
  });
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const greeting = await greet(connectionTo(url, NOBODY), 'xcom', new AbortController().signal);
  vi.useRealTimers();
  server.close();
  expect(greeting).toMatchObject({ kind: 'failed', stage: 'timeout', code: 'no answer in 5000 ms' });
  expect(await endpointOf('xcom.minio.local', greeting as Failed)).toMatchObject({
    ok: null,
    isOpen: true,
    detail: 'https://xcom.minio.local/: no answer in 5000 ms, and a worker waits longer',
  });
});

test('a proxy that opens no way to STS leaves the exporter without credentials, and S3 is not judged', async () => {
  const role = {
    arn: 'arn:r',
    endpoint: 'http://sts.example',
    proxies: { http: secret('http://127.0.0.1:1'), https: null },
    arguments: { RoleArn: 'arn:aws:iam::123456789012:role/x', RoleSessionName: 'airflow_x' },
  };
  const store = openObjectStore(
    { ...connectionTo('http://127.0.0.1:1', NOBODY), role },
    { observer: recordRequests(), log: pino({ level: 'silent' }) },
  );
  const target = {
    ...{ region: null, isAtAws: false, bucket: 'xcom', prefix: '', write: true, id: 'a' },
    asWorker: true,
  };
  const greeting = answeredAt('http://127.0.0.1:1/');
  const steps = await preflight(store, target, { greeting, signal: new AbortController().signal });
  store.close();
  const of = (name: string) => steps.find(({ check }) => check === name);
  expect(of('endpoint')?.ok).toBe(true);
  expect(of('credentials')).toMatchObject({
    ok: false,
    detail: 'no credentials: the proxy 127.0.0.1:1 did not answer: ECONNREFUSED',
    fix: 'Let the proxy pass requests to STS, or name the host of STS in NO_PROXY.',
  });
});
