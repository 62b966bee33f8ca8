import { describe, expect, test } from 'vitest';
import { parseConnection } from '../../../src/airflow/connection.ts';
import { s3Connection } from '../../../src/airflow/worker-s3.ts';

/**
 * Most rows were run with a worker: Airflow 3.4.0b2, amazon 9.39.0, s3fs 2026.9.0, aiobotocore 3.10.0. Three things
 * come from botocore's source: the order of the three authorities, the file's region against AWS_DEFAULT_REGION, and
 * a profile against keys in variables.
 */
interface Row {
  readonly extra?: Readonly<Record<string, unknown>>;
  readonly keys?: readonly [string, string];
  readonly env?: Readonly<Record<string, string>>;
  readonly config?: string;
  readonly credentials?: string;
}

const KEYS = { AWS_ACCESS_KEY_ID: 'ENVK', AWS_SECRET_ACCESS_KEY: 's' };
const ROLE = 'arn:aws:iam::123456789012:role/x';
const CREDENTIALS =
  '[default]\naws_access_key_id = D\n[prof]\naws_access_key_id = PROF\naws_secret_access_key = s\n';

function reached({ extra = {}, keys, env = {}, config = '', credentials = '' }: Row) {
  const given = parseConnection(JSON.stringify({ login: keys?.[0], password: keys?.[1], extra }));
  const read = s3Connection(
    { id: 'Conn', given },
    { env, files: { config, credentials }, secretsBackends: [] },
  );
  return { ...read, sessionToken: read.sessionToken?.reveal() ?? null };
}

describe('whose the credentials are', () => {
  test.each<[string, Row, 'workers' | 'exporter']>([
    ['nobody gave any', {}, 'exporter'],
    ['keys of the connection', { keys: ['K', 'S'] }, 'workers'],
    ['keys in its extra', { extra: { aws_access_key_id: 'K', aws_secret_access_key: 'S' } }, 'workers'],
    ['half a pair', { extra: { aws_access_key_id: 'K' } }, 'exporter'],
    ['an empty secret', { keys: ['K', ''] }, 'exporter'],
    ['a role of the connection', { extra: { role_arn: 'arn:aws:iam::1:role/r' } }, 'workers'],
    ['a profile of the exporter’s files', { extra: { profile_name: 'prof' } }, 'exporter'],
    ['keys of variables', { env: { AWS_ACCESS_KEY_ID: 'K', AWS_SECRET_ACCESS_KEY: 'S' } }, 'exporter'],
    ['a region alone', { extra: { region_name: 'eu-west-1' } }, 'exporter'],
  ])('%s', (_, row, asker) => {
    expect(reached(row).asker).toBe(asker);
  });
});

describe('the region', () => {
  test.each<[string, Row, string | null]>([
    ['of none', {}, null],
    ['of AWS_REGION, which is not read', { env: { AWS_REGION: 'eu-west-1' } }, null],
    [
      'of AWS_DEFAULT_REGION',
      { env: { AWS_REGION: 'eu-west-1', AWS_DEFAULT_REGION: 'eu-west-2' } },
      'eu-west-2',
    ],
    ['of the file', { config: '[default]\nregion = eu-central-1\n' }, 'eu-central-1'],
    [
      'of none for an empty variable, which goes before the file',
      { env: { AWS_DEFAULT_REGION: '' }, config: '[default]\nregion = eu-central-1\n' },
      null,
    ],
    [
      'of the variable before the file',
      { env: { AWS_DEFAULT_REGION: 'eu-west-2' }, config: '[default]\nregion = eu-central-1\n' },
      'eu-west-2',
    ],
    [
      'of the connection before both',
      { extra: { region_name: 'eu-west-3' }, env: { AWS_DEFAULT_REGION: 'eu-west-2' } },
      'eu-west-3',
    ],
    [
      'of config_kwargs before all',
      { extra: { region_name: 'eu-west-1', config_kwargs: { region_name: 'eu-west-3' } } },
      'eu-west-3',
    ],
    [
      'of the profile of the connection',
      {
        extra: { profile_name: 'prof' },
        env: { AWS_PROFILE: 'other' },
        config: '[profile prof]\nregion = eu-north-1\n[profile other]\nregion = eu-west-1\n',
      },
      'eu-north-1',
    ],
  ])('%s', (_, row, region) => {
    expect(reached(row).region).toBe(region);
  });
});

