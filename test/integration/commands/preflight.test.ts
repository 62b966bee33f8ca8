import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer as createHttpServer, request } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { checkCommand } from '../../../src/commands/check.ts';
import type { ProxiedRequest, RequestKind } from '../../../src/demo/fault-proxy.ts';
import type { PreflightDocument } from '../../../src/status/preflight-document.ts';
import { callCommand } from '../../support/call-command.ts';
import { startHttpFaultProxy } from '../../support/http-fault-proxy.ts';
import type { HttpFaultAnswer, HttpFaultProxy } from '../../support/http-fault-proxy.ts';
import { faultOf } from '../../support/open-api.ts';
import { useS3 } from '../../support/s3.ts';

const s3 = useS3('xcom');
const ARN = 'arn:aws:s3:::xcom';
let proxy: HttpFaultProxy;
beforeEach(async () => {
  proxy = await startHttpFaultProxy({ upstream: s3() });
});
afterEach(async () => {
  await proxy.stop();
});

/** The environment of a worker that has no database in it at all. */
function envFor(endpoint: string, { region = 'us-east-1', extra = '' } = {}): Record<string, string> {
  const { accessKeyId, secretAccessKey } = s3();
  return {
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 's3://aws_xcom@xcom/base',
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD: '1000',
    AIRFLOW_CONN_AWS_XCOM: `aws://${accessKeyId}:${secretAccessKey}@/?endpoint_url=${encodeURIComponent(endpoint)}&region_name=${region}${extra}`,
  };
}

async function probeOnly(
  env: Record<string, string>,
  { argv = [], warned = /^$/ }: { argv?: readonly string[]; warned?: RegExp } = {},
): Promise<{ code: number; document: PreflightDocument; found: Record<string, string> }> {
  const { code, stdout, stderr } = await callCommand(checkCommand, {
    argv: ['--probe-only', '--json', ...argv],
    env,
  });
  const document = JSON.parse(stdout) as PreflightDocument;
  expect(faultOf(document, 'Preflight')).toBeNull();
  expect(document.exit_code).toBe(code);
  expect(stderr).toMatch(warned);
  expect(stdout).not.toContain(s3().secretAccessKey);
  const found = Object.fromEntries(
    document.checks.map(({ check, ok, detail, iam_action }) => [
      check,
      `${ok === null ? '?' : ok ? 'ok' : 'wrong'}${iam_action === null ? '' : ` ${iam_action}`}: ${detail}`,
    ]),
  );
  return { code, document, found };
}

/** Other tests leave objects behind when deleting is refused. */
async function keysLeft(): Promise<string[]> {
  const listed = await fetch(`${s3().endpoint}/xcom?list-type=2`);
  return [...(await listed.text()).matchAll(/<Key>([^<]+)/g)].map(([, key = '']) => key);
}

function refuse(kinds: readonly RequestKind[], answer: HttpFaultAnswer): void {
  proxy.setFault({
    // The greeting carries no credentials: it is not one of the probe's requests.
    match: ({ kind, path }) => kinds.includes(kind) && !/^\/xcom$/.test(path),
    answer,
  });
}

test('all is allowed: ready, and nothing stays behind', async () => {
  const { code, found, document } = await probeOnly(envFor(proxy.url));
  expect(code).toBe(0);
  expect(document.verdict).toEqual({ state: 'healthy', title: 'Ready', notes: [] });
  expect(found).toEqual({
    endpoint: expect.stringMatching(/^ok: http:\/\/127\.0\.0\.1:\d+\/xcom answered in \d+ ms$/) as string,
    tls: '?: not used: the endpoint is http',
    clock: "ok: as the storage's",
    region: 'ok: us-east-1; the storage takes it and names none itself',
    credentials: 'ok: accepted',
    look: 'ok: allowed: a new key is seen to be free',
    bucket: 'ok: allowed: seen by HeadBucket',
    put: 'ok: allowed',
    head: 'ok: allowed',
    get: 'ok: allowed',
    list: 'ok: allowed',
    delete: 'ok: allowed',
    versions: 'ok: no answer names any',
    // The embedded server shows both of these; npm run test:s3 tests other servers.
    listing: 'ok: LIST lacks keys that are there: a HEAD decides what a page lacks',
    strangers: '?: the server takes any key id: that the credentials are accepted says nothing',
  });
  expect(proxy.requests).toMatchObject({ put: 1 + 6, get: 1, delete: 1 + 6 });
  const left = await fetch(`${s3().endpoint}/xcom?list-type=2`);
  expect(await left.text()).not.toContain('<Key>');
});

