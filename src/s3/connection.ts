import type { S3ClientConfig } from '@aws-sdk/client-s3';
import { S3Client } from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { setTimeout } from 'node:timers/promises';
import type { Secret } from '../lib/secret.ts';
import type { Proxies, Way } from './agents.ts';
import { openAgents } from './agents.ts';
import type { ContainerAgent } from './container-agent.ts';
import { AgentFailure, askAgent } from './container-agent.ts';

/**
 * Whose the credentials are. `workers`: Airflow's connection gives keys or a role, and the workers have the same.
 * `exporter`: this process has its own from elsewhere, and what is refused to them says nothing of the workers.
 */
export type Asker = 'workers' | 'exporter';

/** Where object storage is and who asks. Null: not said, the default of the AWS SDK is meant. */
export interface S3Connection extends Way {
  readonly asker: Asker;
  readonly region: string | null;
  readonly endpoint: string | null;
  readonly accessKeyId: string | null;
  readonly secretAccessKey: Secret | null;
  readonly sessionToken: Secret | null;
  /** The profile of AWS's files that is asked for what is not said. */
  readonly profile: string | null;
  /** Those that it holds; null: none, or others go before them. */
  readonly profileKeys: ProfileKeys | null;
  /** Null: none is assumed. */
  readonly role: AssumedRole | null;
  readonly forcePathStyle: boolean;
  /** Whether a PUT brings a checksum along that the storage did not ask for. */
  readonly sendsChecksums: boolean;
  readonly variants: EndpointVariants;
  /** Asked by the default chain behind all else; null: there is none. */
  readonly agent: ContainerAgent | null;
}

export interface ProfileKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: Secret;
  readonly sessionToken: Secret | null;
}

/** Other endpoints of AWS's, by the names of the SDK. What is not said is not asked. */
export interface EndpointVariants {
  readonly useAccelerateEndpoint?: true;
  readonly useDualstackEndpoint?: true;
  readonly useFipsEndpoint?: true;
}

/** What STS is asked for. */
export interface AssumedRole {
  readonly arn: string;
  /** Null: that of AWS, or what AWS's own variables say. */
  readonly endpoint: string | null;
  readonly proxies: Proxies;
  readonly arguments: { readonly RoleArn: string; readonly RoleSessionName: string };
}

const connectTimeoutMs = 2_000;

/**
 * One attempt may take half of what the whole call may, so that a second one still fits. `requestTimeout` covers
 * the wait for the headers, `socketTimeout` every later silence.
 *
 * @throws {Error} when the file of certificate authorities cannot be read.
 */
export function openTransport(
  connection: S3Connection,
  limits: { readonly requestTimeoutMs: number; readonly concurrency: number },
): NodeHttpHandler {
  const attemptMs = Math.ceil(limits.requestTimeoutMs / 2);
  return new NodeHttpHandler({
    connectionTimeout: Math.min(connectTimeoutMs, attemptMs),
    requestTimeout: attemptMs,
    // Without it the timeout is a warning and the request goes on.
    throwOnRequestTimeout: true,
    socketTimeout: attemptMs,
    ...openAgents(connection, { keepAlive: true, maxSockets: limits.concurrency }),
  });
}

/**
 * Else the SDK reads its files of credentials once in the life of the process, and a reload would not find other keys in
 * them. Its default chain takes this of the client's configuration, whose type does not name it.
 */
export const READ_FILES_ANEW = { ignoreCache: true };

/** The default of the SDK takes longer to give up on an agent than a request may last. Its type does not name these. */
const ASK_AGENT_TWICE = { maxRetries: 1, timeout: 1_000 };
const chainMs = 4_000;