describe('who asks', () => {
  test.each<[string, Row, { key: string | null; profile: string | null; token?: string }]>([
    ['nobody that is told', {}, { key: null, profile: null }],
    ['the variables', { env: KEYS }, { key: 'ENVK', profile: null }],
    [
      'the variables before a profile of the variables',
      { env: { ...KEYS, AWS_PROFILE: 'prof' }, credentials: CREDENTIALS },
      { key: 'ENVK', profile: 'prof' },
    ],
    [
      'AWS_DEFAULT_PROFILE before AWS_PROFILE',
      { env: { AWS_PROFILE: 'other', AWS_DEFAULT_PROFILE: 'prof' }, credentials: CREDENTIALS },
      { key: null, profile: 'prof' },
    ],
    [
      'the profile of the connection before the variables',
      { extra: { profile_name: 'prof' }, env: KEYS, credentials: CREDENTIALS },
      { key: null, profile: 'prof' },
    ],
    [
      'the keys of the connection before its profile',
      { extra: { profile_name: 'prof' }, keys: ['AK', 'SK'], credentials: CREDENTIALS },
      { key: 'AK', profile: 'prof' },
    ],
    [
      'a session token of the variables',
      { env: { ...KEYS, AWS_SESSION_TOKEN: 'T' } },
      { key: 'ENVK', profile: null, token: 'T' },
    ],
    [
      'AWS_SECURITY_TOKEN before it',
      { env: { ...KEYS, AWS_SESSION_TOKEN: 'T', AWS_SECURITY_TOKEN: 'S' } },
      { key: 'ENVK', profile: null, token: 'S' },
    ],
    [
      'the keys of the connection, without that token',
      { keys: ['AK', 'SK'], env: { AWS_SESSION_TOKEN: 'T' } },
      { key: 'AK', profile: null },
    ],
  ])('%s', (_, row, { key, profile, token = null }) => {
    expect(reached(row)).toMatchObject({ accessKeyId: key, profile, sessionToken: token });
  });
});

describe('a role', () => {
  const told = {
    ExternalId: 'ext',
    DurationSeconds: 900,
    Policy: '{}',
    PolicyArns: [{ arn: 'arn:p' }],
    Tags: [{ Key: 'a', Value: 'b' }],
    TransitiveTagKeys: ['a'],
    SourceIdentity: 'me',
  };
  const direct = { arn: ROLE, proxies: { http: null, https: null } };
  const named = { RoleArn: ROLE, RoleSessionName: 'airflow_conn' };

  test.each<[string, Row, unknown]>([
    ['none', { extra: { assume_role_kwargs: told } }, null],
    ['alone', { extra: { role_arn: ROLE } }, { ...direct, endpoint: null, arguments: named }],
    [
      'with arguments',
      { extra: { role_arn: ROLE, assume_role_kwargs: told } },
      { ...direct, endpoint: null, arguments: { ...told, ...named } },
    ],
    [
      'with a session name, and a RoleArn that does not count',
      { extra: { role_arn: ROLE, assume_role_kwargs: { RoleSessionName: 'Own', RoleArn: 'arn:other' } } },
      { ...direct, endpoint: null, arguments: { RoleArn: ROLE, RoleSessionName: 'Own' } },
    ],
    [
      'at the endpoint of STS, not at that of the connection',
      {
        extra: {
          role_arn: ROLE,
          endpoint_url: 'http://all:1',
          service_config: { sts: { endpoint_url: 'http://sts:2' } },
        },
      },
      { ...direct, endpoint: 'http://sts:2', arguments: named },
    ],
  ])('%s', (_, row, role) => {
    expect(reached(row).role).toEqual(role);
  });
});

