import { z } from 'zod';
import { percentDecode } from '../lib/percent-decode.ts';
import { shownKey } from './shown-key.ts';
import { strayExtras } from './stray-extra.ts';
import type { StrayExtra } from './stray-extra.ts';

/** The part of an Airflow connection that concerns S3. */
export interface AirflowConnection {
  readonly login: string | null;
  readonly password: string | null;
  /** The host, which Airflow's Amazon provider does not use; null: there is none. */
  readonly host: string | null;
  readonly extra: z.output<typeof extraSchema>;
  /** Keys of `extra` that hold JSON in the query of a URI: Airflow gets plain text for them, and its hook raises. */
  readonly texts: readonly string[];
  readonly strays: readonly StrayExtra[];
}

const text = z.string().nullish();
const keysSchema = { aws_access_key_id: text, aws_secret_access_key: text, aws_session_token: text };
/** The arguments that botocore takes for AssumeRole; botocore refuses any other name. */
const roleArgumentsSchema = z.looseObject({
  RoleSessionName: z.string().optional(),
  ExternalId: z.string().optional(),
  DurationSeconds: z.int().optional(),
  Policy: z.string().optional(),
  PolicyArns: z.array(z.object({ arn: z.string() })).optional(),
  Tags: z.array(z.object({ Key: z.string(), Value: z.string() })).optional(),
  TransitiveTagKeys: z.array(z.string()).optional(),
  SourceIdentity: z.string().optional(),
  SerialNumber: z.string().optional(),
  TokenCode: z.string().optional(),
  ProvidedContexts: z.array(z.object({ ProviderArn: z.string(), ContextAssertion: z.string() })).optional(),
});
/** All argument names that are accepted. `RoleArn` is accepted too, but overwritten. */
export const ROLE_ARGUMENTS: readonly string[] = [...Object.keys(roleArgumentsSchema.shape), 'RoleArn'];
/** The other names that botocore 1.43 takes in a client's configuration, besides those of the schema below. */
const OTHER_CONFIG =
  'account_id_endpoint_mode auth_scheme_preference client_context_params connect_timeout defaults_mode disable_request_compression endpoint_discovery_enabled ignore_configured_endpoint_urls inject_host_prefix max_pool_connections parameter_validation read_timeout request_min_compression_size_bytes response_checksum_validation s3_disable_express_session_auth sigv4a_signing_region_set tcp_keepalive user_agent user_agent_appid user_agent_extra';
/** The options of botocore's `Config` that change the way to a bucket. */
const configSchema = z.looseObject({
  region_name: text,
  s3: z
    .object({
      addressing_style: text,
      use_accelerate_endpoint: z.unknown().optional(),
      use_dualstack_endpoint: z.unknown().optional(),
      us_east_1_regional_endpoint: text,
    })
    .nullish(),
  use_dualstack_endpoint: z.unknown().optional(),
  use_fips_endpoint: z.unknown().optional(),
  request_checksum_calculation: text,
  signature_version: z.unknown().optional(),
  client_cert: z.unknown().optional(),
  proxies: z.record(z.string(), z.unknown()).nullish(),
  proxies_config: z.unknown().optional(),
  retries: z
    .looseObject({
      max_attempts: z.number().optional(),
      total_max_attempts: z.number().optional(),
      mode: z.string().optional(),
    })
    .nullish(),
});
/** All options that botocore's `Config` takes; botocore refuses any other name. */
export const CONFIG_OPTIONS: readonly string[] = [
  ...Object.keys(configSchema.shape),
  ...OTHER_CONFIG.split(' '),
];
const extraSchema = z.object({
  ...keysSchema,
  /** The Amazon provider 8.26 takes all of these; later releases take the keys only. */
  session_kwargs: z.object({ ...keysSchema, region_name: text, profile_name: text }).nullish(),
  /** The Amazon provider 8.26 builds a `role_arn` from this and `aws_iam_role`. */
  aws_account_id: z.unknown().optional(),
  aws_iam_role: z.unknown().optional(),
  /** The Amazon provider 8.26 uses this as the ExternalId of a role. */
  external_id: z.unknown().optional(),
  region_name: text,
  endpoint_url: text,
  role_arn: text,
  assume_role_method: text,
  assume_role_kwargs: roleArgumentsSchema.nullish(),
  profile_name: text,
  verify: z.unknown().optional(),
  config_kwargs: configSchema.nullish(),
  service_config: z
    .object({
      s3: z
        .object({ endpoint_url: text, signer: z.unknown().optional(), 'proxy-uri': z.unknown().optional() })
        .nullish(),
      sts: z.object({ endpoint_url: text }).nullish(),
    })
    .nullish(),
  /** Unused since Amazon provider 8: the endpoint is `endpoint_url`. */
  host: z.unknown().optional(),
});
/** The keys of `extra` whose value is an object. */
const NESTED = ['config_kwargs', 'service_config', 'assume_role_kwargs', 'session_kwargs'];
/** Keys whose value is not text. A URI gives a worker text for the boolean `verify`; it follows neither form. */
const NO_TEXTS = [...NESTED, 'verify'];
const jsonSchema = z.object({
  uri: text,
  conn_type: text,
  description: text,
  host: text,
  schema: text,
  login: text,
  password: text,
  port: z.union([z.string(), z.number(), z.boolean()]).nullish(),
  extra: z.unknown().optional(),
});
type JsonKey = keyof typeof jsonSchema.shape;
/** Keys that people write by mistake, each with the name that Airflow uses. */
const MEANT: ReadonlyMap<string, JsonKey> = new Map([
  ['user', 'login'],
  ['username', 'login'],
  ['type', 'conn_type'],
  ['extra_dejson', 'extra'],
]);

