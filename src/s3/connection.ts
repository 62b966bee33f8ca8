import type { S3ClientConfig } from '@aws-sdk/client-s3';
import { S3Client } from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { setTimeout } from 'node:timers/promises';
import type { Secret } from '../lib/secret.ts';
import type { Proxies, Way } from './agents.ts';
import { openAgents } from './agents.ts';
import type { ContainerAgent } from './container-agent.ts';
import { AgentFailure, askAgent, mayHideAgent } from './container-agent.ts';
import { tellCredentials } from './credentials-failure.ts';

/**
 * Whose credentials these are. `workers`: Airflow's connection gives keys or a role, and the workers have the same.
 * `exporter`: this process has its own from elsewhere, or the workers may have others from a secrets backend. Their
 * refusal says nothing about the workers.
 */
export type Asker = 'workers' | 'exporter';

/** The address of object storage and the credentials for it. Null: not configured, so the AWS SDK's default applies. */
export interface S3Connection extends Way {
  readonly asker: Asker;
  readonly region: string | null;
  readonly endpoint: string | null;
  readonly accessKeyId: string | null;
  readonly secretAccessKey: Secret | null;
  readonly sessionToken: Secret | null;
  /** The profile in AWS's files that supplies the settings missing here. */
  readonly profile: string | null;
  /** The keys in that profile; null when it has none or when other keys take precedence. */
  readonly profileKeys: ProfileKeys | null;
  /** Null: no role is assumed. */
  readonly role: AssumedRole | null;
  readonly forcePathStyle: boolean;
  /** Whether a PUT carries a checksum that the storage did not ask for. */
  readonly sendsChecksums: boolean;
  readonly variants: EndpointVariants;
  /** The default chain asks this agent last; null when there is none. */
  readonly agent: ContainerAgent | null;
}

export interface ProfileKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: Secret;
  readonly sessionToken: Secret | null;
}

/** Other endpoints of AWS, by the SDK's names for them. An absent one is not used. */
export interface EndpointVariants {
  readonly useAccelerateEndpoint?: true;
  readonly useDualstackEndpoint?: true;
  readonly useFipsEndpoint?: true;
  /** The host of us-east-1 that has no region in its name. */
  readonly useGlobalEndpoint?: true;
}

/** The request to STS for a role. */
export interface AssumedRole {
  readonly arn: string;
  /** Null: AWS's endpoint, or the endpoint in AWS's own variables. */
  readonly endpoint: string | null;
  readonly proxies: Proxies;
  readonly arguments: { readonly RoleArn: string; readonly RoleSessionName: string };
}

const connectTimeoutMs = 2_000;

/**
 * One attempt may take half of the whole call's time, so that a second one still fits. `requestTimeout` covers the wait
 * for the headers, `socketTimeout` every later silence.
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
    // Without this the timeout is only a warning, and the request goes on.
    throwOnRequestTimeout: true,
    socketTimeout: attemptMs,
    ...openAgents(connection, { keepAlive: true, maxSockets: limits.concurrency }),
  });
}

/**
 * Otherwise the SDK reads its credential files once per process, and a reload would not find new keys in them. The
 * SDK's default chain takes this option from the client's configuration, although its type does not name it.
 */
export const READ_FILES_ANEW = { ignoreCache: true };

/** By default the SDK waits for an agent longer than a request may last. The SDK's type does not name these options. */
const ASK_AGENT_TWICE = { maxRetries: 1, timeout: 1_000 };
const chainMs = 4_000;

/** The keys in the SDK's form; undefined lets the SDK use its default chain. */
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
 * `cacheMiddleware` is left off. It works only for calls without options, hence without an abort signal. It also shares
 * one context among concurrent calls, so the endpoint of one bucket may reach another.
 */
export function clientConfig(connection: S3Connection): S3ClientConfig {
  const { endpoint, region, profile, role, agent, variants } = connection;
  const credentials = staticCredentials(connection);
  const common: S3ClientConfig = {
    ...READ_FILES_ANEW,
    ...(profile === null ? {} : { profile }),
    region: region ?? 'us-east-1',
    followRegionRedirects: endpoint === null,
    // A second attempt helps against brief faults; more attempts would only lengthen the time without an answer.
    maxAttempts: 2,
    // Otherwise the SDK reads AWS_DEFAULTS_MODE, and finds no credentials when that variable is empty.
    defaultsMode: 'legacy',
    ...(endpoint === null ? {} : { endpoint }),
    forcePathStyle: connection.forcePathStyle,
    // An access point is asked in its own region.
    useArnRegion: true,
    // Otherwise the SDK reads AWS's variables, does not accept `True` as true, and refuses both options beside an
    // endpoint.
    useDualstackEndpoint: false,
    useFipsEndpoint: false,
    ...variants,
    // A PUT carries the same checksum as s3fs sends: a server that refuses the checksum also fails Airflow's pushes.
    requestChecksumCalculation: connection.sendsChecksums ? 'WHEN_SUPPORTED' : 'WHEN_REQUIRED',
    // Many S3-compatible servers do not know the checksums that AWS has added.
    ...(endpoint === null ? {} : { responseChecksumValidation: 'WHEN_REQUIRED' }),
    ...(credentials === undefined ? {} : { credentials }),
  };
  const source: S3ClientConfig =
    credentials === undefined && agent !== null ? { ...common, credentials: askedOf(agent, common) } : common;
  return role === null ? source : { ...source, credentials: assumeRole(source, { role, connection }) };
}

