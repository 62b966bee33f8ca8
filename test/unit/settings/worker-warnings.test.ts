import { describe, expect, test } from 'vitest';
import { parseConnection } from '../../../src/airflow/connection.ts';
import { s3Connection } from '../../../src/airflow/worker-s3.ts';
import { parseXComPaths } from '../../../src/airflow/xcom-path.ts';
import { sentenceOf } from '../../../src/settings/push-fault.ts';
import { unusedExtras, workerWarnings } from '../../../src/settings/worker-warnings.ts';

interface Row {
  readonly extra?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly config?: string;
  readonly credentials?: string;
  readonly path?: string;
  readonly isSet?: boolean;
}

const ARN = 'arn:aws:s3:us-east-1:123456789012:accesspoint/ap';
const ROLE = { role_arn: 'r', region_name: 'eu-west-1' };
const KEYS = { AWS_ACCESS_KEY_ID: 'K', AWS_SECRET_ACCESS_KEY: 'geheim' };

function warned(row: Row): readonly string[] {
  return warningsOf(row).map(sentenceOf);
}

function warningsOf({
  extra = {},
  env = {},
  config = '',
  credentials = '',
  path = 's3://conn@b',
  isSet = true,
}: Row) {
  const given = parseConnection(JSON.stringify({ extra }));
  const world = { env, files: { config, credentials }, secretsBackends: [] };
  const s3 = s3Connection({ id: 'conn', given }, world);
  return workerWarnings([{ id: 'conn', variable: 'AIRFLOW_CONN_CONN', given, isSet, s3 }], {
    ...world,
    paths: parseXComPaths(path),
  });
}