test('head alone is denied: a GET shows that no action is missing', async () => {
  refuse(['head'], 'deny');
  const { code, found, document } = await probeOnly(envFor(proxy.url));
  expect(code).toBe(1);
  expect(found.head).toBe(
    'wrong: no code (403): a GET of the same object is allowed, so no permission is missing',
  );
  expect(document.checks.find(({ check }) => check === 'head')?.fix).toMatch(/^Let HEAD through/);
  expect(found.get).toBe('ok: allowed');
  expect(Object.values(found).filter((word) => word.startsWith('wrong'))).toHaveLength(1);
  expect(document.verdict).toEqual({ state: 'problems', title: '1 thing is wrong', notes: [] });
});

test.each([
  ['put', 's3:PutObject', `${ARN}/base/*`],
  ['get', 's3:GetObject', `${ARN}/base/*`],
  ['list', 's3:ListBucket', ARN],
  ['delete', 's3:DeleteObject', `${ARN}/base/*`],
] as const)(
  '%s alone is denied: it is named with %s, the rest is tried',
  async (operation, action, resource) => {
    const message = `User: arn:aws:iam::123456789012:user/airflow is not authorized to perform: ${action} on resource: "${ARN}/k" because no identity-based policy allows the ${action} action`;
    const named = { error: { status: 403, code: 'AccessDenied', message, html: false } };
    // Only the answer to a PUT must name the action, as AWS does.
    refuse([operation], operation === 'put' ? named : 'deny');
    const { code, found, document } = await probeOnly(envFor(proxy.url));
    expect(code).toBe(1);
    expect(found[operation]).toBe(`wrong ${action}: AccessDenied (403): ${action} on ${resource} is missing`);
    expect(Object.values(found).filter((word) => word.startsWith('wrong'))).toHaveLength(1);
    expect(document.verdict).toEqual({
      state: 'problems',
      title: '1 thing is wrong',
      notes: [`Missing in the policy: ${action}.`],
    });
    expect(proxy.requests.delete).toBe(1);
  },
);

test('everything is denied: what can be told is told, and not more', async () => {
  proxy.setFault({ match: ({ method, path }) => !(method === 'HEAD' && path === '/xcom'), answer: 'deny' });
  const { code, found, document } = await probeOnly(envFor(proxy.url));
  expect(code).toBe(1);
  expect(found).toMatchObject({
    credentials:
      'ok: accepted, and all that was asked is refused: by policies, or since the requester has to pay',
    put: expect.stringMatching(/^wrong s3:PutObject: /) as string,
    look: '?: not told: see list',
    bucket: expect.stringMatching(/^wrong s3:ListBucket: HeadBucket .* every push fails$/) as string,
    // Without s3:ListBucket, a 403 for an object that does not exist says nothing of s3:GetObject.
    head: expect.stringMatching(/^\?: /) as string,
    get: expect.stringMatching(/^\?: .*s3:ListBucket$/) as string,
    list: expect.stringMatching(/^wrong s3:ListBucket: /) as string,
    delete: expect.stringMatching(/^wrong s3:DeleteObject: /) as string,
  });
  expect(document.verdict.notes).toEqual([
    'Missing in the policy: s3:ListBucket, s3:PutObject, s3:DeleteObject.',
    'Not found out: head, get.',
  ]);
});

test('without writing nothing is put or deleted, and reading is tried on what is not there', async () => {
  const { code, found } = await probeOnly(envFor(proxy.url), { argv: ['--probe.write=false'] });
  expect(code).toBe(0);
  expect(found).toMatchObject({
    put: '?: not tried: probe.write is false',
    head: 'ok: allowed: the object is not there',
    get: 'ok: allowed: the object is not there',
    delete: '?: not tried: probe.write is false',
    versions: '?: not tried: probe.write is false',
  });
  expect(proxy.requests).toMatchObject({ put: 0, delete: 0 });
});