describe('the endpoint', () => {
  const SERVICES =
    '[default]\nservices = here\nendpoint_url = http://file:1\n[services here]\ns3 =\n  endpoint_url = http://nested:2\n';
  test.each<[string, Row, string | null]>([
    ['of the file', { config: '[default]\nendpoint_url = http://file:1\n' }, 'http://file:1'],
    ['of the file, in capitals', { config: '[default]\nEndpoint_URL = http://file:1\n' }, 'http://file:1'],
    [
      'of the file, twice with other capitals',
      { config: '[default]\nendpoint_url = http://file:1\nEndpoint_URL = http://file:2\n' },
      null,
    ],
    ['of its services', { config: SERVICES }, 'http://nested:2'],
    [
      'of the variable before the file',
      { env: { AWS_ENDPOINT_URL: 'http://env:3' }, config: SERVICES },
      'http://env:3',
    ],
    [
      'of none of them, if they are to be ignored',
      {
        env: { AWS_ENDPOINT_URL: 'http://env:3', AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: 'true' },
        config: SERVICES,
      },
      null,
    ],
    [
      'of none of them, if the connection ignores them',
      {
        extra: { config_kwargs: { ignore_configured_endpoint_urls: true } },
        env: { AWS_ENDPOINT_URL: 'http://env:3', AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: 'false' },
      },
      null,
    ],
    [
      'of the variable, if the connection ignores none',
      {
        extra: { config_kwargs: { ignore_configured_endpoint_urls: false } },
        env: { AWS_ENDPOINT_URL: 'http://env:3', AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: 'true' },
      },
      'http://env:3',
    ],
    ...['', 'false'].map((text): [string, Row, string] => [
      `of the file that ignores it, beside a variable with ${JSON.stringify(text)}`,
      {
        env: { AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: text },
        config: '[default]\nignore_configured_endpoint_urls = true\nendpoint_url = http://file:1\n',
      },
      'http://file:1',
    ]),
    [
      'of the connection, also then',
      { extra: { endpoint_url: 'http://own:4' }, env: { AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: 'true' } },
      'http://own:4',
    ],
    [
      'of the profile of the connection',
      {
        extra: { profile_name: 'prof' },
        config: '[default]\nendpoint_url = http://d:1\n[profile prof]\nendpoint_url = http://p:2\n',
      },
      'http://p:2',
    ],
    ...(
      [
        [' http://own:4', 'http://own:4'],
        ['http://own:4//', 'http://own:4/'],
        ['http://own:4//a//b/', 'http://own:4/a/b/'],
        ['HTTP://own:4/#x', 'HTTP://own:4/'],
      ] as const
    ).map(([endpoint_url, asked]): [string, Row, string] => [
      `as botocore reads it: ${endpoint_url}`,
      { extra: { endpoint_url } },
      asked,
    ]),
    [
      'of a file that botocore refuses',
      { config: '[default]\nregion = a\nregion = b\nendpoint_url = http://d:1\n' },
      null,
    ],
  ])('%s', (_, row, endpoint) => {
    expect(reached(row).endpoint).toBe(endpoint);
  });
});

test.each([
  'minio:9000',
  'http://minio:abc',
  'http://minio:99999',
  'http://[::1',
  'http://u:p@minio',
  'http://minio ',
  ' ',
])('an endpoint that is no URL: %j', (endpoint_url) => {
  expect(() => reached({ extra: { endpoint_url } })).toThrow(/^has an endpoint that is no URL/);
});

describe('the addressing', () => {
  const VIRTUAL = '[default]\ns3 =\n    addressing_style = virtual\n';
  test.each<[string, Row, boolean]>([
    ['of AWS', {}, false],
    ['of an own endpoint', { extra: { endpoint_url: 'http://own:1' } }, true],
    ['of the file', { config: '[default]\ns3 =\n    addressing_style = path\n' }, true],
    [
      'of the file, on the endpoint of the connection',
      { extra: { endpoint_url: 'http://own:1' }, config: VIRTUAL },
      false,
    ],
    [
      'of the connection before the file',
      { extra: { config_kwargs: { s3: { addressing_style: 'path' } } }, config: VIRTUAL },
      true,
    ],
  ])('%s', (_, row, style) => {
    expect(reached(row).forcePathStyle).toBe(style);
  });
});