test.each<[string, Row]>([
  ['nothing', {}],
  ['a role without a region', { extra: { role_arn: 'r' } }],
  ['a role of the file without a region', { config: '[default]\nrole_arn = r\n' }],
  [
    'a role without a region, beside an endpoint that does not count',
    {
      extra: { role_arn: 'r' },
      env: { AWS_ENDPOINT_URL_STS: 'http://sts', AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: 'true' },
    },
  ],
  [
    'a role with an empty region, and servers of its own',
    {
      extra: { role_arn: 'r', region_name: '', endpoint_url: 'http://minio' },
      env: { AWS_ENDPOINT_URL_STS: 'http://sts' },
    },
  ],
  ['a mode of a connection that is none', { extra: { config_kwargs: { defaults_mode: '' } } }],
  [
    'variables of AWS as a compose file hands them on',
    { env: { AWS_STS_REGIONAL_ENDPOINTS: '', AWS_USE_FIPS_ENDPOINT: '', AWS_ENDPOINT_URL: '' } },
  ],
  [
    'numbers of a connection',
    { extra: { config_kwargs: { connect_timeout: 10, read_timeout: 60.5, max_pool_connections: 50 } } },
  ],
  ['no profile', { extra: { profile_name: null } }],
  [
    'an endpoint without acceleration',
    {
      extra: {
        endpoint_url: 'http://minio:9000',
        config_kwargs: { s3: { use_accelerate_endpoint: false } },
      },
    },
  ],
  [
    'a single sign-on without keys',
    { config: '[default]\nsso_session = s\nsso_role_name = r\nsso_account_id = 1\n' },
  ],
  ['keys', { env: { ...KEYS, AWS_SESSION_TOKEN: 'geheim' } }],
  ['verify that is the default', { extra: { verify: true } }],
  [
    'a role with all arguments',
    { extra: { ...ROLE, assume_role_kwargs: { ExternalId: 'ext', RoleArn: 'r' } } },
  ],
  ['a method without a role', { extra: { assume_role_method: 'assume_role_with_saml' } }],
  ['a profile that is there', { extra: { profile_name: 'p' }, config: '[profile p]\nregion = x\n' }],
  [
    'a profile that is there, with its name in quotes',
    { extra: { profile_name: 'a b' }, config: '[profile "a b"]\nregion = x\n' },
  ],
  [
    'a profile of the file of credentials',
    { env: { AWS_PROFILE: 'p' }, credentials: '[p]\naws_access_key_id = k\naws_secret_access_key = s\n' },
  ],
  [
    'keys of the credentials file in capitals, or with a colon',
    { credentials: '[default]\nAWS_Access_Key_Id = K\naws_secret_access_key : geheim\n' },
  ],
  [
    'a profile that keys go before',
    { env: { ...KEYS, AWS_PROFILE: 'p' }, config: '[profile p]\noutput = json\n' },
  ],
  ['half a pair that keys go before', { env: KEYS, credentials: '[default]\naws_access_key_id = K\n' }],
  [
    'a variable for what the connection says itself',
    {
      extra: {
        config_kwargs: {
          defaults_mode: 'standard',
          retries: { mode: 'adaptive', max_attempts: 0 },
        },
        profile_name: 'p',
      },
      env: {
        AWS_DEFAULTS_MODE: 'x',
        AWS_RETRY_MODE: '',
        AWS_MAX_ATTEMPTS: 'x',
        AWS_PROFILE: '',
      },
      config: '[profile p]\ndefaults_mode = x\n',
    },
  ],
  [
    'values as botocore takes them',
    {
      env: {
        AWS_RESPONSE_CHECKSUM_VALIDATION: 'WHEN_REQUIRED',
        AWS_MAX_ATTEMPTS: ' 3 ',
        AWS_DEFAULTS_MODE: 'Standard',
      },
    },
  ],
  [
    'an empty region where the endpoint is told',
    { extra: { endpoint_url: 'http://minio:9000' }, env: { AWS_DEFAULT_REGION: '' } },
  ],
  ['an endpoint with a space before it and slashes', { extra: { endpoint_url: ' http://minio:9000//' } }],
  [
    'a key beside the one that counts',
    { extra: { region: 'x', region_name: 'eu-west-1', geheim1: 'x', bucket_name: 'b' } },
  ],
  [
    'STS at an endpoint that is ignored',
    {
      extra: { ...ROLE, config_kwargs: { ignore_configured_endpoint_urls: true } },
      env: { AWS_ENDPOINT_URL_STS: 'http://my_sts' },
    },
  ],
  ['STS where no role is asked for', { env: { AWS_ENDPOINT_URL_STS: 'http://my_sts' } }],
  [
    'the id of a role with its own name',
    { extra: { ...ROLE, external_id: 'x', assume_role_kwargs: { ExternalId: 'x' } } },
  ],
  ['a region that both read', { env: { AWS_REGION: 'eu-west-1', AWS_DEFAULT_REGION: 'eu-west-1' } }],
  [
    'a region that an own endpoint does not ask for',
    { extra: { endpoint_url: 'http://minio:9000' }, env: { AWS_REGION: 'eu-west-1' } },
  ],
  ...['http://minio:9000', 'https://a-b.c1./x', 'http://[::1]:9000', `http://${'a'.repeat(63)}.b`].map(
    (endpoint_url): [string, Row] => [`the endpoint ${endpoint_url}`, { extra: { endpoint_url } }],
  ),
  [
    'a key with a number sign in it, and a comment behind what is no key',
    { credentials: '[default]\naws_secret_access_key = ge#heim;x\noutput = json # c\n# c\n' },
  ],
  ['a region in capitals', { config: '[default]\nRegion = eu-west-1\n' }],
  ['a proxy', { env: { HTTPS_PROXY: 'http://u:geheim@proxy:3128' } }],
  ['a proxy of the connection', { extra: { config_kwargs: { proxies: { https: 'http://p' } } } }],
  [
    'options of botocore',
    { extra: { config_kwargs: { signature_version: 's3v4', retries: {}, read_timeout: 5 } } },
  ],
  [
    'a whole pair of keys',
    { extra: { aws_access_key_id: 'K', aws_secret_access_key: 's', aws_session_token: 't' } },
  ],
  [
    'a region that another goes before',
    { extra: { region_name: 'eu-west-1' }, env: { AWS_DEFAULT_REGION: 'eu-west-1 ' } },
  ],
  ['a role with a region', { extra: { role_arn: 'r', region_name: 'eu-west-1' } }],
  ['a role of the file with a region', { config: '[default]\nrole_arn = r\nregion = eu-west-1\n' }],
  ['a role of the file that keys go before', { env: KEYS, config: '[default]\nrole_arn = r\n' }],
  [
    'an identity that is asked for through the same proxy',
    { env: { HTTPS_PROXY: 'http://proxy:3128', AWS_WEB_IDENTITY_TOKEN_FILE: '/t' } },
  ],
  ['an access point by its ARN', { path: `s3://conn@${ARN}/xcom` }],
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
    { extra: { ...ROLE, assume_role_method: 'assume_role_with_saml' } },
    /takes its role by assume_role_with_saml, which the exporter does not follow/,
  ],
  [
    'an argument that botocore does not know',
    { extra: { ...ROLE, assume_role_kwargs: { External_Id: 'ext' } } },
    /has External_Id in assume_role_kwargs, .* every push of Airflow fails/,
  ],
  [
    'no signature',
    { extra: { config_kwargs: { signature_version: 'unsigned' } } },
    /has the signature_version unsigned, .* every push fails/,
  ],
  [
    'a region in session_kwargs',
    { extra: { session_kwargs: { region_name: 'eu-west-1' } } },
    /has session_kwargs\.region_name, .* as of Airflow 2\.9.* Write region_name in extra$/,
  ],
  [
    'a profile in session_kwargs',
    { extra: { session_kwargs: { profile_name: 'p' } } },
    /has session_kwargs\.profile_name, .* Write profile_name in extra$/,
  ],
  [
    'the parts of a role',
    { extra: { region_name: 'eu-west-1', aws_account_id: '123456789012', aws_iam_role: 'r' } },
    /has aws_iam_role, .* Write role_arn in extra$/,
  ],
  [
    'a role of a file in capitals',
    { config: '[default]\nROLE_ARN = r\nsource_profile = x\nregion = eu-west-1\n' },
    /^The connection conn takes a role from AWS's files, of which the exporter reads no name in capital letters/,
  ],
  [
    'the keys of a role with a colon',
    {
      config: '[default]\nrole_arn = r\nsource_profile = x\nregion = eu-west-1\n',
      credentials: '[x]\naws_access_key_id : K\naws_secret_access_key = geheim\n',
    },
    /^The connection conn takes a role from AWS's files, of which .* none with a colon/,
  ],
  [
    'half a pair in the file',
    { credentials: '[default]\naws_access_key_id = K\n' },
    /have half of a pair: a worker fails/,
  ],
  [
    'a profile that is not there although keys are given',
    { env: { ...KEYS, AWS_PROFILE: 'p' } },
    /takes the profile p, which the exporter's AWS files do not have: a worker without it fails\. Give it the same files$/,
  ],
  [
    'a profile without a name',
    { env: { AWS_PROFILE: '' } },
    /^AWS_PROFILE is set and empty, .* Leave it out$/,
  ],
  [
    'the keys of a file beside an identity',
    {
      env: { AWS_WEB_IDENTITY_TOKEN_FILE: '/t', AWS_ROLE_ARN: 'r' },
      credentials: '[default]\naws_access_key_id = K\naws_secret_access_key = geheim\n',
    },
    /takes the identity of AWS_WEB_IDENTITY_TOKEN_FILE, and the exporter the keys of its AWS files/,
  ],
  [
    'services that are not there',
    { config: '[default]\nservices = x\n' },
    /takes its endpoint from AWS's files, whose services name a section that is not there/,
  ],
  ['a text in place of options', { config: '[default]\ns3 = x\n' }, /^The AWS files have a value for s3, /],
  ...(
    [
      [
        { s3: { addressing_style: 'PATH' } },
        's3.addressing_style',
        'auto, path or virtual, in small letters',
      ],
      [
        { request_checksum_calculation: 'required' },
        'request_checksum_calculation',
        'when_supported or when_required',
      ],
      [
        { response_checksum_validation: 'x' },
        'response_checksum_validation',
        'when_supported or when_required',
      ],
      [{ retries: { mode: 'Standard' } }, 'retries.mode', 'legacy, standard or adaptive'],
      [{ retries: { max_attempts: -1 } }, 'retries.total_max_attempts', 'a whole number from 1'],
      [{ retries: { total_max_attempts: 0 } }, 'retries.total_max_attempts', 'a whole number from 1'],
      [{ defaults_mode: 'fast' }, 'defaults_mode', 'legacy, auto, standard'],
      [
        { s3: { us_east_1_regional_endpoint: 'x' } },
        's3.us_east_1_regional_endpoint',
        'legacy or regional, in small letters',
      ],
    ] as const
  ).map(([config_kwargs, place, words]): [string, Row, RegExp] => [
    `a value that botocore refuses: ${JSON.stringify(config_kwargs)}`,
    { extra: { config_kwargs } },
    new RegExp(
      `^The connection conn, in config_kwargs\\.${place}, has a value that botocore refuses: .* It takes ${words}`,
    ),
  ]),
  ...(
    [
      ['AWS_RETRY_MODE', 'STANDARD'],
      ['AWS_MAX_ATTEMPTS', 'ten'],
      ['AWS_DEFAULTS_MODE', ''],
      ['AWS_STS_REGIONAL_ENDPOINTS', 'Regional'],
      ['AWS_S3_US_EAST_1_REGIONAL_ENDPOINT', ''],
      ['AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES', ''],
      ['AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES', '0'],
    ] as const
  ).map(([name, value]): [string, Row, RegExp] => [
    `a variable that botocore refuses: ${name}=${value}`,
    { env: { [name]: value } },
    new RegExp(`^${name} has a value that botocore refuses: every push of Airflow fails`),
  ]),
  ...['connect_timeout', 'read_timeout', 'max_pool_connections'].map((name): [string, Row, RegExp] => [
    `a text for a number: ${name}`,
    { extra: { config_kwargs: { [name]: '10' } } },
    new RegExp(`^The connection conn, in config_kwargs\\.${name}, has a text for a number: every push`),
  ]),
  [
    'an empty endpoint',
    { extra: { endpoint_url: '' } },
    /^The connection conn has an empty endpoint_url, which botocore refuses: every push of Airflow fails/,
  ],
  [
    'an empty endpoint of S3 before another',
    { extra: { endpoint_url: 'http://minio:9000', service_config: { s3: { endpoint_url: '' } } } },
    /^The connection conn has an empty endpoint_url/,
  ],
  [
    'an endpoint beside acceleration',
    {
      extra: { endpoint_url: 'http://minio:9000' },
      config: '[default]\ns3 =\n  use_accelerate_endpoint = true\n',
    },
    /^The connection conn has an endpoint beside use_accelerate_endpoint, which botocore refuses/,
  ],
  [
    'an empty profile of the connection, whatever the variables name',
    { extra: { profile_name: '' }, env: { AWS_PROFILE: 'p' }, config: '[profile p]\nregion = eu-west-1\n' },
    /^The connection conn has an empty profile_name, .*: every push fails\. Leave it out$/,
  ],
  [
    'keys beside a single sign-on',
    {
      config: '[default]\nsso_start_url = https://x\nsso_role_name = r\nsso_account_id = 1\n',
      credentials: '[default]\naws_access_key_id = K\naws_secret_access_key = geheim\n',
    },
    /^The connection conn takes the single sign-on of its profile in AWS's files, and the exporter the keys/,
  ],
  [
    'a value of the file that botocore refuses',
    { config: '[default]\ns3 =\n  addressing_style = Path\n' },
    /^addressing_style in the AWS files has a value that botocore refuses/,
  ],
  [
    'a value of the file that botocore refuses, with its other name',
    { config: '[default]\ns3 =\n  us_east_1_regional_endpoint = Regional\n' },
    /^us_east_1_regional_endpoint in the AWS files has a value that botocore refuses/,
  ],
  [
    'retries with a name that botocore does not know',
    { extra: { config_kwargs: { retries: { attempts: 3 } } } },
    /has attempts in config_kwargs\.retries, which botocore does not know: every push of Airflow fails/,
  ],
  [
    'an empty bundle',
    { env: { REQUESTS_CA_BUNDLE: '' } },
    /^REQUESTS_CA_BUNDLE is set and empty: .* Leave it out$/,
  ],
  ['an empty region', { env: { AWS_DEFAULT_REGION: '' } }, /^AWS_DEFAULT_REGION has an empty region, /],
  [
    'a region with a line break at its end',
    { env: { AWS_DEFAULT_REGION: 'eu-west-1\n' } },
    /^AWS_DEFAULT_REGION has a region that botocore refuses/,
  ],
  [
    'a key with a line break',
    { env: { ...KEYS, AWS_ACCESS_KEY_ID: 'K\n' } },
    /^AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or the token beside them has white space at an end of a key/,
  ],
  [
    'a key of the connection with a space',
    { extra: { aws_access_key_id: 'K', aws_secret_access_key: 'geheim ' } },
    /^The connection conn has white space at an end of a key/,
  ],
  [
    'a key with the next line in it',
    { credentials: '[default]\naws_access_key_id = K\naws_secret_access_key = geheim\n  region = x\n' },
    /^The profile of the AWS files has white space at an end of a key, .* An indented line goes on/,
  ],
  [
    'a SOCKS proxy',
    { env: { HTTPS_PROXY: 'socks5://u:geheim@proxy:1080' } },
    /^The connection conn goes through a proxy that is neither http nor https, as a SOCKS proxy/,
  ],
  [
    'an endpoint with a query',
    { extra: { endpoint_url: 'http://minio:9000/?geheim=1' } },
    /^The connection conn has an endpoint with a question mark, which botocore refuses/,
  ],
  [
    'an endpoint of STS that botocore refuses',
    { extra: { ...ROLE, service_config: { sts: { endpoint_url: 'http://my_sts:1' } } } },
    /^The connection conn asks STS at an endpoint whose host botocore refuses/,
  ],
  [
    'an endpoint of STS by a variable that is no URL',
    { extra: ROLE, env: { AWS_ENDPOINT_URL_STS: 'sts.example' } },
    /^The connection conn asks STS at an endpoint whose host botocore refuses/,
  ],
  [
    'an endpoint of STS by the variable for all',
    { extra: { ...ROLE, endpoint_url: 'http://minio:9000' }, env: { AWS_ENDPOINT_URL: 'http://my_sts:1' } },
    /^The connection conn asks STS at an endpoint whose host botocore refuses/,
  ],
  [
    'the id of a role by its old name',
    { extra: { ...ROLE, external_id: 'geheim' } },
    /has external_id, .* Write ExternalId into assume_role_kwargs in extra$/,
  ],
  ...(
    [
      ['endpoint', 'endpoint_url'],
      ['extra__aws__endpoint_url', 'endpoint_url'],
      ['aws_endpoint_url', 'endpoint_url'],
      ['region', 'region_name'],
      ['AWS_DEFAULT_REGION', 'region_name'],
      ['aws_profile', 'profile_name'],
      ['access_key', 'aws_access_key_id'],
      ['secret_key', 'aws_secret_access_key'],
      ['role', 'role_arn'],
    ] as const
  ).map(([name, meant]): [string, Row, RegExp] => [
    `${name} in extra`,
    { extra: { [name]: 'geheim' } },
    new RegExp(`^The connection conn has ${name} in extra, .* did you mean ${meant}\\?$`),
  ]),
  ['a signer', { extra: { service_config: { s3: { signer: 'S3V4RestSigner' } } } }, /has a signer/],
  [
    'another signature',
    { extra: { config_kwargs: { signature_version: 's3' } } },
    /has a signature_version of its own, which a worker follows and the exporter does not/,
  ],
  [
    'an option that botocore does not know',
    { extra: { config_kwargs: { addressing_style: 'path' } } },
    /has addressing_style in config_kwargs, .* every push of Airflow fails/,
  ],
  [
    'a certificate of its own',
    { extra: { config_kwargs: { client_cert: '/geheim.pem' } } },
    /has client_cert in config_kwargs, which a worker follows and the exporter does not/,
  ],
  ['half a pair in the connection', { extra: { aws_access_key_id: 'K' } }, /has a part of aws_access_key_id/],
  ['a token without its keys', { extra: { aws_session_token: 'geheim' } }, /has a part of aws_access_key_id/],
  ...(
    [
      [
        'the connection',
        { extra: { role_arn: 'r', service_config: { sts: { endpoint_url: 'http://sts' } } } },
      ],
      ['a variable', { extra: { role_arn: 'r' }, env: { AWS_ENDPOINT_URL_STS: 'http://sts' } }],
      ['a variable for all services', { extra: { role_arn: 'r' }, env: { AWS_ENDPOINT_URL: 'http://all' } }],
      ['a file', { extra: { role_arn: 'r' }, config: '[default]\nendpoint_url = http://all\n' }],
      [
        'a file, for a role of the file',
        {
          config: '[default]\nrole_arn = r\nservices = s\n[services s]\nsts =\n  endpoint_url = http://sts\n',
        },
      ],
    ] as const
  ).map(([place, row]): [string, Row, RegExp] => [
    `a role without a region, with STS at an endpoint of ${place}`,
    row,
    /takes a role and no region is given, with STS at an endpoint of its own: .* every push fails/,
  ]),
  [
    'a role with an empty region, which STS of AWS does not take',
    { extra: { role_arn: 'r', region_name: '', endpoint_url: 'http://minio' } },
    /takes a role and its region is empty: botocore finds no address of STS, and every push fails/,
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
  ...(
    [
      ['eu-west-1 ', 'a space'],
      ['eu+west', 'a plus'],
      ['"eu-west-1"', 'quotes'],
      ['eu-west-1 # c', 'a comment'],
      ['123', 'digits alone'],
    ] as const
  ).map(([AWS_DEFAULT_REGION, what]): [string, Row, RegExp] => [
    `a region with ${what}`,
    { env: { AWS_DEFAULT_REGION } },
    /^AWS_DEFAULT_REGION has a region that botocore refuses: every push of Airflow fails\./,
  ]),
  [
    'a region of the connection that botocore refuses',
    {
      extra: { region_name: 'eu west' },
      env: { AWS_DEFAULT_REGION: 'eu-west-1', HTTPS_PROXY: 'http://p:1' },
    },
    /^The connection conn, in region_name, has a region that botocore refuses/,
  ],
  [
    'a region of config_kwargs that botocore refuses',
    { extra: { region_name: 'eu-west-1', config_kwargs: { region_name: 'eu west' } } },
    /^The connection conn, in config_kwargs\.region_name, has a region that botocore refuses/,
  ],
  [
    'a region of the file with a comment behind it',
    { config: '[default]\nregion = eu-west-1 # c\n' },
    /^The AWS config file, in region, has a region that botocore refuses/,
  ],
  [
    'a region of the other file with quotes around it',
    { env: { AWS_PROFILE: 'p' }, credentials: '[p]\nregion = "eu-west-1"\n' },
    /^The AWS credentials file, in region, has a region that botocore refuses/,
  ],
  ...(
    [
      ['http://minio_s3:9000', 'an underscore'],
      ['http://-minio:9000', 'a dash before it'],
      ['http://minio-.local', 'a dash behind a label'],
      ['https://bücher.example', 'other letters'],
      [`http://${'a'.repeat(64)}`, 'a label that is too long'],
      [`http://${'a.'.repeat(128)}a`, 'a name that is too long'],
      ['http://a..b', 'an empty label'],
    ] as const
  ).map(([endpoint_url, what]): [string, Row, RegExp] => [
    `an endpoint with ${what}`,
    { extra: { endpoint_url } },
    /^The connection conn has an endpoint whose host botocore refuses: every push of Airflow fails\./,
  ]),
  [
    'an endpoint of a variable that botocore refuses',
    { env: { AWS_ENDPOINT_URL_S3: 'http://minio_s3:9000' } },
    /^The connection conn has an endpoint whose host botocore refuses/,
  ],
  ...(
    [
      ['aws_secret_access_key = geheim # prod', 'a key'],
      ['aws_secret_access_key = geheim\t; prod', 'a key, by a semicolon'],
      ['aws_session_token = # geheim', 'an empty key'],
      ['role_arn = r # prod\nregion = x', 'a role'],
    ] as const
  ).map(([line, what]): [string, Row, RegExp] => [
    `a comment behind ${what}`,
    { credentials: `[default]\n${line}\n` },
    /^The AWS credentials file has a comment behind a key or role, which botocore takes as part of it/,
  ]),
  [
    'a comment behind a key of the other file',
    { config: '[default]\naws_access_key_id = K # prod\naws_secret_access_key = geheim\n' },
    /^The AWS config file has a comment behind a key or role/,
  ],
  [
    'an access point of many regions',
    { path: 's3://conn@arn:aws:s3::123456789012:accesspoint/ap.mrap/xcom' },
    /^xcom.path: an ARN that is no access point of one region/,
  ],
])('a warning about %s', (_, row, sentence) => {
  const [warning = '', ...more] = warned(row);
  expect(warning).toMatch(sentence);
  expect(more).toEqual([]);
  expect(warning).not.toMatch(/geheim/);
});