test('a PUT that wrote, and whose answer was lost, makes no liar of whoever finds the object', async () => {
  const front = createHttpServer((incoming, outgoing) => {
    const { method, headers, url } = incoming;
    const sent = request(new URL(url ?? '/', s3().endpoint), { method, headers }, (answer) => {
      if (method === 'PUT') answer.resume().once('end', () => incoming.socket.destroy());
      else answer.pipe(outgoing.writeHead(answer.statusCode ?? 500, answer.headers));
    });
    incoming.pipe(sent);
  });
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
  try {
    const before = await keysLeft();
    const { port } = front.address() as AddressInfo;
    const { code, found } = await probeOnly(envFor(`http://127.0.0.1:${port}`));
    expect([code, found['put'], found['head'], found['get']]).toEqual([
      2,
      expect.stringMatching(/^\?: unreachable: /),
      'ok: allowed: the object is there',
      'ok: allowed: the object is there',
    ]);
    expect(await keysLeft()).toEqual(before);
  } finally {
    front.closeAllConnections();
    front.close();
  }
});

test('a key that is not accepted is told from a policy', async () => {
  proxy.setFault({ match: ({ path }) => path !== '/xcom', answer: 'expired_token' });
  const { code, found, document } = await probeOnly(envFor(proxy.url));
  expect(code).toBe(1);
  expect(found).toMatchObject({
    credentials: 'wrong: ExpiredToken (400)',
    look: '?: not told: see the credentials',
    bucket: '?: not told: see the credentials',
    put: '?: not told: see the credentials',
    list: '?: not told: see the credentials',
  });
  expect(document.verdict.title).toBe('1 thing is wrong');
});

test('the signature of a PUT alone is not accepted: the key is not blamed', async () => {
  refuse(['put'], {
    error: { status: 403, code: 'SignatureDoesNotMatch', message: 'Access denied.', html: false },
  });
  const { code, found, document } = await probeOnly(envFor(proxy.url));
  expect(code).toBe(1);
  expect(found.credentials).toBe('ok: accepted');
  expect(found.put).toMatch(/^wrong: SignatureDoesNotMatch \(403\): .*does not take the checksum of a PUT/);
  expect(document.checks.find(({ check }) => check === 'put')?.fix).toMatch(
    /^Set AWS_REQUEST_CHECKSUM_CALCULATION=when_required for the workers and the exporter/,
  );
  expect(Object.values(found).filter((word) => word.startsWith('wrong'))).toHaveLength(1);
});

test('a PUT alone is refused, and the answer names no action: two causes are said', async () => {
  refuse(['put'], {
    error: { status: 403, code: 'AccessDenied', message: 'Access Denied', html: false },
  });
  const { found, document } = await probeOnly(envFor(proxy.url));
  expect(found.put).toMatch(
    /^wrong: AccessDenied \(403\): s3:PutObject on \S+ is missing, or the storage does not take the checksum of a PUT/,
  );
  const put = document.checks.find(({ check }) => check === 'put');
  expect(put?.fix).toMatch(
    /^Allow s3:PutObject on .* If it is allowed, set AWS_REQUEST_CHECKSUM_CALCULATION=when_required/,
  );
  expect(put?.iam_action).toBeNull();
});

test('a bucket that is not there', async () => {
  const env = envFor(proxy.url);
  env['AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH'] = 's3://aws_xcom@nowhere/base';
  const { code, found, document } = await probeOnly(env);
  expect([code, found['put'], found['list'], found['bucket']]).toEqual([
    1,
    '?: not told: see the bucket',
    '?: not told: see the bucket',
    expect.stringMatching(
      /^wrong: HeadBucket .*NoSuchBucket \(404\): s3fs sends CreateBucket next, so a worker/,
    ),
  ]);
  expect(document.verdict.title).toBe('1 thing is wrong');
  expect(document.checks.find(({ check }) => check === 'bucket')?.fix).toContain('Create the bucket nowhere');
});

test('nothing listens', async () => {
  const { url } = proxy;
  await proxy.stop();
  const { code, found, document } = await probeOnly(envFor(url));
  expect(code).toBe(1);
  expect(found['endpoint']).toMatch(/^wrong: http:\/\/127\.0\.0\.1:\d+\/xcom: ECONNREFUSED$/);
  expect(new Set(document.checks.slice(2).map(({ ok }) => ok))).toEqual(new Set([null]));
  // Nothing answered, so nothing could be told or left out.
  expect([found['clock'], found['region']]).toEqual(Array(2).fill('?: not tried: no connection'));
  proxy = await startHttpFaultProxy({ upstream: s3() });
});