describe('the authorities', () => {
  const FILE = '[default]\nca_bundle = /file.pem\n';
  test.each<[string, Row, string | null]>([
    ['none', {}, null],
    ['not of the connection', { extra: { verify: '/own.pem' } }, null],
    ['not of OpenSSL', { env: { SSL_CERT_FILE: '/ssl.pem' } }, null],
    ['of requests', { env: { REQUESTS_CA_BUNDLE: '/requests.pem' } }, '/requests.pem'],
    ['of the file before that', { env: { REQUESTS_CA_BUNDLE: '/requests.pem' }, config: FILE }, '/file.pem'],
    [
      'of AWS before both',
      { env: { AWS_CA_BUNDLE: '/aws.pem', REQUESTS_CA_BUNDLE: '/r.pem' }, config: FILE },
      '/aws.pem',
    ],
  ])('%s', (_, row, authorities) => {
    expect(reached(row).authorities).toBe(authorities);
  });
});

test('a PUT brings a checksum along unless the connection, a variable or the file says otherwise', () => {
  const file = '[default]\nrequest_checksum_calculation = when_required\n';
  const variable = { AWS_REQUEST_CHECKSUM_CALCULATION: 'WHEN_REQUIRED' };
  const told = (text: string) => ({ extra: { config_kwargs: { request_checksum_calculation: text } } });
  expect(reached({}).sendsChecksums).toBe(true);
  expect(reached({ config: file }).sendsChecksums).toBe(false);
  expect(reached({ env: variable }).sendsChecksums).toBe(false);
  expect(reached(told('when_required')).sendsChecksums).toBe(false);
  expect(reached({ ...told('when_supported'), env: variable, config: file }).sendsChecksums).toBe(true);
});

describe('other endpoints of AWS', () => {
  test.each<[string, Row, object]>([
    ['none', {}, {}],
    [
      'of the connection',
      { extra: { config_kwargs: { use_fips_endpoint: true, s3: { use_accelerate_endpoint: true } } } },
      { useFipsEndpoint: true, useAccelerateEndpoint: true },
    ],
    [
      'of two stacks, by either name',
      { extra: { config_kwargs: { s3: { use_dualstack_endpoint: true } } } },
      { useDualstackEndpoint: true },
    ],
    [
      'of the file',
      { config: '[default]\ns3 =\n  use_accelerate_endpoint = true\n  use_dualstack_endpoint = True\n' },
      { useAccelerateEndpoint: true, useDualstackEndpoint: true },
    ],
    [
      'of the variables, in any letters',
      { env: { AWS_USE_FIPS_ENDPOINT: 'True', AWS_USE_DUALSTACK_ENDPOINT: 'true' } },
      { useFipsEndpoint: true, useDualstackEndpoint: true },
    ],
    [
      'of a variable before the file, an empty one too',
      {
        env: { AWS_USE_FIPS_ENDPOINT: '', AWS_USE_DUALSTACK_ENDPOINT: 'false' },
        config: '[default]\nuse_fips_endpoint = true\ns3 =\n  use_dualstack_endpoint = true\n',
      },
      {},
    ],
    [
      'of the profile itself before what is indented',
      {
        config:
          '[default]\nuse_fips_endpoint = True\nuse_dualstack_endpoint = true\ns3 =\n  use_dualstack_endpoint = false\n',
      },
      { useFipsEndpoint: true, useDualstackEndpoint: true },
    ],
    [
      'of the connection before a variable',
      {
        env: { AWS_USE_FIPS_ENDPOINT: 'true' },
        extra: { config_kwargs: { use_fips_endpoint: false } },
      },
      {},
    ],
    [
      'where an endpoint is given',
      { extra: { endpoint_url: 'http://s3:9000', config_kwargs: { use_fips_endpoint: true } } },
      {},
    ],
  ])('%s', (_, row, variants) => {
    const env = { AWS_DEFAULT_REGION: 'eu-west-1', ...row.env };
    expect(reached({ ...row, env }).variants).toEqual(variants);
  });
});

