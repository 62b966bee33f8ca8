import { describe, expect, test } from 'vitest';
import { ProxyFailure } from '../../../src/s3/agents.ts';
import { AgentFailure } from '../../../src/s3/container-agent.ts';
import { CredentialsFailure } from '../../../src/s3/credentials-failure.ts';
import { explainFailure } from '../../../src/s3/failure.ts';

type Headers = Readonly<Record<string, string>>;

function explain(
  status: number,
  headers: Headers,
  { code, hasBody = true }: { readonly code?: string; readonly hasBody?: boolean } = {},
) {
  const { reason, detail, said } = explainFailure(
    {
      ...(code !== undefined && { Code: code }),
      $metadata: { httpStatusCode: status },
      $response: { headers },
    },
    { now: 0, sent: true, hasBody },
  );
  return { reason, detail, by: said.by };
}

describe('a text that no S3 writes is told as that of a gateway', () => {
  const envoy = { 'content-type': 'text/plain', 'content-length': '19', server: 'istio-envoy' };

  test.each<[string, number, Headers, string, string]>([
    ['no healthy upstream', 503, envoy, 'server_error', 'no code (503) from istio-envoy'],
    ['upstream request timeout', 504, envoy, 'timeout', 'no code (504) from istio-envoy'],
    ['local_rate_limited', 429, envoy, 'throttled', 'no code (429) from istio-envoy'],
    ['RBAC: access denied', 403, envoy, 'denied', 'no code (403) from istio-envoy'],
    ['a route that is not there', 404, envoy, 'server_error', 'no code (404) from istio-envoy'],
    [
      'Bad Gateway of Traefik',
      502,
      { 'content-type': 'text/plain; charset=utf-8' },
      'server_error',
      'no code (502)',
    ],
    [
      'a rate limit of Kong',
      429,
      { 'content-type': 'application/json; charset=utf-8', server: 'kong/3.9' },
      'throttled',
      'no code (429) from kong/3.9',
    ],
    [
      'JSON of Kong',
      404,
      { 'content-type': 'application/json', server: 'kong/3.9' },
      'server_error',
      'no code (404) from kong/3.9',
    ],
    [
      'a page of nginx',
      503,
      { 'content-type': 'text/html', server: 'nginx' },
      'server_error',
      'no code (503) from nginx',
    ],
  ])('%s', (_, status, headers, reason, detail) => {
    expect(explain(status, headers)).toEqual({ reason, detail, by: 'proxy' });
  });
});

test('a proxy that limits the rate of its tunnels throttles', () => {
  const failure = new ProxyFailure('proxy:3128', { status: 429, code: null });
  expect(explainFailure(failure, { now: 0, sent: true, hasBody: true })).toMatchObject({
    reason: 'throttled',
    detail: 'the proxy proxy:3128 answered 429',
    said: { by: 'proxy' },
  });
});

describe('a refusal of S3 stays its own', () => {
  // Seen of moto 5, fauxqs 1.9, and of servers whose web server gives a type to each answer.
  test.each<[string, number, Headers, { code?: string; hasBody?: boolean }, string]>([
    [
      'moto',
      404,
      { 'content-type': 'application/xml', 'x-amzn-requestid': 'x' },
      { code: 'NoSuchBucket' },
      'no_such_bucket',
    ],
    [
      'fauxqs',
      404,
      { 'content-type': 'application/json; charset=utf-8', 'x-amz-request-id': 'x' },
      {},
      'server_error',
    ],
    ['a code, in text', 503, { 'content-type': 'text/plain' }, { code: 'SlowDown' }, 'throttled'],
    ['XML without a code', 503, { 'content-type': 'application/xml' }, {}, 'throttled'],
    ['no body and no type', 503, { 'content-length': '0' }, {}, 'throttled'],
    [
      'no body of a type',
      503,
      { 'content-type': 'text/plain; charset=utf-8', 'content-length': '0' },
      {},
      'throttled',
    ],
    ['a HEAD of a type', 403, { 'content-type': 'text/plain; charset=utf-8' }, { hasBody: false }, 'denied'],
    [
      'a code, beside a clock that is off',
      403,
      { 'content-type': 'application/xml', date: 'Thu, 01 Jan 2015 00:00:00 GMT' },
      { code: 'AccessDenied' },
      'denied',
    ],
    ['a bad request without a region', 400, { 'content-length': '0' }, {}, 'server_error'],
    [
      'a header that is none, without a region',
      400,
      { 'content-type': 'application/xml' },
      { code: 'AuthorizationHeaderMalformed' },
      'server_error',
    ],
    [
      'a HEAD of an unavailable server',
      503,
      { 'content-type': 'text/plain' },
      { hasBody: false },
      'throttled',
    ],
  ])('%s', (_, status, headers, more, reason) => {
    expect(explain(status, headers, more)).toMatchObject({ reason, by: 's3' });
  });
});

test.each<[string, unknown]>([
  ['sts', { code: 'UND_ERR_SOCKET', $metadata: {} }],
  [
    'agent',
    new AgentFailure(
      { url: 'http://agent/', tokenFile: null, token: null },
      { status: null, code: 'UND_ERR_SOCKET' },
    ),
  ],
])('no answer of the %s is no refusal', (by, cause) => {
  const failure = explainFailure(new CredentialsFailure(cause), { now: 0, sent: false, hasBody: true });
  expect(failure).toMatchObject({ reason: 'unreachable', said: { by, status: null } });
});