test('what passes leaves it open', async () => {
  refuse(['list'], 'server_error');
  const { code, found } = await probeOnly(envFor(proxy.url));
  expect([code, found['list']]).toEqual([2, '?: InternalError (500)']);
});

test('a conflict of the moment leaves it open', async () => {
  refuse(['put'], {
    error: { status: 409, code: 'OperationAborted', message: 'Try again.', html: false },
  });
  const { code, found } = await probeOnly(envFor(proxy.url));
  expect([code, found['put']]).toEqual([2, '?: OperationAborted (409)']);
});

test('a bucket that is not there is told once, and nothing is written to it', async () => {
  const sent: string[] = [];
  proxy.setFault({
    match: ({ kind }) => {
      sent.push(kind);
      return false;
    },
    answer: { error: { status: 500, code: 'InternalError', message: 'never sent', html: false } },
  });
  const env = {
    ...envFor(proxy.url),
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 's3://aws_xcom@no-such-bucket/base',
  };
  const { code, found } = await probeOnly(env);
  expect(code).toBe(1);
  expect(found['bucket']).toMatch(/^wrong: .*NoSuchBucket/);
  for (const operation of ['put', 'head', 'get', 'list', 'delete'])
    expect(found[operation]).toBe('?: not told: see the bucket');
  expect(sent).not.toContain('put');
  expect(sent).not.toContain('delete');
});

test('a setting over which every push fails makes it not ready, whatever the exporter may do', async () => {
  const { code, document, found } = await probeOnly(
    { ...envFor(proxy.url), AWS_PROFILE: '' },
    { warned: /^airflow-xcom-exporter: warning: AWS_PROFILE is set and empty, .*\n$/ },
  );
  const fault = expect.stringMatching(/^AWS_PROFILE is set and empty, .*: every push fails/) as string;
  expect([code, document.verdict]).toEqual([
    1,
    { state: 'problems', title: 'With these settings every push fails', notes: [fault] },
  ]);
  expect(document.warnings).toEqual([fault]);
  expect(found['put']).toBe('ok: allowed');
});

test('an unknown codec makes it not ready beside a setting over which pushes may fail', async () => {
  const { code, document } = await probeOnly(
    {
      ...envFor(proxy.url),
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION: 'snappy',
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD: '1e+3',
    },
    { warned: /_THRESHOLD is a whole number for Airflow 3\.2 and later; / },
  );
  const fault = expect.stringMatching(/^xcom\.compression is no codec/) as string;
  expect([code, document.verdict]).toEqual([
    1,
    { state: 'problems', title: 'With these settings every push fails', notes: [fault] },
  ]);
});

test.each([undefined, 'airflow_connections'])(
  'a connection that nobody gave is not tried with others (view: %s)',
  async (view) => {
    const { accessKeyId, secretAccessKey } = s3();
    const { AIRFLOW_CONN_AWS_XCOM: _, ...env } = envFor(proxy.url);
    const { code, document } = await probeOnly(
      {
        ...env,
        AWS_ACCESS_KEY_ID: accessKeyId,
        AWS_SECRET_ACCESS_KEY: secretAccessKey,
        AWS_ENDPOINT_URL: proxy.url,
        AWS_DEFAULT_REGION: 'us-east-1',
        ...(view === undefined ? {} : { XCOM_EXPORTER_AIRFLOW_CONNECTIONS: view }),
      },
      { warned: view === undefined ? /^[^\n]*The connection aws_xcom, .* is not known here[^\n]*\n$/ : /^$/ },
    );
    expect([code, document.target, document.checks, document.verdict]).toEqual([
      2,
      null,
      [],
      {
        state: 'unknown',
        title: 'Could not decide',
        notes: [
          'The connection aws_xcom was not tried: its keys, endpoint and region are not known. Give it as AIRFLOW_CONN_AWS_XCOM: no database is asked for it here.',
        ],
      },
    ]);
    expect(Object.values(proxy.requests)).toEqual(Object.values(proxy.requests).map(() => 0));
  },
);