const HALF = { AWS_ACCESS_KEY_ID: 'K' };
const HALF_FILE = '[default]\naws_access_key_id = K\n';
const IDENTITY = { AWS_WEB_IDENTITY_TOKEN_FILE: '/t' };
const PAIR = { aws_access_key_id: 'K', aws_secret_access_key: 'S' };

/** Run with botocore 1.34.106 and 1.44.8. */
test.each<[string, Row, boolean]>([
  ['in the connection', { extra: { aws_access_key_id: 'K' } }, true],
  ['of secret alone in the connection', { extra: { aws_secret_access_key: 'K' } }, true],
  ['in the connection, beside a pair', { extra: { aws_access_key_id: 'K', session_kwargs: PAIR } }, false],
  [
    'in the connection, whose role is asked for without a signature',
    {
      extra: { ...ROLE, aws_access_key_id: 'K', assume_role_method: 'assume_role_with_web_identity' },
    },
    false,
  ],
  ['in the variables', { env: HALF }, true],
  ['in the variables, beside an empty secret', { env: { ...HALF, AWS_SECRET_ACCESS_KEY: '' } }, true],
  ['in the variables, beside an identity', { env: { ...HALF, ...IDENTITY } }, true],
  ['in the variables, beside a pair in the connection', { env: HALF, extra: PAIR }, false],
  [
    'in the variables, beside a profile of the connection',
    { env: HALF, extra: { profile_name: 'p' }, config: '[profile p]\nregion = eu-west-1\n' },
    false,
  ],
  ['in the files', { credentials: HALF_FILE }, true],
  ['in the files, beside an identity that goes before', { credentials: HALF_FILE, env: IDENTITY }, false],
  ['in the files, beside a pair in the variables', { credentials: HALF_FILE, env: KEYS }, false],
])('half a pair of keys %s', (_, row, fails) => {
  const faults = warningsOf(row).filter((warning) => typeof warning !== 'string');
  expect(faults).toHaveLength(fails ? 1 : 0);
});

