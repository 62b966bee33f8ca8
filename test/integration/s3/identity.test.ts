import type { IncomingMessage, Server } from 'node:http';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { AwsFiles } from '../../../src/airflow/aws-profile.ts';
import { parseConnection } from '../../../src/airflow/connection.ts';
import { s3Connection } from '../../../src/airflow/worker-s3.ts';
import { openObjectStore } from '../../../src/s3/client.ts';
import type { HeadAnswer } from '../../../src/s3/client.ts';
import type { S3Connection } from '../../../src/s3/connection.ts';
import { openDownloads } from '../../../src/s3/download.ts';
import { recordRequests } from '../../support/s3.ts';
import { isSignedWith } from '../../support/sigv4.ts';

/** One server acts as S3, STS and the agent at once, and notes who signed which request. */
interface World {
  readonly url: string;
  readonly asked: string[];
  /** The secret and the session token that each request proves, in the order of `asked`; null: none of the known. */
  readonly proofs: { readonly secret: string | null; readonly token: string | null }[];
  readonly roles: URLSearchParams[];
}

type Answer = readonly [status: number, body: string, headers?: Readonly<Record<string, string>>] | 'stall';

const never = new AbortController().signal;
const ROLE = 'arn:aws:iam::123456789012:role/x';
/** The secrets that a request may be signed with. */
const SECRETS = ['SK', 'VARIABLE_SK', 'PROFILE_SK', 'AGENT_SK', 'ROLE_SK'];
const GIVEN = JSON.stringify({
  AccessKeyId: 'AGENT',
  SecretAccessKey: 'AGENT_SK',
  Token: 'AGENT_TOKEN',
  Expiration: '2100-01-01T00:00:00Z',
});

let server: Server;
let world: World;
/** Null: STS gives what it is asked for. */
let sts: Answer | null;
let agent: Answer;
let s3: Answer;
/** How many answers of STS do not arrive. */
let lost: number;