test('keys of its own variables say nothing of what a worker may look at', async () => {
  const { accessKeyId, secretAccessKey } = s3();
  // A condition on s3:prefix: S3 refuses a HEAD of what is not there, and the exporter's own LIST is allowed.
  let isPut = false;
  proxy.setFault({
    match: ({ kind, path }) => {
      isPut ||= kind === 'put';
      return kind === 'head' && !isPut && path !== '/xcom';
    },
    answer: 'deny',
  });
  const { found } = await probeOnly({
    ...envFor(proxy.url),
    AIRFLOW_CONN_AWS_XCOM: `aws://?endpoint_url=${encodeURIComponent(proxy.url)}&region_name=us-east-1`,
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
  });
  expect(found['look']).toMatch(/^\?: .*: not told of a worker, which may have other credentials$/);
});

test.each([
  ['while the object is read', ({ kind }: ProxiedRequest) => kind === 'get'],
  [
    'while objects are listed by twos',
    ({ kind, path }: ProxiedRequest) => kind === 'list' && path.includes('max-keys=2'),
  ],
])('ended by a signal %s, it takes away what it wrote', async (_, match) => {
  const before = await keysLeft();
  const controller = new AbortController();
  let isHeld = false;
  proxy.setFault({
    match: (request) => {
      const isIt = match(request) && !/^\/xcom\/?\?location/.test(request.path);
      isHeld ||= isIt;
      return isIt;
    },
    answer: 'stall',
  });
  const called = callCommand(checkCommand, {
    argv: ['--probe-only'],
    env: envFor(proxy.url),
    signal: controller.signal,
  });
  await expect.poll(() => isHeld, { interval: 10 }).toBe(true);
  controller.abort();
  await called;
  expect(await keysLeft()).toEqual(before);
});

test('the bucket in the endpoint, which asks for it twice', async () => {
  const { code, found, document } = await probeOnly(envFor(`${proxy.url}/xcom`));
  expect([code, found['endpoint']]).toEqual([
    1,
    expect.stringMatching(/^wrong: .*\/xcom\/xcom names the bucket twice$/),
  ]);
  expect(document.checks[0]?.fix).toBe('Take /xcom off the end of endpoint_url of the connection.');
});

test('a name that no bucket can have', async () => {
  const error = { status: 400, code: 'InvalidBucketName', message: 'No such name', html: false };
  proxy.setFault({ answer: { error } });
  const env = {
    ...envFor(proxy.url),
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 's3://aws_xcom@My_Bucket/base',
  };
  const { found, document } = await probeOnly(env);
  expect(found['bucket']).toMatch(/^wrong: .*InvalidBucketName \(400\): no new bucket can have this name$/);
  expect(document.checks.find(({ check }) => check === 'bucket')?.fix).toMatch(/^Correct the bucket/);
});