test('no push fails over a connection that the workers may have from a secrets backend', () => {
  const [warning, ...more] = workerWarnings(
    [
      {
        id: 'conn',
        variable: 'AIRFLOW_CONN_CONN',
        isSet: true,
        given: parseConnection('{"extra": {"aws_access_key_id": "K"}}'),
        s3: null,
      },
    ],
    {
      env: {},
      files: { config: '', credentials: '' },
      secretsBackends: [{ className: 'a.Backend', options: {} }],
      paths: parseXComPaths('s3://conn@b'),
    },
  );
  expect([warning, more]).toEqual([expect.stringContaining('has a part of aws_access_key_id'), []]);
});

/** Run with Airflow 2.9.3, 2.10.5 and 3.4.0b2: each raises an error. */
test.each(['config_kwargs', 'service_config', 'session_kwargs'])(
  '%s as JSON in the query of a URI is a text to Airflow',
  (name) => {
    const of = (uri: string) => {
      const given = parseConnection(uri);
      const world = { env: {}, files: { config: '', credentials: '' }, secretsBackends: [] };
      const s3 = s3Connection({ id: 'conn', given }, world);
      return workerWarnings([{ id: 'conn', variable: 'AIRFLOW_CONN_CONN', given, isSet: true, s3 }], {
        ...world,
        paths: parseXComPaths('s3://conn@b'),
      }).map(sentenceOf);
    };
    expect(of(`aws://K:S@/?${name}=%7B%7D`)).toEqual([
      expect.stringMatching(`^The connection conn has ${name} in the query of its URI, .* every push fails`),
    ]);
    expect(of(`aws://K:S@/?__extra__=%7B%22${name}%22%3A%7B%7D%7D`)).toEqual([]);
  },
);

