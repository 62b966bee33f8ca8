import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { connectionVariable, parseConnection } from '../../../src/airflow/connection.ts';
import { s3Connection } from '../../../src/airflow/worker-s3.ts';

const NO_FILES = { config: '', credentials: '' };

function read(value: string, env: Readonly<Record<string, string>> = {}) {
  const connection = s3Connection(
    { id: 'aws', given: parseConnection(value) },
    { env, files: NO_FILES, secretsBackends: [] },
  );
  return {
    ...connection,
    secretAccessKey: connection.secretAccessKey?.reveal() ?? null,
    sessionToken: connection.sessionToken?.reveal() ?? null,
  };
}

const nothing = {
  asker: 'exporter',
  region: null,
  endpoint: null,
  accessKeyId: null,
  secretAccessKey: null,
  sessionToken: null,
  profile: null,
  role: null,
  forcePathStyle: false,
  authorities: null,
  proxies: { http: null, https: null },
  identityProxies: { http: null, https: null },
  sendsChecksums: true,
  agent: null,
  profileKeys: null,
};

/** Without a region of its own, AWS is asked at the global host of us-east-1. */
function variantsOf({ region, endpoint }: { region: string | null; endpoint: string | null }) {
  const isGlobal = endpoint === null && (region === null || region === 'us-east-1');
  return isGlobal ? { useGlobalEndpoint: true } : {};
}

test('the variable of a connection', () => {
  expect(connectionVariable('aws_default')).toBe('AIRFLOW_CONN_AWS_DEFAULT');
});

