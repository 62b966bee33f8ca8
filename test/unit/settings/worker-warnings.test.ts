import { expect, test } from 'vitest';
import { parseConnection } from '../../../src/airflow/connection.ts';
import { s3Connection } from '../../../src/airflow/worker-s3.ts';
import { parseXComPaths } from '../../../src/airflow/xcom-path.ts';
import { unusedExtras, workerWarnings } from '../../../src/settings/worker-warnings.ts';

interface Row {
  readonly extra?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly config?: string;
  readonly credentials?: string;
  readonly path?: string;
  readonly isSet?: boolean;
}

const KEYS = { AWS_ACCESS_KEY_ID: 'K', AWS_SECRET_ACCESS_KEY: 'geheim' };

function warned({
  extra = {},
  env = {},
  config = '',
  credentials = '',
  path = 's3://conn@b',
  isSet = true,
}: Row) {
  const given = parseConnection(JSON.stringify({ extra }));
  const world = { env, files: { config, credentials } };
  const s3 = s3Connection({ id: 'conn', given }, world);
  return workerWarnings([{ id: 'conn', variable: 'AIRFLOW_CONN_CONN', given, isSet, s3 }], {
    ...world,
    paths: parseXComPaths(path),
  });
}

test.each<[string, Row]>([
  ['nothing', {}],
  ['keys', { env: { ...KEYS, AWS_SESSION_TOKEN: 'geheim' } }],
  ['verify that is the default', { extra: { verify: true } }],
  [
    'a role with all arguments',
    { extra: { role_arn: 'r', assume_role_kwargs: { ExternalId: 'ext', RoleArn: 'r' } } },
  ],
  ['a method without a role', { extra: { assume_role_method: 'assume_role_with_saml' } }],
  ['a profile that is there', { extra: { profile_name: 'p' }, config: '[profile p]\nregion = x\n' }],
  [
    'a profile that is there, with its name in quotes',
    { extra: { profile_name: 'a b' }, config: '[profile "a b"]\nregion = x\n' },
  ],
  [
    'a profile of the file of credentials',
    { env: { AWS_PROFILE: 'p' }, credentials: '[p]\naws_access_key_id = k\n' },
  ],
  ['a profile that keys go before', { env: { ...KEYS, AWS_PROFILE: 'p' } }],
  ['a region that both read', { env: { AWS_REGION: 'eu-west-1', AWS_DEFAULT_REGION: 'eu-west-1' } }],
  [
    'a region that an own endpoint does not ask for',
    { extra: { endpoint_url: 'http://minio:9000' }, env: { AWS_REGION: 'eu-west-1' } },
  ],
  ['a proxy of another scheme', { env: { HTTP_PROXY: 'http://proxy:3128' } }],
  [
    'a proxy that the bucket is left out of',
    { env: { HTTPS_PROXY: 'http://proxy:3128', NO_PROXY: 'x, .amazonaws.com' } },
  ],
  ['a proxy that nothing goes through', { env: { HTTPS_PROXY: 'http://proxy:3128', no_proxy: '*' } }],
  ['proxies that botocore does not know', { env: { ALL_PROXY: 'http://proxy:3128', SSL_CERT_FILE: '/x' } }],
  ['the region of a connection that is not known', { env: { AWS_REGION: 'eu-west-1' }, isSet: false }],
  ['the alias of an access point', { path: 's3://conn@ap-abc123-s3alias/xcom' }],
])('no word about %s', (_, row) => {
  expect(warned(row)).toEqual([]);
});