describe('with null or a wrong method in its place, the hook of Airflow raises', () => {
  test.each<[NonNullable<Row['extra']>, string]>([
    [{ config_kwargs: null }, 'config_kwargs'],
    [{ service_config: null }, 'service_config'],
    [{ service_config: { s3: null } }, 'service_config.s3'],
    [{ ...ROLE, service_config: { sts: null } }, 'service_config.sts'],
    [
      { config_kwargs: { s3: { us_east_1_regional_endpoint: null } } },
      'config_kwargs.s3.us_east_1_regional_endpoint',
    ],
  ])('%j', (extra, name) => {
    expect(warningsOf({ extra })).toEqual([
      {
        pushFault: `The connection conn has null for ${name}, over which every push of Airflow fails. Leave it out`,
        connections: ['conn'],
      },
    ]);
  });

  test.each([null, '', 'AssumeRole', 'geheim'])('a role by the method %j', (method) => {
    expect(warningsOf({ extra: { ...ROLE, assume_role_method: method } })).toEqual([
      {
        pushFault:
          'The connection conn has an assume_role_method that Airflow does not know: every push fails. Leave it out, or write assume_role',
        connections: ['conn'],
      },
    ]);
  });

  test.each<[NonNullable<Row['extra']>]>([
    [{ service_config: { sts: null } }],
    [{ assume_role_method: null }],
    [{ ...ROLE, assume_role_kwargs: null, session_kwargs: null }],
    [{ config_kwargs: { s3: null, retries: null, proxies: null, region_name: null } }],
  ])('not with %j', (extra) => {
    expect(warningsOf({ extra })).toEqual([]);
  });
});

