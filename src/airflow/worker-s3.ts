import { parseUrl } from '../lib/parse-url.ts';
import { secret } from '../lib/secret.ts';
import type { Proxies } from '../s3/agents.ts';
import type { AssumedRole, S3Connection } from '../s3/connection.ts';
import type { ContainerAgent } from '../s3/container-agent.ts';
import { awsProfile } from './aws-profile.ts';
import type { AwsFiles, AwsProfile } from './aws-profile.ts';
import type { AirflowConnection } from './connection.ts';
import { variantsOf } from './endpoint-variants.ts';
import type { SecretsBackend } from './secrets-backend.ts';
import { holderAmong } from './secrets-backend.ts';
import { s3Address, s3EndpointOf, stsAddress, stsEndpointOf } from './worker-endpoint.ts';
import { workerProxies } from './worker-proxies.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** The sources, apart from the connection, that tell a worker how to reach S3. */
export interface WorkerWorld {
  readonly env: Environment;
  readonly files: AwsFiles;
  /** A worker may get a connection from one of them, before all that is known here. */
  readonly secretsBackends: readonly SecretsBackend[];
}

/** A connection by its id. `given` null: nobody gives one, and botocore and `get_fs` continue without a connection. */
export interface GivenConnection {
  readonly id: string;
  readonly given: AirflowConnection | null;
}

interface Keys {
  readonly id: string;
  readonly secret: string;
  readonly token: string | null;
}

const LINK_LOCAL_AGENT = 'http://169.254.170.2';

/**
 * How to reach S3 as Airflow's worker does with this connection. This follows the Amazon provider's
 * `AwsConnectionWrapper` and `get_fs`, and botocore for everything that the connection does not say. If botocore and
 * the SDK for JavaScript differ, as in the order of keys and profiles, botocore's way counts;
 * test/unit/airflow/worker-s3.test.ts has the table.
 *
 * @throws {RangeError} when the endpoint or the proxy is not an HTTP URL.
 */
export function s3Connection({ id, given }: GivenConnection, world: WorkerWorld): S3Connection {
  const { env, files } = world;
  const extra = given?.extra ?? {};
  const profile = profileOf(given, env);
  const own = ownKeysOf(given);
  const keys = own ?? keysOfVariables(given, env);
  // An assumed role gets a new session, and the profile of the connection does not apply to that session.
  const ofSession = awsProfile(files, extra.role_arn ? variableProfile(env) : profile);
  const endpoint = s3EndpointOf(given, { env, profile: ofSession });
  const isHttp = /^https?:\/\/[^/@\s]+(?:\/[^@\s]*)?$/i.test(endpoint);
  if (endpoint !== '' && (parseUrl(endpoint) === null || !isHttp)) {
    throw new RangeError('has an endpoint that is no URL: write http://host:port or https://host');
  }
  const region = regionOf(given, world)?.text || null;
  const variants = endpoint ? {} : variantsOf(given, { env, profile: ofSession, region });
  const addressing = extra.config_kwargs?.s3?.addressing_style ?? ofSession.addressingStyle;
  const profileKeys = keysOfProfile(given, { env, files });
  return {
    asker:
      holderAmong(world.secretsBackends, id) === null && (own !== null || extra.role_arn)
        ? 'workers'
        : 'exporter',
    region,
    endpoint: endpoint || null,
    accessKeyId: keys?.id ?? null,
    secretAccessKey: keys === null ? null : secret(keys.secret),
    sessionToken: keys?.token ? secret(keys.token) : null,
    profile,
    profileKeys,
    // With keys of its own nobody asks STS for an identity, and a variable without a URL does no harm.
    identityProxies:
      keys === null && profileKeys === null
        ? workerProxies(
            stsEndpointOf(null, { env, profile: awsProfile(files, profile) }) ?? stsAddress(region),
            { told: null, env },
          )
        : { http: null, https: null },
    role: roleOf({ id, given }, { region, env, files }),
    forcePathStyle: pathStyle(addressing, endpoint),
    authorities:
      firstSet(env, ['AWS_CA_BUNDLE']) ?? (ofSession.authorities || firstSet(env, ['REQUESTS_CA_BUNDLE'])),
    proxies: proxiesOf(given, { endpoint: endpoint || s3Address(region, variants), env }),
    sendsChecksums: sendsChecksums(given, { env, profile: ofSession }),
    variants,
    agent: agentOf(env),
  };
}

/**
 * The region that a worker uses; null when none is set (an empty one is set). `place`: the key of `extra` or the
 * variable; null for the profile in the files.
 */
export function regionOf(
  given: AirflowConnection | null,
  { env, files }: Pick<WorkerWorld, 'env' | 'files'>,
): { readonly text: string; readonly place: string | null } | null {
  const extra = given?.extra ?? {};
  const said = [
    { text: extra.config_kwargs?.region_name, place: 'config_kwargs.region_name' },
    { text: extra.region_name, place: 'region_name' },
    { text: env['AWS_DEFAULT_REGION'], place: 'AWS_DEFAULT_REGION' },
    { text: awsProfile(files, profileOf(given, env)).region, place: null },
  ].find(({ text }) => text != null);
  return said?.text == null ? null : { text: said.text, place: said.place };
}

/** The profile in the files, from which a worker takes what no other source sets; null: `default`. */
export function profileOf(given: AirflowConnection | null, env: Environment): string | null {
  return given?.extra.profile_name || variableProfile(env);
}