/** Each was run with botocore 1.44.8. */
describe('the host of us-east-1', () => {
  const VARIABLE = 'AWS_S3_US_EAST_1_REGIONAL_ENDPOINT';
  const US = { AWS_DEFAULT_REGION: 'us-east-1' };
  const indented = (text: string) => `[default]\ns3 =\n  us_east_1_regional_endpoint = ${text}\n`;
  test.each<[string, Row, boolean]>([
    ['of no region', {}, true],
    ['of no region, whatever is told', { env: { [VARIABLE]: 'regional' } }, true],
    ['of us-east-1', { env: US }, true],
    ['of another region', { env: { AWS_DEFAULT_REGION: 'eu-west-1' } }, false],
    ['of an own endpoint', { extra: { endpoint_url: 'http://own:1' } }, false],
    ['told by the variable', { env: { ...US, [VARIABLE]: 'regional' } }, false],
    ['told by the file', { env: US, config: indented('regional') }, false],
    [
      'told by the profile itself',
      { env: US, config: '[default]\ns3_us_east_1_regional_endpoint = regional\n' },
      false,
    ],
    [
      'a name that botocore does not read',
      { env: US, config: '[default]\nus_east_1_regional_endpoint = regional\n' },
      true,
    ],
    [
      'the variable before the file',
      { env: { ...US, [VARIABLE]: 'legacy' }, config: indented('regional') },
      true,
    ],
    [
      'the connection before the variable',
      {
        env: { ...US, [VARIABLE]: 'legacy' },
        extra: { config_kwargs: { s3: { us_east_1_regional_endpoint: 'regional' } } },
      },
      false,
    ],
  ])('%s', (_, row, isGlobal) => {
    expect(reached(row).variants.useGlobalEndpoint ?? false).toBe(isGlobal);
  });
});

/** Each was run with botocore 1.44.8, which matches NO_PROXY against the endpoint of its client. */
describe('NO_PROXY at AWS', () => {
  const FIPS = { AWS_USE_FIPS_ENDPOINT: 'true' };
  const DUAL = { AWS_USE_DUALSTACK_ENDPOINT: 'true' };
  test.each<[string, string, Readonly<Record<string, string>>, 'left out' | 'asked']>([
    ['us-east-1', 's3.amazonaws.com', {}, 'left out'],
    ['us-east-1', 's3.us-east-1.amazonaws.com', {}, 'asked'],
    ['us-east-1', '.us-east-1.amazonaws.com', {}, 'asked'],
    ['us-east-1', '.us-east-1.amazonaws.com', { AWS_S3_US_EAST_1_REGIONAL_ENDPOINT: 'regional' }, 'left out'],
    ['us-east-1', 's3.dualstack.us-east-1.amazonaws.com', DUAL, 'left out'],
    ['us-east-1', 's3-fips.us-east-1.amazonaws.com', FIPS, 'asked'],
    ['eu-west-1', 's3.eu-west-1.amazonaws.com', {}, 'left out'],
    ['eu-west-1', 's3.dualstack.eu-west-1.amazonaws.com', DUAL, 'left out'],
    ['us-gov-west-1', 's3-fips.us-gov-west-1.amazonaws.com', FIPS, 'left out'],
    ['us-gov-west-1', 's3.us-gov-west-1.amazonaws.com', FIPS, 'asked'],
    ['cn-north-1', '.amazonaws.com.cn', {}, 'left out'],
    ['eusc-de-east-1', '.amazonaws.eu', {}, 'left out'],
    ['us-iso-east-1', '.c2s.ic.gov', {}, 'left out'],
  ])('%s, NO_PROXY=%s %j: the proxy is %s', (region, no, more, way) => {
    const env = { HTTPS_PROXY: 'http://proxy:1', NO_PROXY: no, AWS_DEFAULT_REGION: region, ...more };
    expect(reached({ env }).proxies.https === null ? 'left out' : 'asked').toBe(way);
  });
});

test('a role is asked for through the proxy for STS, and never through that of proxy-uri', () => {
  const s3 = { 'proxy-uri': 'http://uri:1' };
  const extra = { role_arn: ROLE, service_config: { s3 } };
  const env = { HTTPS_PROXY: 'http://proxy:1' };
  const { proxies, role } = reached({ extra, env });
  expect([proxies.https?.reveal(), role?.proxies.https?.reveal()]).toEqual([
    'http://uri:1',
    'http://proxy:1',
  ]);
  expect(reached({ extra, env: { ...env, NO_PROXY: 'sts.amazonaws.com' } }).role?.proxies.https).toBeNull();
});