describe('a connection', () => {
  test.each([
    ['aws://', nothing],
    ['aws://@/', nothing],
    [
      'aws://KEY:SEC%2FRET%2B@/?region_name=eu-west-1&endpoint_url=http%3A%2F%2F127.0.0.1%3A9000',
      {
        ...nothing,
        asker: 'workers',
        accessKeyId: 'KEY',
        secretAccessKey: 'SEC/RET+',
        region: 'eu-west-1',
        endpoint: 'http://127.0.0.1:9000',
        forcePathStyle: true,
      },
    ],
    [
      'aws://@/?role_arn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&verify=false',
      {
        ...nothing,
        asker: 'workers',
        role: {
          arn: 'arn:aws:iam::1:role/r',
          endpoint: null,
          proxies: nothing.proxies,
          arguments: { RoleArn: 'arn:aws:iam::1:role/r', RoleSessionName: 'airflow_aws' },
        },
      },
    ],
    ['aws://?region_name=eu-west-1', { ...nothing, region: 'eu-west-1' }],
    [
      'aws://K:S@/?aws_session_token=T',
      { ...nothing, asker: 'workers', accessKeyId: 'K', secretAccessKey: 'S', sessionToken: 'T' },
    ],
    [
      'aws://@/?config_kwargs=%7B%22s3%22%3A+%7B%22addressing_style%22%3A+%22path%22%7D%7D',
      { ...nothing, forcePathStyle: true },
    ],
    [
      `aws://K:S@/?__extra__=${encodeURIComponent('{"region_name":"us-east-1","verify":"/etc/ca.pem"}')}`,
      { ...nothing, asker: 'workers', accessKeyId: 'K', secretAccessKey: 'S', region: 'us-east-1' },
    ],
    ['{"conn_type":"aws"}', nothing],
    ['{"conn_type":"aws","extra":""}', nothing],
    ['{"conn_type":"aws","extra":null}', nothing],
    [
      ' {"conn_type":"aws","login":"K","password":"S","extra":{"region_name":"eu-west-1"}}\n',
      { ...nothing, asker: 'workers', accessKeyId: 'K', secretAccessKey: 'S', region: 'eu-west-1' },
    ],
    ['{"extra":"{\\"region_name\\":\\"eu-west-1\\"}"}', { ...nothing, region: 'eu-west-1' }],
    [
      '{"login":"K","extra":{"aws_access_key_id":"K2","aws_secret_access_key":"S2"}}',
      { ...nothing, asker: 'workers', accessKeyId: 'K2', secretAccessKey: 'S2' },
    ],
    [
      '{"login":"K","password":"S","extra":{"aws_access_key_id":"K2","aws_secret_access_key":"S2"}}',
      { ...nothing, asker: 'workers', accessKeyId: 'K', secretAccessKey: 'S' },
    ],
    [
      '{"extra":{"session_kwargs":{"aws_access_key_id":"K","aws_secret_access_key":"S","aws_session_token":"T"}}}',
      { ...nothing, asker: 'workers', accessKeyId: 'K', secretAccessKey: 'S', sessionToken: 'T' },
    ],
    [
      '{"extra":{"endpoint_url":"http://all:1","service_config":{"s3":{"endpoint_url":"http://s3:2"}}}}',
      { ...nothing, endpoint: 'http://s3:2', forcePathStyle: true },
    ],
    // Airflow 2.9.3, 2.11.2, 3.1.8 and 3.4.0b2 read them so: a second :// counts if no @ and no colon stands before
    // it.
    [
      'aws:///?endpoint_url=http://m:9&region_name=eu-west-1',
      { ...nothing, endpoint: 'http://m:9', region: 'eu-west-1', forcePathStyle: true },
    ],
    [
      'AWS://K:S@/?endpoint_url=http://m:9',
      {
        ...nothing,
        asker: 'workers',
        accessKeyId: 'K',
        secretAccessKey: 'S',
        endpoint: 'http://m:9',
        forcePathStyle: true,
      },
    ],
    // For Airflow each parameter is a text, whatever it looks like.
    [
      'aws://?aws_access_key_id=12345678&aws_secret_access_key=87654321&aws_session_token=true&region_name=null',
      {
        ...nothing,
        asker: 'workers',
        accessKeyId: '12345678',
        secretAccessKey: '87654321',
        sessionToken: 'true',
        region: 'null',
      },
    ],
    [
      'aws://?aws_access_key_id=1e400&aws_secret_access_key=12345678901234567890',
      { ...nothing, asker: 'workers', accessKeyId: '1e400', secretAccessKey: '12345678901234567890' },
    ],
    // Python's urlsplit drops these characters.
    [
      'aws://KEY:SE\nCRET@/?region_name=eu-\r\n\twest-1',
      { ...nothing, asker: 'workers', accessKeyId: 'KEY', secretAccessKey: 'SECRET', region: 'eu-west-1' },
    ],
    [
      '{"uri":"aws://KEY:SE\\nCRET@/"}',
      { ...nothing, asker: 'workers', accessKeyId: 'KEY', secretAccessKey: 'SECRET' },
    ],
    ['aws://http://minio:9000/?region_name=eu-west-1', { ...nothing, region: 'eu-west-1' }],
    [
      '{"uri":"aws://K:S@/?region_name=eu-west-1"}',
      { ...nothing, asker: 'workers', accessKeyId: 'K', secretAccessKey: 'S', region: 'eu-west-1' },
    ],
    [
      '{"uri":null,"login":"K","password":"S"}',
      { ...nothing, asker: 'workers', accessKeyId: 'K', secretAccessKey: 'S' },
    ],
    [
      '{"conn_type":"aws","description":"d","host":null,"login":"K","password":"S","schema":"","port":"9000"}',
      { ...nothing, asker: 'workers', accessKeyId: 'K', secretAccessKey: 'S' },
    ],
    [
      '{"extra":{"endpoint_url":"https://all","config_kwargs":{"s3":{"addressing_style":"virtual"}}}}',
      { ...nothing, endpoint: 'https://all' },
    ],
  ])('%s', (value, expected) => {
    expect(read(value)).toEqual({ ...expected, variants: variantsOf(expected) });
  });

  test('is completed by the variables of AWS, and goes before them', () => {
    const env = {
      AWS_DEFAULT_REGION: 'us-east-2',
      AWS_REGION: 'us-west-1',
      AWS_ENDPOINT_URL: 'http://any:1',
      AWS_ENDPOINT_URL_S3: 'http://s3:2',
    };
    expect(read('aws://', env)).toMatchObject({
      region: 'us-east-2',
      endpoint: 'http://s3:2',
      forcePathStyle: true,
    });
    expect(read('aws://?region_name=eu-west-1&endpoint_url=http://own', env)).toMatchObject({
      region: 'eu-west-1',
      endpoint: 'http://own',
    });
    const { AWS_DEFAULT_REGION, AWS_ENDPOINT_URL } = env;
    const world = {
      env: { AWS_DEFAULT_REGION, AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_S3: '' },
      files: NO_FILES,
      secretsBackends: [],
    };
    expect(s3Connection({ id: '', given: null }, world)).toMatchObject({
      region: 'us-east-2',
      endpoint: 'http://any:1',
      secretAccessKey: null,
    });
  });

  test.each([
    ['geheim', /neither JSON nor a URI/],
    ['{"password":"geheim"', /the connection is not valid JSON/],
    ['{"password":"p","extra":"geheim"}', /its "extra" is not valid JSON/],
    ['{"password":["geheim"]}', /wrong password: .*expected string/],
    ['{"extra":["geheim"]}', /wrong extra: .*expected object/],
    [
      '{"extra":{"assume_role_kwargs":{"ExternalId":1234}}}',
      /wrong extra\.assume_role_kwargs\.ExternalId: .*expected string/,
    ],
    ['{"extra":{"region_name":{"geheim":1}}}', /wrong extra\.region_name: .*expected string/],
    ['aws://K:S@/?__extra__=geheim', /its "__extra__" is not valid JSON/],
    ['aws://K:geheim/x@/?region_name=r', /percent-encode/],
    ['aws://K:geheim#x@/?region_name=r', /percent-encode/],
    [
      'aws://K:geheim@/?endpoint_url=http://127.0.0.1:24777&region_name=us-east-1',
      /second ":\/\/", which Airflow refuses, .*: write endpoint_url=http%3A%2F%2F127\.0\.0\.1%3A24777$/,
    ],
    ['aws://K:S@/?endpoint_url=http://u:geheim@h', /: write endpoint_url=http%3A%2F%2Fhost%3Aport$/],
    ['aws://?role_arn=arn:aws:x&endpoint_url=http://m:9', /: write endpoint_url=http%3A%2F%2Fm%3A9$/],
    ['aws://K:geheim@http://minio:9000', /: write endpoint_url=http%3A%2F%2Fhost%3Aport$/],
    ['aws:///?endpoint_url=http://m:9&proxy=http://p', /second ":\/\/"/],
    ['aws://K:geheim', /wrong port, .*Airflow refuses/],
    ['aws://K:S@host:99999/', /wrong port/],
    ['aws://K:gehe[im@/', /a bracket in its key or secret, .*%5B/],
    ['aws_s3://K:geheim@/?region_name=eu-west-1', /neither JSON nor a URI/],
    [
      '{"conn_type":"aws","login":"K","password":"geheim","region_name":"r","endpoint_url":"http://m"}',
      /^has region_name and endpoint_url at the top .* Airflow refuses.* nothing of it: write region_name and endpoint_url inside "extra"$/,
    ],
    [
      '{"aws_access_key_id":"K","aws_secret_access_key":"geheim"}',
      /: write aws_access_key_id and aws_secret_access_key inside "extra"$/,
    ],
    [
      '{"conn_type":"aws","user":"K","password":"geheim"}',
      /^has user at the top .*: write "login" for user$/,
    ],
    ['{"conn_id":"c","login":"K","password":"geheim"}', /^has conn_id at the top .*: leave out conn_id$/],
    [
      '{"login":"K","extra_dejson":{"region_name":"geheim"}}',
      /^has extra_dejson at the top .*: write "extra" for extra_dejson$/,
    ],
    [
      '{"verify":1,"team_name":"geheim","Geheim x":1}',
      /^has verify, team_name and a key .* at the top .*: write verify inside "extra", leave out team_name and a key/,
    ],
    ['{"uri":"aws://K:geheim@/","login":"K"}', /"uri" beside other keys, which Airflow refuses/],
    ['{"uri":"aws://K:geheim@/?endpoint_url=http://m:9"}', /second ":\/\/"/],
    ['{"login":"K","password":"geheim","port":"abc"}', /wrong port, .*Airflow refuses/],
    [
      '[{"id":"1","conn_id":"c","login":"K","password":"geheim","extra_dejson":{},"get_uri":"aws://K:geheim@/"}]',
      /^is what "airflow connections get --output json" prints, .*: give the value of get_uri in it$/,
    ],
    [
      '{"id":"1","conn_id":"c","login":"K","password":"geheim","extra_dejson":{},"get_uri":"aws://K:geheim@/"}',
      /^is what "airflow connections get --output json" prints, .*: give the value of get_uri in it$/,
    ],
    ['["geheim"]', /neither JSON nor a URI/],
    ['aws://K:S@/?endpoint_url=geheim', /endpoint that is no URL/],
    ['aws://K:S@/?endpoint_url=http%3A%2F%2Fu%3Ageheim%40h', /endpoint that is no URL/],
  ])('refuses %s without repeating it', (value, message) => {
    expect(() => read(value)).toThrow(message);
    expect(() => read(value)).toThrow(RangeError);
    expect(() => read(value)).not.toThrow(/geheim/);
  });

  test('shows no secret', () => {
    const connection = s3Connection(
      { id: 'aws', given: parseConnection('aws://K:geheim@/?aws_session_token=geheim2') },
      {
        env: { AWS_CONTAINER_CREDENTIALS_FULL_URI: 'http://a', AWS_CONTAINER_AUTHORIZATION_TOKEN: 'geheim3' },
        files: NO_FILES,
        secretsBackends: [],
      },
    );
    expect(`${inspect(connection)}${JSON.stringify(connection)}`).not.toContain('geheim');
  });
});
