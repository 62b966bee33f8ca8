import type { S3ClientConfig } from '@aws-sdk/client-s3';
import { S3Client } from '@aws-sdk/client-s3';
import type { AssumedRole, S3Connection } from './connection.ts';
import { askAgent, mayHideAgent } from './container-agent.ts';
import { openTransport } from './transport.ts';

/** The SDK calls this again when the credentials are about to expire. */
type Provider = () => Promise<Keys>;
type Keys = Awaited<ReturnType<S3Client['config']['credentials']>>;

/** Nothing gave credentials in time. */
export class CredentialsLate extends Error {
  override readonly name = 'CredentialsLate';

  constructor() {
    super(`no credentials in ${lateMs} ms`);
  }
}

/**
 * One step towards credentials may take this long. The SDK sets no limit of its own, and all later calls would wait for
 * one lost answer.
 */
const lateMs = 4_000;
/** The SDK asks for credentials three times, and a way that is late would take all the time. */
const ONE_TRY = { requestTimeoutMs: lateMs, concurrency: 1, triesAgain: false };

/** By default the SDK waits for an agent longer than a request may last. The SDK's type does not name these options. */
const ASK_AGENT_TWICE = { maxRetries: 1, timeout: 1_000 };

/** The source of the credentials for this connection. `client`: the settings of its client without any credentials. */
export function credentialsOf(
  connection: S3Connection,
  client: S3ClientConfig,
): NonNullable<S3ClientConfig['credentials']> {
  const keys = staticCredentials(connection);
  const source = keys === undefined ? askChain(connection, client) : () => Promise.resolve(keys);
  const { role } = connection;
  return role === null ? (keys ?? source) : assumeRole(source, { role, connection, region: client.region });
}

/** The keys in the SDK's form; undefined lets the SDK use its default chain. */
function staticCredentials(connection: S3Connection): Keys | undefined {
  const { accessKeyId, secretAccessKey } = connection;
  const isOwn = accessKeyId !== null && secretAccessKey !== null;
  const keys = isOwn
    ? { accessKeyId, secretAccessKey, sessionToken: connection.sessionToken }
    : connection.profileKeys;
  if (keys === null) return undefined;
  const { sessionToken } = keys;
  return {
    accessKeyId: keys.accessKeyId,
    secretAccessKey: keys.secretAccessKey.reveal(),
    ...(sessionToken === null ? {} : { sessionToken: sessionToken.reveal() }),
  };
}

/**
 * The SDK's default chain. When the chain would report that there are no credentials, this reports the agent's answer.
 */
function askChain(connection: S3Connection, client: S3ClientConfig): Provider {
  const { agent, authorities, identityProxies } = connection;
  return async () => {
    const requestHandler = openTransport({ authorities, proxies: identityProxies }, ONE_TRY);
    const holder = new S3Client({ ...client, ...(agent === null ? {} : ASK_AGENT_TWICE), requestHandler });
    try {
      return await inTime(holder.config.credentials());
    } catch (error) {
      if (agent === null || !mayHideAgent(error)) throw error;
      throw (await askAgent(agent)) ?? error;
    } finally {
      holder.destroy();
    }
  };
}

/** The role is assumed with the credentials we have without it. */
function assumeRole(
  source: Provider,
  {
    role,
    connection: { authorities },
    region = 'us-east-1',
  }: { role: AssumedRole; connection: S3Connection; region: S3ClientConfig['region'] },
): Provider {
  return async () => {
    const own = await source();
    // Without one more package, the SDK has no public way to STS; its own providers use this one.
    const { getDefaultRoleAssumer } = await import('@aws-sdk/nested-clients/sts');
    const requestHandler = openTransport({ authorities, proxies: role.proxies }, ONE_TRY);
    const assume = getDefaultRoleAssumer({
      region,
      requestHandler,
      ...(role.endpoint === null ? { ignoreConfiguredEndpointUrls: true } : { endpoint: role.endpoint }),
    });
    try {
      return await inTime(assume(own, role.arguments));
    } finally {
      requestHandler.destroy();
    }
  };
}

async function inTime<T>(asked: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new CredentialsLate());
    }, lateMs);
    timer.unref();
  });
  try {
    return await Promise.race([asked, late]);
  } finally {
    clearTimeout(timer);
  }
}