test.each<[string, Row, RegExp]>([
  ['verify', { extra: { verify: '/ca.pem' } }, /^The connection conn has verify, which .* AWS_CA_BUNDLE/],
  ['verify that is false', { extra: { verify: false } }, /^The connection conn has verify, which/],
  [
    'a role by SAML',
    { extra: { role_arn: 'r', assume_role_method: 'assume_role_with_saml' } },
    /takes its role by assume_role_with_saml, which the exporter does not follow/,
  ],
  [
    'an argument that botocore does not know',
    { extra: { role_arn: 'r', assume_role_kwargs: { External_Id: 'ext' } } },
    /has External_Id in assume_role_kwargs, .* every push of Airflow fails/,
  ],
  [
    'no signature',
    { extra: { config_kwargs: { signature_version: 'unsigned' } } },
    /has the signature_version unsigned, .* every push fails/,
  ],
  ['a signer', { extra: { service_config: { s3: { signer: 'S3V4RestSigner' } } } }, /has a signer/],
  [
    'a proxy of the connection',
    { extra: { config_kwargs: { proxies: { https: 'http://u:geheim@p' } } } },
    /^With the connection conn Airflow's workers reach S3 through the proxy that it names/,
  ],
  [
    'the other proxy of the connection',
    { extra: { service_config: { s3: { 'proxy-uri': 'http://u:geheim@p' } } } },
    /^With the connection conn Airflow's workers reach S3 through the proxy that it names/,
  ],
  [
    'a proxy of the environment',
    { env: { HTTPS_PROXY: 'http://u:geheim@proxy:3128', NO_PROXY: 'localhost' } },
    /through the proxy proxy:3128 if they have HTTPS_PROXY as well: the exporter does not go through it/,
  ],
  [
    'a proxy without a scheme, in front of an own endpoint',
    { extra: { endpoint_url: 'http://minio:9000' }, env: { http_proxy: 'proxy:3128' } },
    /through the proxy proxy:3128 if they have http_proxy/,
  ],
  [
    'a profile that is not there',
    { extra: { profile_name: 'prod' }, config: '[profile other]\nregion = x\n' },
    /^The connection conn takes the profile prod, which the exporter's AWS files do not have/,
  ],
  [
    'a profile of the environment that is not there',
    { env: { AWS_DEFAULT_PROFILE: 'prod' } },
    /takes the profile prod/,
  ],
  ['a file that botocore refuses', { config: '[a]\nx = 1\nx = 2\n' }, /^The AWS config file cannot be read/],
  ['half a pair of keys', { env: { AWS_ACCESS_KEY_ID: 'K' } }, /^AWS_ACCESS_KEY_ID is set without/],
  [
    'a region that no worker reads',
    { env: { AWS_REGION: 'eu-west-1' } },
    /^AWS_REGION is not read .* us-east-1\. Give AWS_DEFAULT_REGION/,
  ],
  [
    'a region that another goes before',
    { env: { AWS_REGION: 'eu-west-1', AWS_DEFAULT_REGION: 'eu-west-2' } },
    /^AWS_REGION is not read .*: both ask in eu-west-2$/,
  ],
  [
    'an access point',
    { path: 's3://conn@arn:aws:s3:us-east-1:123456789012:accesspoint/ap/xcom' },
    /^xcom.path: an access point is named by its ARN/,
  ],
])('a warning about %s', (_, row, sentence) => {
  const [warning = '', ...more] = warned(row);
  expect(warning).toMatch(sentence);
  expect(more).toEqual([]);
  expect(warning).not.toMatch(/geheim/);
});

test('what is not followed is shown beside the connection', () => {
  const extra = {
    profile_name: 'p',
    role_arn: 'r',
    assume_role_method: 'assume_role_with_saml',
    assume_role_kwargs: { ExternalId: 'x' },
    config_kwargs: { signature_version: 'unsigned', proxies: { https: 'http://p' } },
    service_config: { s3: { signer: 'x', 'proxy-uri': 'http://p' } },
  };
  expect(unusedExtras(parseConnection(JSON.stringify({ extra })))).toEqual([
    'assume_role_method',
    'config_kwargs.signature_version',
    'config_kwargs.proxies',
    'service_config.s3.proxy-uri',
    'service_config.s3.signer',
  ]);
  expect(unusedExtras(parseConnection('aws://?role_arn=r&region_name=x'))).toEqual([]);
  expect(unusedExtras(null)).toEqual([]);
});
