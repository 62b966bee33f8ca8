import type { IncomingMessage, Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { parseConnection } from '../../../src/airflow/connection.ts';
import { s3Connection } from '../../../src/airflow/worker-s3.ts';
import { openObjectStore } from '../../../src/s3/client.ts';
import type { HeadAnswer } from '../../../src/s3/client.ts';
import { recordRequests } from '../../support/s3.ts';

/** One server acts as S3, STS and the agent at once, and notes who signed which request. */
interface World {
  readonly url: string;
  readonly asked: string[];
  readonly roles: URLSearchParams[];
}

type Answer = readonly [status: number, body: string] | 'stall';

const never = new AbortController().signal;
const ROLE = 'arn:aws:iam::123456789012:role/x';
const GIVEN = JSON.stringify({
  AccessKeyId: 'AGENT',
  SecretAccessKey: 's',
  Token: 't',
  Expiration: '2100-01-01T00:00:00Z',
});

let server: Server;
let world: World;
/** Null: STS gives what it is asked for. */
let sts: Answer | null;
let agent: Answer;
/** How many answers of STS do not arrive. */
let lost: number;

beforeEach(async () => {
  const asked: string[] = [];
  const roles: URLSearchParams[] = [];
  sts = null;
  lost = 0;
  agent = [200, GIVEN];
  server = createServer((request, response) => {
    void bodyOf(request).then((body) => {
      const { method = '', url = '' } = request;
      const form = new URLSearchParams(body);
      const answer =
        method === 'POST'
          ? (sts ?? ([200, roleOf(form.get('Action') ?? '')] as const))
          : url === '/credentials'
            ? agent
            : ([404, ''] as const);
      if (method === 'POST') roles.push(form);
      const key = /Credential=([^/]+)/.exec(request.headers.authorization ?? '')?.[1];
      asked.push(method === 'POST' ? 'sts' : url === '/credentials' ? 'agent' : `s3 ${key ?? 'unsigned'}`);
      if (answer === 'stall' || (method === 'POST' && lost-- > 0)) return;
      response.writeHead(answer[0]).end(answer[1]);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  world = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, roles };
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
  return `<${action}Response><${action}Result><Credentials><AccessKeyId>ROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></${action}Result></${action}Response>`;
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}

async function head(
  extra: Readonly<Record<string, unknown>>,
  { keys = true, env = {}, ms = 6_000 }: { keys?: boolean; env?: Record<string, string>; ms?: number } = {},
): Promise<HeadAnswer> {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  const given = parseConnection(
    JSON.stringify({
      ...(keys ? { login: 'AK', password: 'SK' } : {}),
      extra: { endpoint_url: world.url, ...extra },
    }),
  );
  const connection = s3Connection(
    { id: 'Team A', given },
    { env, files: { config: '', credentials: '' }, secretsBackend: null },
  );
  const store = openObjectStore(connection, {
    observer: recordRequests(),
    log: pino({ level: 'silent' }),
    requestTimeoutMs: ms,
  });
  try {
    return await store.head({ bucket: 'xcoms', key: 'k' }, never);
  } finally {
    store.close();
  }
}

const error = (code: string) =>
  `<ErrorResponse><Error><Code>${code}</Code><Message>no</Message></Error></ErrorResponse>`;

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
  ])('STS %s, and nothing is asked of S3', async (_, answer, expected) => {
    sts = answer;
    expect(await head(assumed())).toMatchObject({ kind: 'unknown', ...(expected as object) });
    expect(world.asked.every((who) => who === 'sts')).toBe(true);
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
      detail: 'no credentials: the token file of AWS_WEB_IDENTITY_TOKEN_FILE cannot be read (ENOENT)',
      said: { by: 'credentials' },
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

  test('stalls', async () => {
    agent = 'stall';
    expect(await head({}, { keys: false, env: uri() })).toMatchObject({
      reason: 'unreachable',
      said: { by: 'agent', code: 'TimeoutError', status: null },
    });
  });
});