/**
 * A client, which sends nothing yet. An ARN is no part of a path: botocore asks for an access point by its host name,
 * whatever the style, also at an endpoint of one's own. The SDK refuses it beside path style.
 */
export function openClient(
  connection: S3Connection,
  more: Pick<S3ClientConfig, 'requestHandler' | 'credentials'>,
): S3Client {
  const client = new S3Client({ ...clientConfig(connection), forcePathStyle: false, ...more });
  tellCredentials(client);
  const { endpointProvider, httpAuthSchemeProvider } = client.config;
  // The SDK itself asks by the path for a name that fits in no host.
  const isPath = ({ Bucket: bucket, ForcePathStyle: isForced }: Styled): boolean =>
    isForced === true || (connection.forcePathStyle && bucket?.startsWith('arn:') !== true);
  const styled = <P extends Styled>(parameters: P): P => ({
    ...parameters,
    ForcePathStyle: isPath(parameters),
  });
  // The choice of a signature resolves the host as well, and fails if a name fits in none.
  Object.assign<S3Client['config'], Partial<S3Client['config']>>(client.config, {
    endpointProvider: (parameters, context) => endpointProvider(styled(parameters), context),
    httpAuthSchemeProvider: (parameters) => httpAuthSchemeProvider(styled(parameters)),
  });
  if (connection.variants.useGlobalEndpoint === true)
    client.middlewareStack.add(followElsewhere, {
      step: 'initialize',
      priority: 'low',
      name: 'followElsewhere',
    });
  return client;
}

/** The parameters of the SDK's rules for hosts that decide on path style. */
interface Styled {
  readonly Bucket?: string | undefined;
  readonly ForcePathStyle?: boolean | undefined;
}

interface Elsewhere {
  name: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
}

/**
 * The global host leads to the region of the bucket, which answers 400 to a signature for us-east-1 and names itself.
 * The SDK signs again for the region that a 301 names, and after a 400 only with this code.
 */
function followElsewhere<Args, Output>(
  next: (args: Args) => Promise<Output>,
): (args: Args) => Promise<Output> {
  let isFollowed = false;
  return async (args) => {
    try {
      return await next(args);
    } catch (error) {
      const refused = Object(error) as Elsewhere;
      const region = refused.$response?.headers?.['x-amz-bucket-region'] ?? 'us-east-1';
      if (refused.$metadata?.httpStatusCode === 400 && region !== 'us-east-1' && !isFollowed) {
        isFollowed = true;
        refused.name = 'IllegalLocationConstraintException';
      }
      throw error;
    }
  };
}

/**
 * The SDK's default chain. When the chain would report that there are no credentials, this reports the agent's answer.
 */
function askedOf(agent: ContainerAgent, chain: S3ClientConfig): NonNullable<S3ClientConfig['credentials']> {
  return async () => {
    const holder = new S3Client({ ...chain, ...ASK_AGENT_TWICE });
    try {
      // Without this limit the SDK waits for ever for an agent that takes the request and never answers.
      const late = setTimeout(chainMs, null, { ref: false });
      const found = await Promise.race([holder.config.credentials(), late]);
      if (found !== null) return found;
      throw (await askAgent(agent)) ?? new AgentFailure(agent, { status: null, code: 'TimeoutError' });
    } catch (error) {
      if (!mayHideAgent(error)) throw error;
      throw (await askAgent(agent)) ?? error;
    } finally {
      holder.destroy();
    }
  };
}

/**
 * The SDK calls this again when the credentials are about to expire. The role is assumed with the credentials we have
 * without it.
 */
function assumeRole(
  source: S3ClientConfig,
  { role, connection }: { role: AssumedRole; connection: S3Connection },
): NonNullable<S3ClientConfig['credentials']> {
  return async () => {
    // Without one more package, the SDK has no public way to STS; its own providers use this one.
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