/** The keys as the SDK takes them; undefined lets it look through its default chain. */
export function staticCredentials(
  connection: S3Connection,
): { accessKeyId: string; secretAccessKey: string; sessionToken?: string } | undefined {
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
 * `cacheMiddleware` is left off: it takes effect only for calls without options, hence without an abort signal,
 * and it shares one context among concurrent calls, in which the endpoint of one bucket may reach another.
 */
export function clientConfig(connection: S3Connection): S3ClientConfig {
  const { endpoint, region, profile, role, agent, variants } = connection;
  const credentials = staticCredentials(connection);
  const common: S3ClientConfig = {
    ...READ_FILES_ANEW,
    ...(profile === null ? {} : { profile }),
    region: region ?? 'us-east-1',
    followRegionRedirects: endpoint === null,
    // A second attempt for what passes; more would fill the time in which nothing is known.
    maxAttempts: 2,
    // Else the SDK reads AWS_DEFAULTS_MODE, and has no credentials where that is empty.
    defaultsMode: 'legacy',
    ...(endpoint === null ? {} : { endpoint }),
    forcePathStyle: connection.forcePathStyle,
    // An access point is asked where it is.
    useArnRegion: true,
    // Else the SDK reads AWS's variables, takes no True for true, and refuses both beside an endpoint.
    useDualstackEndpoint: false,
    useFipsEndpoint: false,
    ...variants,
    // A PUT has the checksum that s3fs sends, for a server that takes none fails Airflow's pushes.
    requestChecksumCalculation: connection.sendsChecksums ? 'WHEN_SUPPORTED' : 'WHEN_REQUIRED',
    // Many servers that speak S3 do not know the checksums which AWS has added since.
    ...(endpoint === null ? {} : { responseChecksumValidation: 'WHEN_REQUIRED' }),
    ...(credentials === undefined ? {} : { credentials }),
  };
  const source: S3ClientConfig =
    credentials === undefined && agent !== null ? { ...common, credentials: askedOf(agent, common) } : common;
  return role === null ? source : { ...source, credentials: assumeRole(source, { role, connection }) };
}

/** The SDK's default chain, with what the agent says where the chain would say that nobody has credentials. */
function askedOf(agent: ContainerAgent, chain: S3ClientConfig): NonNullable<S3ClientConfig['credentials']> {
  return async () => {
    const holder = new S3Client({ ...chain, ...ASK_AGENT_TWICE });
    try {
      // An agent that takes the request and never answers is waited for by the SDK without an end.
      const late = setTimeout(chainMs, null, { ref: false });
      const found = await Promise.race([holder.config.credentials(), late]);
      if (found !== null) return found;
      throw (await askAgent(agent)) ?? new AgentFailure(agent, { status: null, code: 'TimeoutError' });
    } catch (error) {
      if (!(error instanceof Error) || error.name !== 'CredentialsProviderError') throw error;
      throw (await askAgent(agent)) ?? error;
    } finally {
      holder.destroy();
    }
  };
}

/** Asked again by the SDK when the credentials are about to expire. The role's source is what we would be without it. */
function assumeRole(
  source: S3ClientConfig,
  { role, connection }: { role: AssumedRole; connection: S3Connection },
): NonNullable<S3ClientConfig['credentials']> {
  return async () => {
    // The SDK has no public way to STS short of one more package; its own providers take this one.
    const { getDefaultRoleAssumer } = await import('@aws-sdk/nested-clients/sts');
    const requestHandler = {
      connectionTimeout: 2_000,
      requestTimeout: 5_000,
      throwOnRequestTimeout: true,
      ...openAgents(
        { authorities: connection.authorities, proxies: role.proxies },
        { keepAlive: false, maxSockets: 1 },
      ),
    };
    const assume = getDefaultRoleAssumer({
      region: source.region ?? 'us-east-1',
      requestHandler,
      ...(role.endpoint === null ? {} : { endpoint: role.endpoint }),
    });
    const holder = new S3Client(source);
    try {
      return await assume(await holder.config.credentials(), role.arguments);
    } finally {
      holder.destroy();
    }
  };
}