beforeEach(async () => {
  const asked: string[] = [];
  const proofs: World['proofs'] = [];
  const roles: URLSearchParams[] = [];
  sts = null;
  lost = 0;
  agent = [200, GIVEN];
  s3 = [404, ''];
  server = createServer((request, response) => {
    void bodyOf(request).then((body) => {
      const { method = '', url = '' } = request;
      const form = new URLSearchParams(body);
      const answer =
        method === 'POST'
          ? (sts ?? ([200, roleOf(form.get('Action') ?? '')] as const))
          : url === '/credentials'
            ? agent
            : s3;
      if (method === 'POST') roles.push(form);
      const key = /Credential=([^/]+)/.exec(request.headers.authorization ?? '')?.[1];
      proofs.push({
        secret: SECRETS.find((secret) => isSignedWith(secret, request, body)) ?? null,
        token: request.headers['x-amz-security-token']?.toString() ?? null,
      });
      asked.push(method === 'POST' ? 'sts' : url === '/credentials' ? 'agent' : `s3 ${key ?? 'unsigned'}`);
      if (answer === 'stall' || (method === 'POST' && lost-- > 0)) return;
      response.writeHead(answer[0], answer[2]).end(answer[1]);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  world = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, proofs, roles };
  vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/nowhere');
  vi.stubEnv('AWS_CONFIG_FILE', '/nowhere');
});

afterEach(async () => {
  vi.unstubAllEnvs();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

function roleOf(action: string): string {
  return `<${action}Response><${action}Result><Credentials><AccessKeyId>ROLE</AccessKeyId><SecretAccessKey>ROLE_SK</SecretAccessKey><SessionToken>ROLE_TOKEN</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></${action}Result></${action}Response>`;
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}

interface Identity {
  readonly keys?: boolean;
  readonly env?: Record<string, string>;
  readonly files?: AwsFiles;
}

function connectionOf(
  extra: Readonly<Record<string, unknown>>,
  { keys = true, env = {}, files = { config: '', credentials: '' } }: Identity = {},
): S3Connection {
  const given = parseConnection(
    JSON.stringify({
      ...(keys ? { login: 'AK', password: 'SK' } : {}),
      extra: { endpoint_url: world.url, ...extra },
    }),
  );
  return s3Connection({ id: 'Team A', given }, { env, files, secretsBackends: [] });
}

async function head(
  extra: Readonly<Record<string, unknown>>,
  {
    keys = true,
    env = {},
    files,
    ms = 6_000,
    opened = () => {},
  }: Identity & { ms?: number; opened?: () => void } = {},
): Promise<HeadAnswer> {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  const connection = connectionOf(extra, { keys, env, ...(files === undefined ? {} : { files }) });
  const store = openObjectStore(connection, {
    observer: recordRequests(),
    log: pino({ level: 'silent' }),
    requestTimeoutMs: ms,
  });
  opened();
  try {
    return await store.head({ bucket: 'xcoms', key: 'k' }, never);
  } finally {
    store.close();
  }
}

const error = (code: string) =>
  `<ErrorResponse><Error><Code>${code}</Code><Message>no</Message></Error></ErrorResponse>`;

describe('S3 is asked with the secret and the session token', () => {
  const profile =
    '[default]\naws_access_key_id = PK\naws_secret_access_key = PROFILE_SK\naws_session_token = PROFILE_TOKEN';
  const variables = {
    AWS_ACCESS_KEY_ID: 'VK',
    AWS_SECRET_ACCESS_KEY: 'VARIABLE_SK',
    AWS_SESSION_TOKEN: 'VARIABLE_TOKEN',
  };

  test.each<[string, Readonly<Record<string, unknown>>, Identity, World['proofs'][number]]>([
    ['of the connection, without a token', {}, {}, { secret: 'SK', token: null }],
    ['of the connection', { aws_session_token: 'TOKEN' }, {}, { secret: 'SK', token: 'TOKEN' }],
    [
      'of the connection, beside a profile and variables',
      {},
      { env: variables, files: { config: '', credentials: profile } },
      { secret: 'SK', token: null },
    ],
    [
      'of the variables',
      {},
      { keys: false, env: variables },
      { secret: 'VARIABLE_SK', token: 'VARIABLE_TOKEN' },
    ],
    [
      'of a profile',
      {},
      { keys: false, files: { config: '', credentials: profile } },
      { secret: 'PROFILE_SK', token: 'PROFILE_TOKEN' },
    ],
  ])('%s', async (_, extra, identity, proof) => {
    await head({ region_name: 'eu-west-1', ...extra }, identity);
    // The second request looks for the bucket.
    expect(world.proofs).toEqual([proof, proof]);
  });

  test('of the agent', async () => {
    const env = { AWS_CONTAINER_CREDENTIALS_FULL_URI: `${world.url}/credentials` };
    await head({}, { keys: false, env });
    const [, ...proofs] = world.proofs;
    const ofAgent = { secret: 'AGENT_SK', token: 'AGENT_TOKEN' };
    expect(proofs).toEqual([ofAgent, ofAgent]);
  });

  test('of the role, for which STS is asked with those of the connection', async () => {
    const sts = { endpoint_url: world.url };
    await head({ aws_session_token: 'TOKEN', role_arn: ROLE, service_config: { sts } });
    const ofRole = { secret: 'ROLE_SK', token: 'ROLE_TOKEN' };
    expect(world.proofs).toEqual([{ secret: 'SK', token: 'TOKEN' }, ofRole, ofRole]);
  });
});

describe('a role', () => {
  const assumed = () => ({ role_arn: ROLE, service_config: { sts: { endpoint_url: world.url } } });

  test('is asked for with all that the connection says, and signs what goes to S3', async () => {
    await head({
      ...assumed(),
      assume_role_kwargs: {
        ExternalId: 'ext',
        DurationSeconds: 900,
        PolicyArns: [{ arn: 'arn:aws:iam::1:policy/p' }],
        Tags: [{ Key: 'team', Value: 'a' }],
        TransitiveTagKeys: ['team'],
        SourceIdentity: 'airflow',
      },
    });
    expect(Object.fromEntries(world.roles[0] ?? [])).toMatchObject({
      Action: 'AssumeRole',
      RoleArn: ROLE,
      RoleSessionName: 'airflow_team-a',
      ExternalId: 'ext',
      DurationSeconds: '900',
      'PolicyArns.member.1.arn': 'arn:aws:iam::1:policy/p',
      'Tags.member.1.Key': 'team',
      'TransitiveTagKeys.member.1': 'team',
      SourceIdentity: 'airflow',
    });
    expect([...new Set(world.asked)]).toEqual(['sts', 's3 ROLE']);
  });

  test.each<[string, Answer, unknown]>([
    [
      'refuses',
      [403, error('AccessDenied')],
      {
        reason: 'denied',
        detail: 'no credentials: STS answered AccessDenied (403)',
        said: { by: 'sts', code: 'AccessDenied', status: 403 },
      },
    ],
    [
      'is out of order',
      [500, error('InternalFailure')],
      { reason: 'server_error', said: { by: 'sts', status: 500 } },
    ],
    [
      'asks for fewer requests',
      [400, error('Throttling')],
      { reason: 'throttled', detail: 'no credentials: STS answered Throttling (400)', said: { by: 'sts' } },
    ],
    [
      'is not reached, for a proxy shows a page',
      [403, '<html>denied</html>', { 'content-type': 'text/html', server: 'squid/6.1' }],
      {
        reason: 'denied',
        detail: 'no credentials: in place of STS a proxy answered no code (403) from squid/6.1',
        said: { by: 'proxy', status: 403 },
      },
    ],
  ])('STS %s, and nothing is asked of S3', async (_, answer, expected) => {
    sts = answer;
    expect(await head(assumed())).toMatchObject({ kind: 'unknown', ...(expected as object) });
    expect([...new Set(world.asked)]).toEqual(['sts']);
  });

  test('the certificate authorities are gone by then', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'authorities-'));
    const file = join(folder, 'ca.pem');
    writeFileSync(file, rootCertificates[0] ?? '');
    const answer = await head(assumed(), {
      env: { AWS_CA_BUNDLE: file },
      opened: () => {
        rmSync(folder, { recursive: true });
      },
    });
    expect(answer).toMatchObject({
      reason: 'denied',
      detail: `no credentials: ${file} cannot be read (ENOENT)`,
      said: { by: 'credentials', code: 'ENOENT' },
    });
  });

  test('STS that nobody answers for', async () => {
    const extra = { role_arn: ROLE, service_config: { sts: { endpoint_url: 'http://127.0.0.1:1' } } };
    expect(await head(extra)).toMatchObject({
      reason: 'unreachable',
      detail: 'no credentials: STS did not answer: ECONNREFUSED',
      said: { by: 'sts', code: 'ECONNREFUSED', status: null },
    });
  });

  test('STS that never answers is not S3 that never does', async () => {
    sts = 'stall';
    expect(await head(assumed(), { ms: 1_000 })).toMatchObject({
      reason: 'timeout',
      detail: 'no credentials in 1000 ms',
      said: { by: 'credentials' },
    });
  });
});

describe('a web identity', () => {
  test('without its token', async () => {
    const env = { AWS_ROLE_ARN: ROLE, AWS_WEB_IDENTITY_TOKEN_FILE: '/no/token' };
    expect(await head({}, { keys: false, env })).toMatchObject({
      reason: 'denied',
      detail: 'no credentials: /no/token cannot be read (ENOENT)',
      said: { by: 'credentials', code: 'ENOENT' },
    });
    expect(world.asked).toEqual([]);
  });

  test('that STS refuses', async () => {
    sts = [400, error('InvalidIdentityToken')];
    const env = {
      AWS_ROLE_ARN: ROLE,
      AWS_WEB_IDENTITY_TOKEN_FILE: import.meta.filename,
      AWS_ENDPOINT_URL_STS: world.url,
    };
    expect(await head({}, { keys: false, env })).toMatchObject({
      reason: 'denied',
      said: { by: 'sts', code: 'InvalidIdentityToken', status: 400 },
    });
    expect([...new Set(world.asked)]).toEqual(['sts']);
  });

  test('that STS refuses beside an agent that refuses too is a refusal of STS', async () => {
    sts = [400, error('InvalidIdentityToken')];
    agent = [404, '{"code":"NoIdFound","message":"no"}'];
    const env = {
      AWS_ROLE_ARN: ROLE,
      AWS_WEB_IDENTITY_TOKEN_FILE: import.meta.filename,
      AWS_ENDPOINT_URL_STS: world.url,
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${world.url}/credentials`,
    };
    expect(await head({}, { keys: false, env })).toMatchObject({
      reason: 'denied',
      said: { by: 'sts', code: 'InvalidIdentityToken', status: 400 },
    });
  });

  test.each<[string, Readonly<Record<string, string>>, Readonly<Record<string, string>>]>([
    ['alone', {}, {}],
    ['below a role', { role_arn: ROLE }, {}],
    ['beside an agent', {}, { AWS_CONTAINER_CREDENTIALS_FULL_URI: 'http://127.0.0.1:1/x' }],
  ])('%s: one answer of STS is lost, and the next one counts', async (_, extra, more) => {
    lost = 1;
    const env = {
      AWS_ROLE_ARN: ROLE,
      AWS_WEB_IDENTITY_TOKEN_FILE: import.meta.filename,
      AWS_ENDPOINT_URL_STS: world.url,
      ...more,
    };
    await head({ region_name: 'eu-west-1', ...extra }, { keys: false, env });
    const actions = world.roles.map((asked) => asked.get('Action'));
    expect(actions.slice(0, 2)).toEqual(['AssumeRoleWithWebIdentity', 'AssumeRoleWithWebIdentity']);
    expect(world.asked.at(-1)).toBe('s3 ROLE');
  });

  test.each<[string, Readonly<Record<string, string>>, Readonly<Record<string, string>>]>([
    ['alone', {}, {}],
    ['below a role', { role_arn: ROLE }, {}],
    ['beside an agent', {}, { AWS_CONTAINER_CREDENTIALS_FULL_URI: 'http://127.0.0.1:1/x' }],
  ])('%s is asked for through the proxy of the variables', async (_, extra, more) => {
    const env = {
      AWS_ROLE_ARN: ROLE,
      AWS_WEB_IDENTITY_TOKEN_FILE: import.meta.filename,
      // Only the proxy leads there.
      AWS_ENDPOINT_URL_STS: 'http://sts.example',
      HTTP_PROXY: world.url,
      NO_PROXY: '127.0.0.1',
      ...more,
    };
    await head({ region_name: 'eu-west-1', ...extra }, { keys: false, env });
    expect(world.roles[0]?.get('Action')).toBe('AssumeRoleWithWebIdentity');
    expect(world.asked.at(-1)).toBe('s3 ROLE');
  });
});

describe('the agent of a container', () => {
  const uri = () => ({ AWS_CONTAINER_CREDENTIALS_FULL_URI: `${world.url}/credentials` });

  test('gives credentials', async () => {
    await head({}, { keys: false, env: uri() });
    expect([...new Set(world.asked)]).toEqual(['agent', 's3 AGENT']);
  });

  test('is not asked where the connection has keys', async () => {
    await head({}, { env: uri() });
    expect([...new Set(world.asked)]).toEqual(['s3 AK']);
  });

  test.each<[string, Answer, string, unknown]>([
    [
      'refuses, as that of Pod Identity',
      [
        400,
        '[1]: (AccessDeniedException): Unauthorized Exception! EKS does not have permissions, fault: client',
      ],
      'answered AccessDeniedException (400)',
      { reason: 'denied', said: { code: 'AccessDeniedException', status: 400 } },
    ],
    [
      'refuses, as that of ECS',
      [404, '{"code":"NoIdFound","message":"no"}'],
      'answered NoIdFound (404)',
      { reason: 'denied', said: { code: 'NoIdFound', status: 404 } },
    ],
    [
      'is out of order',
      [500, 'oops'],
      'answered no code (500)',
      { reason: 'server_error', said: { status: 500 } },
    ],
    [
      'asks for fewer requests',
      [429, '{"code":"ThrottlingException","message":"no"}'],
      'answered ThrottlingException (429)',
      { reason: 'throttled', said: { code: 'ThrottlingException', status: 429 } },
    ],
    [
      'says in a success that there are none',
      [200, '{"Code":"AssumeRoleUnauthorizedAccess","Message":"no"}'],
      'answered AssumeRoleUnauthorizedAccess (200)',
      { reason: 'denied', said: { code: 'AssumeRoleUnauthorizedAccess', status: 200 } },
    ],
    [
      'is no agent, but a web server',
      [200, '<html>login</html>'],
      'answered no code (200)',
      { reason: 'server_error', said: { status: 200 } },
    ],
  ])('%s', async (_, answer, words, expected) => {
    agent = answer;
    const found = await head({}, { keys: false, env: uri() });
    expect(found).toMatchObject({ kind: 'unknown', ...(expected as object) });
    expect(found).toMatchObject({
      detail: `no credentials: the agent of credentials at ${new URL(world.url).host} ${words}`,
      said: { by: 'agent' },
    });
    expect([...new Set(world.asked)]).toEqual(['agent']);
  });

  test('does not answer', async () => {
    const env = { AWS_CONTAINER_CREDENTIALS_FULL_URI: 'http://127.0.0.1:2/credentials' };
    expect(await head({}, { keys: false, env })).toMatchObject({
      reason: 'unreachable',
      detail: 'no credentials: the agent of credentials at 127.0.0.1:2 did not answer: ECONNREFUSED',
      said: { by: 'agent', status: null },
    });
  });

  test('is not asked without the file of its token', async () => {
    const env = { ...uri(), AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: '/no/token' };
    expect(await head({}, { keys: false, env })).toMatchObject({
      reason: 'denied',
      detail: 'no credentials: /no/token cannot be read (ENOENT)',
      said: { by: 'credentials' },
    });
    expect(world.asked).toEqual([]);
  });

  test('stalls', async () => {
    agent = 'stall';
    expect(await head({}, { keys: false, env: uri() })).toMatchObject({
      reason: 'timeout',
      said: { by: 'agent', code: 'TimeoutError', status: null },
    });
  });
});

describe('downloads', () => {
  const assumed = () => ({ role_arn: ROLE, service_config: { sts: { endpoint_url: world.url } } });
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'downloads-'));
    s3 = [200, 'hello', { etag: '"0"' }];
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  async function download(extra: Readonly<Record<string, unknown>>, files: readonly string[]) {
    const downloads = openDownloads(connectionOf(extra));
    try {
      const answers = [];
      for (const file of files)
        answers.push(await downloads.download({ bucket: 'xcoms', key: 'k', file }, never));
      return answers;
    } finally {
      downloads.close();
    }
  }

  test('ask for a role once', async () => {
    const files = ['a', 'b', 'c'].map((name) => join(folder, name));
    const md5 = createHash('md5').update('hello').digest('hex');
    expect(await download(assumed(), files)).toEqual(
      files.map(() => ({ kind: 'downloaded', bytes: 5, md5 })),
    );
    expect(readFileSync(files[2] ?? '', 'utf8')).toBe('hello');
    expect(world.asked).toEqual(['sts', 's3 ROLE', 's3 ROLE', 's3 ROLE']);
  });

  test('without a role are refused by STS and not by S3', async () => {
    sts = [403, error('AccessDenied')];
    const [answer] = await download(assumed(), [join(folder, 'a')]);
    expect(answer).toMatchObject({
      reason: 'denied',
      said: { by: 'sts', code: 'AccessDenied', status: 403 },
    });
    expect(new Set(world.asked)).toEqual(new Set(['sts']));
  });

  test.each(['/dev/full', '/no/folder/a'])('that %s does not take are no word of S3', async (file) => {
    await expect(download({}, [file])).rejects.toThrow(new RegExp(`^Cannot write ${file}: (ENOSPC|ENOENT)`));
  });
});