/** The profile that the variables name. The SDK for JavaScript knows only the second variable. */
function variableProfile(env: Environment): string | null {
  return firstSet(env, ['AWS_DEFAULT_PROFILE', 'AWS_PROFILE']);
}

/**
 * Login and password, else the pair in `extra`, else the deprecated pair in `extra.session_kwargs`. Half a pair is
 * skipped.
 */
export function ownKeysOf(given: AirflowConnection | null): Keys | null {
  const { login = null, password = null, extra = {} } = given ?? {};
  const pairs = [
    [login, password],
    [extra.aws_access_key_id, extra.aws_secret_access_key],
    [extra.session_kwargs?.aws_access_key_id, extra.session_kwargs?.aws_secret_access_key],
  ] as const;
  const token = extra.aws_session_token ?? extra.session_kwargs?.aws_session_token ?? null;
  for (const [id, key] of pairs) if (id && key) return { id, secret: key, token };
  return null;
}

/** The keys in the variables. They take precedence over every profile except the one that the connection names. */
function keysOfVariables(given: AirflowConnection | null, env: Environment): Keys | null {
  if (given?.extra.profile_name) return null;
  const id = firstSet(env, ['AWS_ACCESS_KEY_ID']);
  const key = firstSet(env, ['AWS_SECRET_ACCESS_KEY']);
  if (id === null || key === null) return null;
  return { id, secret: key, token: firstSet(env, ['AWS_SECURITY_TOKEN', 'AWS_SESSION_TOKEN']) };
}

/**
 * The keys of the profile in the files. They are read here because the SDK would read the files in its own way. A web
 * identity in the variables takes precedence over these keys.
 */
function keysOfProfile(
  given: AirflowConnection | null,
  { env, files }: Pick<WorkerWorld, 'env' | 'files'>,
): S3Connection['profileKeys'] {
  const hasIdentity = !given?.extra.profile_name && firstSet(env, ['AWS_WEB_IDENTITY_TOKEN_FILE']) !== null;
  const { keys } = awsProfile(files, profileOf(given, env));
  if (keys === null || hasIdentity) return null;
  return {
    accessKeyId: keys.id,
    secretAccessKey: secret(keys.key),
    sessionToken: keys.token ? secret(keys.token) : null,
  };
}

function roleOf(
  { id, given }: GivenConnection,
  { region, env, files }: Pick<WorkerWorld, 'env' | 'files'> & { region: string | null },
): AssumedRole | null {
  const { role_arn: arn, assume_role_kwargs: told } = given?.extra ?? {};
  if (!arn) return null;
  const endpoint = stsEndpointOf(given, { env, profile: awsProfile(files, profileOf(given, env)) });
  return {
    arn,
    endpoint,
    proxies: workerProxies(endpoint ?? stsAddress(region), {
      told: given?.extra.config_kwargs?.proxies,
      env,
    }),
    arguments: { ...told, RoleSessionName: told?.RoleSessionName ?? sessionNameOf(id), RoleArn: arn },
  };
}

/** Builds the session name as `slugify` in `_assume_role` does. */
function sessionNameOf(id: string): string {
  return `airflow_${id.toLowerCase()}`
    .replace(/[^\w+=,.@-]+/g, '-')
    .replace(/-{2,}/g, '-')
    .replace(/-$/, '');
}

function agentOf(env: Environment): ContainerAgent | null {
  const relative = firstSet(env, ['AWS_CONTAINER_CREDENTIALS_RELATIVE_URI']);
  const url =
    relative === null
      ? firstSet(env, ['AWS_CONTAINER_CREDENTIALS_FULL_URI'])
      : `${LINK_LOCAL_AGENT}${relative}`;
  const token = firstSet(env, ['AWS_CONTAINER_AUTHORIZATION_TOKEN']);
  if (url === null) return null;
  return {
    url,
    tokenFile: firstSet(env, ['AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE']),
    token: token === null ? null : secret(token),
  };
}

/** Follows botocore's rule: with an endpoint, `auto` means path style, because a bucket has no host name there. */
function pathStyle(addressingStyle: string | null | undefined, endpoint: string): boolean {
  return addressingStyle === 'path' || (addressingStyle !== 'virtual' && endpoint !== '');
}

/** The proxies of the S3 client: `get_fs` replaces the proxies of the client's configuration by `proxy-uri`. */
function proxiesOf(
  given: AirflowConnection | null,
  { endpoint, env }: { endpoint: string; env: Environment },
): Proxies {
  const uri = given?.extra.service_config?.s3?.['proxy-uri'];
  const told = uri ? { http: uri, https: uri } : given?.extra.config_kwargs?.proxies;
  return workerProxies(endpoint, { told, env });
}

function sendsChecksums(
  given: AirflowConnection | null,
  { env, profile }: { env: Environment; profile: AwsProfile },
): boolean {
  const said =
    given?.extra.config_kwargs?.request_checksum_calculation ??
    firstSet(env, ['AWS_REQUEST_CHECKSUM_CALCULATION']) ??
    profile.checksums;
  return said?.toLowerCase() !== 'when_required';
}

function firstSet(env: Environment, names: readonly string[]): string | null {
  return names.map((name) => env[name]).find((value) => value !== undefined && value !== '') ?? null;
}