describe('the endpoint of STS is that of the worker, and its host decides on the proxy', () => {
  const extra = { role_arn: ROLE, region_name: 'eu-west-1', endpoint_url: 'http://minio:9000' };
  const proxied = { HTTP_PROXY: 'http://proxy:1', HTTPS_PROXY: 'http://proxy:1' };
  const files = '[default]\nservices = s\n[services s]\nsts =\n  endpoint_url = http://sts:1\n';
  test.each<[string, Row, string | null, boolean]>([
    ['of AWS', { extra, env: { NO_PROXY: 'sts' } }, null, true],
    ['of AWS, left out', { extra, env: { NO_PROXY: 'sts.eu-west-1.amazonaws.com' } }, null, false],
    [
      'of its variable',
      { extra, env: { AWS_ENDPOINT_URL_STS: 'http://sts:1', NO_PROXY: 'sts' } },
      'http://sts:1',
      false,
    ],
    [
      'of the variable for all',
      { extra, env: { AWS_ENDPOINT_URL: 'http://sts:1', NO_PROXY: 'sts' } },
      'http://sts:1',
      false,
    ],
    [
      'of the variable for all, beside AWS without a proxy',
      { extra, env: { AWS_ENDPOINT_URL: 'http://sts:1', NO_PROXY: 'amazonaws.com' } },
      'http://sts:1',
      true,
    ],
    [
      'of the services in the files',
      { extra, env: { NO_PROXY: 'sts' }, config: files },
      'http://sts:1',
      false,
    ],
    [
      'of AWS, if the others are ignored',
      { extra, env: { AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: 'true', NO_PROXY: 'sts' }, config: files },
      null,
      true,
    ],
    [
      'of the connection, even then',
      {
        extra: { ...extra, service_config: { sts: { endpoint_url: 'http://own:1' } } },
        env: { AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: 'true', NO_PROXY: 'own' },
      },
      'http://own:1',
      false,
    ],
  ])('%s', (_, { env, ...row }, endpoint, isProxied) => {
    const { role, identityProxies } = reached({ ...row, env: { ...proxied, ...env } });
    expect([role?.endpoint, role?.proxies.http !== null]).toEqual([endpoint, isProxied]);
    // Only a role asks with the settings of the connection.
    if (endpoint !== 'http://own:1') expect(identityProxies.http !== null).toBe(isProxied);
  });

  test('an identity does not know the settings of the connection', () => {
    const env = { ...proxied, AWS_ENDPOINT_URL: 'http://sts:1', NO_PROXY: 'sts' };
    const ignoring = { config_kwargs: { ignore_configured_endpoint_urls: true } };
    expect(reached({ extra: ignoring, env }).identityProxies.http).toBeNull();
    expect(reached({ extra: { ...extra, ...ignoring }, env }).role?.proxies.http).not.toBeNull();
  });
});

test('a web identity is asked for through the proxy of the variables, whatever the way to S3', () => {
  const extra = { endpoint_url: 'http://minio', config_kwargs: { proxies: { https: 'http://told:1' } } };
  const env = { HTTPS_PROXY: 'http://proxy:1', NO_PROXY: 'minio' };
  expect(reached({ extra, env }).identityProxies.https?.reveal()).toBe('http://proxy:1');
  expect(reached({ extra, env: { ...env, NO_PROXY: 'sts.amazonaws.com' } }).identityProxies.https).toBeNull();
});

test('a proxy variable without a URL does not matter to a connection with keys and a proxy of its own', () => {
  const extra = { config_kwargs: { proxies: { https: 'http://told:1' } } };
  const env = { HTTPS_PROXY: 'http://[', AWS_ACCESS_KEY_ID: 'K', AWS_SECRET_ACCESS_KEY: 's' };
  expect(reached({ extra, env }).proxies.https?.reveal()).toBe('http://told:1');
});