test('the console of MinIO, which answers in the form of S3', async () => {
  // Seen on MinIO 2026-02-12.
  const message = 'S3 API Requests must be made to API port.';
  proxy.setFault({ answer: { error: { status: 400, code: 'InvalidArgument', message, html: false } } });
  const { code, found, document } = await probeOnly(envFor(proxy.url));
  expect([code, found['endpoint']]).toEqual([1, expect.stringMatching(/^wrong: .*: no S3 answers there \(/)]);
  expect(document.verdict.title).toBe('1 thing is wrong');
  expect(document.checks[0]?.fix).toContain('9000');
});

test('a bucket that is part of the host is looked for there', async () => {
  const { found, document } = await probeOnly({
    ...envFor('http://s3.invalid'),
    AIRFLOW_CONN_AWS_XCOM: JSON.stringify({
      conn_type: 'aws',
      login: s3().accessKeyId,
      password: s3().secretAccessKey,
      extra: { endpoint_url: 'http://s3.invalid', config_kwargs: { s3: { addressing_style: 'virtual' } } },
    }),
  });
  expect(found['endpoint']).toMatch(/^wrong: http:\/\/xcom\.s3\.invalid\/: E[A-Z_]+$/);
  expect(document.checks[0]?.fix).toContain('addressing_style');
});

test('no host of AWS for the bucket: nothing is sent, and the endpoint alone is wrong', async () => {
  const { code, found, document } = await probeOnly({
    ...envFor(''),
    AIRFLOW_CONN_AWS_XCOM: JSON.stringify({
      conn_type: 'aws',
      login: s3().accessKeyId,
      password: s3().secretAccessKey,
      extra: { region_name: 'cn-north-1', config_kwargs: { s3: { use_accelerate_endpoint: true } } },
    }),
  });
  expect([code, document.verdict.title, document.target?.url]).toEqual([1, '1 thing is wrong', null]);
  expect(found['endpoint']).toBe('wrong: not sent: S3 Accelerate cannot be used in this region');
  expect(found['put']).toBe('?: not told: see the endpoint');
});

test('no path in S3: nothing is tried, and that is said', async () => {
  const { code, document } = await probeOnly(
    { AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 'file:///opt/xcom' },
    { warned: /^airflow-xcom-exporter: warning: xcom\.path: .* has the scheme file: .*\n$/ },
  );
  expect([code, document.target, document.verdict.notes]).toEqual([
    2,
    null,
    ['xcom.path names no place in S3: nothing was tried.'],
  ]);
});

test('no path that is known: nothing is tried, and that is said', async () => {
  const { code, document } = await probeOnly({});
  expect([code, document.target, document.verdict.notes]).toEqual([
    2,
    null,
    ['xcom.path is not known: nothing was tried.'],
  ]);
});

describe('what the storage says of itself', () => {
  /** Starts a server in front of the real one that adds headers of its own. */
  /** `headers`: those that each answer gets in place of its own, made when it is sent. */
  async function withHeaders(headers: () => Record<string, string>, use: (url: string) => Promise<void>) {
    const { host, port } = s3();
    const front = createHttpServer((incoming, outgoing) => {
      const onward = request(
        { host, port, method: incoming.method, path: incoming.url, headers: incoming.headers },
        (answer) => {
          outgoing.writeHead(answer.statusCode ?? 502, { ...answer.headers, ...headers() });
          answer.pipe(outgoing);
        },
      );
      incoming.pipe(onward);
    });
    await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
    try {
      await use(`http://127.0.0.1:${(front.address() as AddressInfo).port}`);
    } finally {
      front.closeAllConnections();
      front.close();
    }
  }

  test.each(['us-east-1+', 'us_east_1', '-us-east-1'])(
    'the region %s: botocore refuses it',
    async (region) => {
      await withHeaders(
        () => ({ 'x-amz-bucket-region': 'us-east-1' }),
        async (url) => {
          const { code, found, document } = await probeOnly(envFor(url, { region }), {
            warned: /^[^\n]* has a region that botocore refuses: every push of Airflow fails[^\n]*\n$/,
          });
          expect(code).toBe(1);
          expect(found['region']).toMatch(/^wrong: .* is no name of a region, and botocore refuses it/);
          expect(document.checks.find(({ check }) => check === 'region')?.fix).toMatch(
            /AWS_DEFAULT_REGION, to us-east-1:/,
          );
          // No STS was asked.
          expect(JSON.stringify(document)).not.toContain('STS');
        },
      );
    },
  );

  test('another region: named with the right one', async () => {
    await withHeaders(
      () => ({ 'x-amz-bucket-region': 'eu-west-1' }),
      async (url) => {
        const { code, found, document } = await probeOnly(envFor(url));
        expect([code, found['region']]).toEqual([
          1,
          'wrong: the bucket is in eu-west-1, the connection says us-east-1',
        ]);
        expect(document.target?.bucket_region).toBe('eu-west-1');
        expect(document.checks.find(({ check }) => check === 'region')?.fix).toBe(
          'Set region_name of the connection to eu-west-1.',
        );
        const right = await probeOnly(envFor(url, { region: 'eu-west-1' }));
        expect([right.code, right.found['region']]).toEqual([0, 'ok: eu-west-1']);
      },
    );
  });

  test.each([
    [-40, 0, /^ok: this machine is (39|40|41) s ahead of the storage's clock$/],
    [40, 0, /^ok: this machine is (39|40|41) s behind the storage's clock$/],
    [-1_000, 1, /^wrong: this machine is \d+ s ahead of the storage's clock$/],
    [1_000, 1, /^wrong: this machine is \d+ s behind the storage's clock$/],
  ])('a clock that is %i s off', async (seconds, expected, words) => {
    const dateNow = () => ({ date: new Date(Date.now() + seconds * 1_000).toUTCString() });
    await withHeaders(dateNow, async (url) => {
      const { code, found, document } = await probeOnly(envFor(url));
      expect([code, found['clock']]).toEqual([expected, expect.stringMatching(words)]);
      expect(Math.abs((document.target?.clock_skew_seconds ?? 0) - seconds)).toBeLessThanOrEqual(2);
    });
  });
});

describe('TLS', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'preflight-'));
    execFileSync(
      'openssl',
      [
        ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '30', '-subj', '/CN=somebody'],
        ...['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', join(folder, 'key.pem')],
        ...['-out', join(folder, 'cert.pem')],
      ],
      { stdio: 'ignore' },
    );
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  test('a certificate nobody vouches for is named; with its authority it is trusted', async () => {
    const { host, port } = s3();
    const read = (name: string) => readFileSync(join(folder, name));
    const front = createHttpsServer(
      { key: read('key.pem'), cert: read('cert.pem') },
      (incoming, outgoing) => {
        const { method, url: path, headers } = incoming;
        const onward = request({ host, port, method, path, headers }, (answer) => {
          outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
          answer.pipe(outgoing);
        });
        incoming.pipe(onward);
      },
    );
    await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
    const url = `https://127.0.0.1:${(front.address() as AddressInfo).port}`;
    try {
      const wrong = await probeOnly(envFor(url));
      expect([wrong.code, wrong.found['tls']]).toEqual([1, 'wrong: DEPTH_ZERO_SELF_SIGNED_CERT']);
      const authority = join(folder, 'cert.pem');
      const named = await probeOnly({
        ...envFor(url.replace('127.0.0.1', 'localhost')),
        AWS_CA_BUNDLE: authority,
      });
      expect(named.found['tls']).toBe('wrong: ERR_TLS_CERT_ALTNAME_INVALID: it names IP Address:127.0.0.1');
      expect(named.document.checks.find(({ check }) => check === 'tls')?.fix).toMatch(/^Write a name/);
      const right = await probeOnly({ ...envFor(url), AWS_CA_BUNDLE: authority });
      expect([right.code, right.found['tls']]).toEqual([
        0,
        expect.stringMatching(/^ok: TLSv1\.3, the certificate is trusted and valid until \w{3} /),
      ]);
      // Airflow's object storage does not follow the connection's `verify`.
      for (const verify of ['false', encodeURIComponent(authority)])
        expect(
          (
            await probeOnly(envFor(url, { extra: `&verify=${verify}` }), {
              warned: /^[^\n]* has verify, which [^\n]*\n$/,
            })
          ).found['tls'],
        ).toBe('wrong: DEPTH_ZERO_SELF_SIGNED_CERT');
    } finally {
      front.closeAllConnections();
      front.close();
    }
  });
});

test('in words: what is wrong, and what to do', async () => {
  refuse(['put'], 'deny');
  const call = (changes: object) =>
    callCommand(checkCommand, { argv: ['--probe-only'], env: envFor(proxy.url), ...changes });
  const { code, stdout } = await call({});
  expect(code).toBe(1);
  expect(stdout.replaceAll(/127\.0\.0\.1:\d+/g, 'HOST').replace(/in \d+ ms/, 'in 1 ms')).toBe(
    `1 thing is wrong.

s3://aws_xcom@xcom/base (access key, region us-east-1, endpoint http://HOST)
  ok     endpoint     http://HOST/xcom answered in 1 ms
  -      tls          not used: the endpoint is http
  ok     clock        as the storage's
  ok     region       us-east-1; the storage takes it and names none itself
  ok     credentials  accepted
  ok     look         allowed: a new key is seen to be free
  ok     bucket       allowed: seen by HeadBucket
  WRONG  put          AccessDenied (403): s3:PutObject on arn:aws:s3:::xcom/base/* is missing, or the storage does not take the checksum of a PUT (AWS_REQUEST_CHECKSUM_CALCULATION=when_required leaves it out; botocore before 1.36 sends none)
         What to do: Allow s3:PutObject on arn:aws:s3:::xcom/base/*, and kms:GenerateDataKey if the bucket is encrypted by KMS. If it is allowed, set AWS_REQUEST_CHECKSUM_CALCULATION=when_required for the workers and the exporter.
  ok     head         allowed: the object is not there
  ok     get          allowed: the object is not there
  ok     list         allowed
  ok     delete       allowed
  -      versions     not tried: it takes put and delete
  -      listing      not tried: it takes put, head, get, list and delete
  -      strangers    not tried: it takes put, head, get, list and delete
`,
  );
  const esc = '\u001b[';
  expect((await call({ isTty: true })).stdout).toContain(`${esc}31mWRONG${esc}0m`);
  const plain = await call({ isTty: true, env: { ...envFor(proxy.url), NO_COLOR: '1' } });
  expect(plain.stdout).not.toContain(esc);
});