test('a key of a connection that is no name is not said back', () => {
  const names = { 'pla/nted': 1 };
  const said = warned({
    extra: { ...ROLE, assume_role_kwargs: names, config_kwargs: { ...names, retries: names } },
  });
  expect(said).toEqual([
    expect.stringContaining('a key that is not shown in assume_role_kwargs'),
    expect.stringContaining('a key that is not shown in config_kwargs,'),
    expect.stringContaining('a key that is not shown in config_kwargs.retries'),
  ]);
});

test('what is not followed is shown beside the connection', () => {
  const extra = {
    profile_name: 'p',
    role_arn: 'r',
    assume_role_method: 'assume_role_with_saml',
    assume_role_kwargs: { ExternalId: 'x' },
    config_kwargs: { signature_version: 'unsigned', client_cert: '/c', proxies: { https: 'http://p' } },
    service_config: { s3: { signer: 'x', 'proxy-uri': 'http://p' } },
  };
  expect(unusedExtras(parseConnection(JSON.stringify({ extra })))).toEqual([
    'assume_role_method',
    'config_kwargs.signature_version',
    'config_kwargs.client_cert',
    'service_config.s3.signer',
  ]);
  expect(unusedExtras(parseConnection('aws://?role_arn=r&region_name=x'))).toEqual([]);
  expect(unusedExtras(null)).toEqual([]);
});

test('a profile that is not there is named without a connection as well', () => {
  const world = {
    env: { AWS_PROFILE: 'nope' },
    files: { config: '', credentials: '' },
    secretsBackends: [],
  };
  const s3 = s3Connection({ id: '', given: null }, world);
  const bare = { id: '', variable: 'AIRFLOW_CONN_', given: null, isSet: false, s3 };
  expect(workerWarnings([bare], { ...world, paths: parseXComPaths('s3://b') })).toEqual([
    expect.stringMatching(/^Without a connection a worker takes the profile nope, which/),
  ]);
});