/** The variable in which Airflow looks for a connection. Source: EnvironmentVariablesBackend. */
export function connectionVariable(connectionId: string): string {
  return `AIRFLOW_CONN_${connectionId.toUpperCase()}`;
}

/**
 * Parses a connection as Airflow writes it into a variable: a URI, or JSON. Source: `Connection.from_json` and
 * `_parse_from_uri`. Error messages repeat only the names of keys and an endpoint from the input. Errors have no
 * `cause`, because a JSON error quotes its input.
 *
 * @throws {RangeError} when the value is neither, or when Airflow refuses it, so that a worker gets no connection.
 */
export function parseConnection(value: string): AirflowConnection {
  const trimmed = value.trim();
  if (isShown(trimmed))
    throw new RangeError(
      'is what "airflow connections get --output json" prints, which Airflow itself does not read: give the value of get_uri in it',
    );
  return trimmed.startsWith('{') ? fromJson(trimmed) : fromUri(trimmed);
}

/** Whether the value is the output of `airflow connections get`, whole or without its brackets. */
function isShown(value: string): boolean {
  const parsed = /^[[{]/.test(value) ? jsonOrText(value) : null;
  const one: unknown = Array.isArray(parsed) ? parsed[0] : parsed;
  return typeof one === 'object' && one !== null && 'get_uri' in one;
}

function fromJson(value: string): AirflowConnection {
  const given = parseJson(value, 'the connection');
  const { uri, login, password, host, port, extra } = checked(jsonSchema, given);
  const keys = Object.keys(given as object);
  refuseUnknown(keys.filter((key) => !Object.hasOwn(jsonSchema.shape, key)));
  if (uri) {
    if (keys.length > 1)
      throw new RangeError('has "uri" beside other keys, which Airflow refuses: give the URI alone');
    return fromUri(uri);
  }
  // Accepts the same text as Python's `int`.
  if (typeof port === 'string' && !/^(?:\s*[+-]?\d+\s*)?$/.test(port)) throw new RangeError(WRONG_PORT);
  const extraValue = typeof extra === 'string' && extra !== '' ? parseJson(extra, 'its "extra"') : extra;
  return {
    login: login ?? null,
    password: password ?? null,
    host: host || null,
    extra: checked(extraSchema, extraValue || {}, 'extra'),
    texts: [],
    strays: strayExtras(extraValue, Object.keys(extraSchema.shape)),
  };
}

/**
 * Throws when there are unknown keys: Airflow passes each key to the class of the connection, which accepts no others.
 */
function refuseUnknown(keys: readonly string[]): void {
  if (keys.length === 0) return;
  const names = (some: readonly string[]) => listed(some.map(shownKey));
  const renamed = keys.filter((key) => MEANT.has(key));
  const ofExtra = keys.filter((key) => Object.hasOwn(extraSchema.shape, key));
  const others = keys.filter((key) => !renamed.includes(key) && !ofExtra.includes(key));
  const advice = [
    ...renamed.map((key) => `write "${MEANT.get(key) ?? ''}" for ${key}`),
    ...(ofExtra.length === 0 ? [] : [`write ${names(ofExtra)} inside "extra"`]),
    ...(others.length === 0 ? [] : [`leave out ${names(others)}`]),
  ];
  throw new RangeError(
    `has ${names(keys)} at the top of its JSON, which Airflow refuses: a worker takes nothing of it: ${advice.join(', ')}`,
  );
}

function listed(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1) ?? ''}`;
}

const WRONG_PORT = 'has a wrong port, over which Airflow refuses it';

function fromUri(given: string): AirflowConnection {
  // Python's urlsplit removes these characters as well.
  const value = given.replaceAll(/[\t\r\n]/g, '');
  const type = /^([a-z][a-z\d+.-]*):\/\//i.exec(value)?.[1];
  if (type === undefined) {
    throw new RangeError('is neither JSON nor a URI such as aws://KEY:SECRET@/?region_name=eu-west-1');
  }
  const rest = withoutType(value, type.toLowerCase());
  // As in Python's urlsplit, the authority ends at the first slash, question mark or number sign.
  const [, authority = '', path = '', query = '', fragment = ''] =
    /^(?:[a-z][a-z\d+.-]*:)?(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(.*)$/is.exec(rest) ?? [];
  const at = authority.lastIndexOf('@');
  if (at < 0 && `${path}${query}${fragment}`.includes('@')) {
    throw new RangeError(
      'has a key or secret with a slash, question mark or number sign: percent-encode it (%2F)',
    );
  }
  refuseAuthority(authority.slice(0, Math.max(at, 0)), authority.slice(at + 1));
  const [login = '', ...password] = authority.slice(0, Math.max(at, 0)).split(':');
  const parameters = new URLSearchParams(query);
  const whole = parameters.get('__extra__');
  const extra =
    whole === null
      ? Object.fromEntries(
          [...parameters].map(([name, parameter]) => [
            name,
            NO_TEXTS.includes(name) ? jsonOrText(parameter) : parameter,
          ]),
        )
      : parseJson(whole, 'its "__extra__"');
  return {
    login: percentDecode(login) || null,
    password: percentDecode(password.join(':')) || null,
    host: percentDecode(authority.slice(at + 1)) || null,
    extra: checked(extraSchema, extra, 'extra'),
    texts: whole === null ? NESTED.filter((name) => parameters.has(name)) : [],
    strays: strayExtras(extra, Object.keys(extraSchema.shape)),
  };
}

/**
 * Gives the URI without its type, as Airflow splits it. If there is a second "://", Airflow takes the part before it
 * for the type of the connection. Airflow refuses an @ or a colon in that part; an endpoint that is not encoded causes
 * this.
 */
function withoutType(uri: string, type: string): string {
  const schemes = uri.split('://').length - 1;
  if (schemes === 1) return uri.replaceAll(`${type}://`, '//');
  const rest = uri.replaceAll(`${type}://`, '');
  const isTaken = schemes === 2 && !/[@:]/.test(rest.split('://')[0] ?? '');
  if (isTaken) return rest;
  const [, endpoint = 'http://host:port'] =
    /[?&]endpoint_url=(https?:\/\/[^&#@;\s]+)(?=[&#]|$)/.exec(uri) ?? [];
  throw new RangeError(
    `has a second "://", which Airflow refuses, so that no worker has this connection: write endpoint_url=${encodeURIComponent(endpoint)}`,
  );
}

/**
 * Throws for a bracket in key or secret and for a wrong port: urlsplit refuses both, and Airflow has no connection
 * then.
 */
function refuseAuthority(user: string, host: string): void {
  if (/[[\]]/.test(user))
    throw new RangeError(
      'has a bracket in its key or secret, which Airflow refuses: percent-encode it (%5B)',
    );
  const port = /:([^:\]]*)$/.exec(host)?.[1] ?? '';
  if (!/^\d*$/.test(port) || Number(port) > 65_535)
    throw new RangeError(`${WRONG_PORT}; a key and its secret end with an @`);
}

/** The places where the connection names a server but the Amazon provider does not look; empty when there are none. */
export function misplacedEndpoint({ host, extra }: AirflowConnection): readonly string[] {
  return [...(extra.host ? ['host in extra'] : []), ...(host === null ? [] : ['its host'])];
}

function checked<T extends z.ZodType>(schema: T, value: unknown, root = ''): z.output<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const where = [...(root === '' ? [] : [root]), ...(issue?.path ?? []).map(String)].join('.');
  throw new RangeError(`has a wrong ${where === '' ? 'form' : where}: ${issue?.message ?? 'unknown'}`);
}

function parseJson(value: string, what: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    throw new RangeError(`cannot be read: ${what} is not valid JSON`);
  }
}

function jsonOrText(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}
