import { expect, test } from 'vitest';
import { workerProxies } from '../../../src/airflow/worker-proxies.ts';

const P = 'http://proxy:3128';

/** The proxy that a worker took, run with botocore 1.43: test/airflow/WORKER-S3.md has most of these rows. */
test.each<[string, Readonly<Record<string, string>>, string, string | null]>([
  ['nothing', {}, 'http://s3.example', null],
  ['HTTP_PROXY', { HTTP_PROXY: P }, 'http://s3.example', P],
  ['HTTP_PROXY for https', { HTTP_PROXY: P }, 'https://s3.example', null],
  ['HTTPS_PROXY', { HTTPS_PROXY: P }, 'https://s3.example', P],
  ['HTTPS_PROXY without a scheme', { HTTPS_PROXY: 'proxy:3128' }, 'https://s3.example', P],
  ['HTTPS_PROXY with two slashes', { HTTPS_PROXY: '//proxy:3128' }, 'https://s3.example', P],
  ['the lower case first', { http_proxy: P, HTTP_PROXY: 'http://x' }, 'http://s3.example', P],
  ['the lower case, empty', { http_proxy: '', HTTP_PROXY: P }, 'http://s3.example', null],
  ['ALL_PROXY', { ALL_PROXY: P }, 'https://s3.example', null],
  ['NO_PROXY with the host', { HTTP_PROXY: P, NO_PROXY: 'x, S3.example' }, 'http://s3.example:9000', null],
  ['NO_PROXY with a domain', { HTTP_PROXY: P, NO_PROXY: 'example' }, 'http://s3.example', null],
  ['NO_PROXY with a dot', { HTTP_PROXY: P, NO_PROXY: '.example' }, 'http://s3.example', null],
  ['NO_PROXY with a part of a name', { HTTP_PROXY: P, NO_PROXY: 'ample' }, 'http://s3.example', P],
  ['NO_PROXY with the port', { HTTP_PROXY: P, NO_PROXY: 's3.example:9000' }, 'http://s3.example:9000', null],
  ['NO_PROXY with another port', { HTTP_PROXY: P, NO_PROXY: 's3.example:1' }, 'http://s3.example:9000', P],
  ['NO_PROXY with a star', { HTTP_PROXY: P, NO_PROXY: '*' }, 'http://s3.example', null],
  ['NO_PROXY with a star among others', { HTTP_PROXY: P, NO_PROXY: '*,x' }, 'http://s3.example', P],
  ['no_proxy first, empty', { HTTP_PROXY: P, no_proxy: '', NO_PROXY: '*' }, 'http://s3.example', P],
])('by %s', (_, env, endpoint, expected) => {
  const { http, https } = workerProxies(endpoint, { told: null, env });
  expect((endpoint.startsWith('https') ? https : http)?.reveal() ?? null).toBe(expected);
});

test('the map of a connection stands in place of the variables, also where it is empty', () => {
  const env = { HTTP_PROXY: 'http://x', HTTPS_PROXY: 'http://x', NO_PROXY: '*' };
  const told = workerProxies('http://s3.example', { told: { http: P }, env });
  expect([told.http?.reveal(), told.https]).toEqual([P, null]);
  const none = workerProxies('http://s3.example', { told: {}, env: { HTTP_PROXY: P } });
  expect(none).toEqual({ http: null, https: null });
});

test('a proxy that is no URL is refused without a word of it', () => {
  const broken = 'http://u:geheim@[';
  expect(() => workerProxies('http://s3.example', { told: { http: broken }, env: {} })).toThrow(
    /^has a proxy for http that is no URL: write http:\/\/host:port$/,
  );
  expect(() => workerProxies('http://s3.example', { told: null, env: { HTTP_PROXY: broken } })).toThrow(
    /^is asked through the proxy of HTTP_PROXY, which is no URL: write http:\/\/host:port$/,
  );
});
