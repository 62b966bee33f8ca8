import { z } from 'zod';
import { percentDecode } from '../lib/percent-decode.ts';
import { secret } from '../lib/secret.ts';
import type { S3Connection } from '../s3/connection.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** What of an Airflow connection concerns S3. */
export interface AirflowConnection {
  readonly login: string | null;
  readonly password: string | null;
  /** Of no use to Airflow's Amazon provider; null: there is none. */
  readonly host: string | null;
  readonly extra: z.output<typeof extraSchema>;
}

const text = z.string().nullish();
const keysSchema = { aws_access_key_id: text, aws_secret_access_key: text, aws_session_token: text };
const extraSchema = z.object({
  ...keysSchema,
  session_kwargs: z.object(keysSchema).nullish(),
  region_name: text,
  endpoint_url: text,
  role_arn: text,
  assume_role_method: text,
  assume_role_kwargs: z.record(z.string(), z.unknown()).nullish(),
  profile_name: text,
  verify: z.union([z.boolean(), z.string()]).nullish(),
  config_kwargs: z
    .object({ s3: z.object({ addressing_style: text }).nullish(), signature_version: z.unknown().optional() })
    .nullish(),
  service_config: z.object({ s3: z.object({ endpoint_url: text }).nullish() }).nullish(),
  /** Of no use since Amazon provider 8: the endpoint is `endpoint_url`. */
  host: z.unknown().optional(),
});
const jsonSchema = z.object({ login: text, password: text, host: text, extra: z.unknown().optional() });

/** The variable in which Airflow looks for a connection. Source: EnvironmentVariablesBackend. */
export function connectionVariable(connectionId: string): string {
  return `AIRFLOW_CONN_${connectionId.toUpperCase()}`;
}

/**
 * A connection as Airflow writes it into a variable: a URI, or JSON. Source: `Connection.from_json` and
 * `_parse_from_uri`. No message repeats what was given, and none has a cause: a JSON error quotes its input.
 *
 * @throws {RangeError} when it is neither.
 */
export function parseConnection(value: string): AirflowConnection {
  const trimmed = value.trim();
  return trimmed.startsWith('{') ? fromJson(trimmed) : fromUri(trimmed);
}

function fromJson(value: string): AirflowConnection {
  const { login, password, host, extra } = checked(jsonSchema, parseJson(value, 'the connection'));
  const extraValue = typeof extra === 'string' && extra !== '' ? parseJson(extra, 'its "extra"') : extra;
  return {
    login: login ?? null,
    password: password ?? null,
    host: host || null,
    extra: checked(extraSchema, extraValue || {}, 'extra'),
  };
}

function fromUri(value: string): AirflowConnection {
  // As Python's urlsplit: the authority ends at the first slash, question mark or number sign.
  const [, authority, path = '', query] =
    /^[a-z][\w+.-]*:\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?/i.exec(value) ?? [];
  if (authority === undefined) {
    throw new RangeError('is neither JSON nor a URI such as aws://KEY:SECRET@/?region_name=eu-west-1');
  }
  const at = authority.lastIndexOf('@');
  if (at < 0 && `${path}${query ?? ''}`.includes('@')) {
    throw new RangeError(
      'has a key or secret with a slash, question mark or number sign: percent-encode it (%2F)',
    );
  }
  const [login = '', ...password] = authority.slice(0, Math.max(at, 0)).split(':');
  const parameters = new URLSearchParams(query);
  const whole = parameters.get('__extra__');
  const extra =
    whole === null
      ? Object.fromEntries([...parameters].map(([name, parameter]) => [name, jsonOrText(parameter)]))
      : parseJson(whole, 'its "__extra__"');
  return {
    login: percentDecode(login) || null,
    password: percentDecode(password.join(':')) || null,
    host: percentDecode(authority.slice(at + 1)) || null,
    extra: checked(extraSchema, extra, 'extra'),
  };
}

/**
 * How to reach S3 the way Airflow's Amazon provider would with this connection (`AwsConnectionWrapper`, `get_fs`); null
 * is no connection. What neither it nor the environment says is left to the default chain of the SDK.
 *
 * @throws {RangeError} when the endpoint is no HTTP URL.
 */
export function s3Connection(connection: AirflowConnection | null, env: Environment): S3Connection {
  const extra = connection?.extra ?? {};
  const [accessKeyId, secretAccessKey] = keyPair(connection);
  const sessionToken = extra.aws_session_token ?? extra.session_kwargs?.aws_session_token;
  const serviceEndpoint = extra.service_config?.s3?.endpoint_url;
  const endpoint =
    (serviceEndpoint === undefined ? extra.endpoint_url : serviceEndpoint) ??
    firstSet(env, ['AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL']);
  if (endpoint && !/^https?:\/\/[^/@\s]+(?:\/[^@\s]*)?$/i.test(endpoint)) {
    throw new RangeError('has an endpoint that is no URL: write http://host:port or https://host');
  }
  return {
    region: (extra.region_name ?? firstSet(env, ['AWS_REGION', 'AWS_DEFAULT_REGION'])) || null,
    endpoint: endpoint || null,
    accessKeyId,
    secretAccessKey: secretAccessKey === null ? null : secret(secretAccessKey),
    sessionToken: sessionToken && accessKeyId !== null ? secret(sessionToken) : null,
    roleArn: extra.role_arn || null,
    forcePathStyle: pathStyle(extra.config_kwargs?.s3?.addressing_style, endpoint ?? null),
    verify: extra.verify ?? true,
  };
}

/** Extra keys that change how Airflow gets at the bucket and that the exporter does not follow. */
export function unusedExtras(connection: AirflowConnection): readonly string[] {
  const { extra } = connection;
  return [
    ...(extra.profile_name ? ['profile_name'] : []),
    ...(extra.role_arn && (extra.assume_role_method ?? 'assume_role') !== 'assume_role'
      ? ['assume_role_method']
      : []),
    ...(Object.keys(extra.assume_role_kwargs ?? {}).length > 0 ? ['assume_role_kwargs'] : []),
    ...(extra.config_kwargs?.signature_version === 'unsigned' ? ['config_kwargs.signature_version'] : []),
  ];
}

/** Where a connection names a server and the Amazon provider does not look; none: nowhere. */
export function misplacedEndpoint({ host, extra }: AirflowConnection): readonly string[] {
  return [...(extra.host ? ['host in extra'] : []), ...(host === null ? [] : ['its host'])];
}

/** Login and password, else the pair in `extra`, else the deprecated one in `extra.session_kwargs`: only ever a whole pair. */
function keyPair(connection: AirflowConnection | null): readonly [string, string] | readonly [null, null] {
  if (connection === null) return [null, null];
  const { login, password, extra } = connection;
  const pairs = [
    [login, password],
    [extra.aws_access_key_id, extra.aws_secret_access_key],
    [extra.session_kwargs?.aws_access_key_id, extra.session_kwargs?.aws_secret_access_key],
  ] as const;
  for (const [id, key] of pairs) if (id && key) return [id, key];
  return [null, null];
}

/** botocore's rule: `auto` is the path style as soon as an endpoint is given, for a bucket has no host name there. */
function pathStyle(addressingStyle: string | null | undefined, endpoint: string | null): boolean {
  return addressingStyle === 'path' || (addressingStyle !== 'virtual' && !!endpoint);
}

function firstSet(env: Environment, names: readonly string[]): string | null {
  return names.map((name) => env[name]).find((value) => value !== undefined && value !== '') ?? null;
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
