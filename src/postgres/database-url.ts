import { percentDecode } from '../lib/percent-decode.ts';
import type { Secret } from '../lib/secret.ts';
import { secret } from '../lib/secret.ts';

/** The name of our sessions in `pg_stat_activity`. */
export const APPLICATION_NAME = 'airflow-xcom-exporter';

const SSL_MODES = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
export type SslMode = (typeof SSL_MODES)[number];

/** One of the servers that may have the database. */
export interface DatabaseServer {
  /** A name, an address, or the folder of a Unix socket, which starts with a slash. */
  readonly host: string;
  readonly port: number;
}

const SESSION_ATTRIBUTES = [
  'any',
  'read-write',
  'read-only',
  'primary',
  'standby',
  'prefer-standby',
] as const;
/** libpq's `target_session_attrs`: the kind of server that is wanted among several. */
export type SessionAttributes = (typeof SESSION_ATTRIBUTES)[number];

/** The address of the metadata database and the way to log in. Null: not given. */
export interface DatabaseSettings extends DatabaseServer {
  /** The servers that are tried after the first, in this order. */
  readonly others: readonly DatabaseServer[];
  readonly sessionAttributes: SessionAttributes;
  readonly user: string;
  readonly database: string;
  readonly password: Secret | null;
  readonly ssl: SslMode;
  /** Paths of PEM files: the authorities to trust, the client's certificate and its key. */
  readonly sslRootCert: string | null;
  readonly sslCert: string | null;
  readonly sslKey: string | null;
  /** Command-line options for the server's process, such as `-csearch_path=airflow`. */
  readonly options: string | null;
  readonly connectTimeoutSeconds: number | null;
  readonly applicationName: string;
}

/** The keywords of a connection under libpq's names, each with the given text. */
export type LibpqKeywords = Readonly<
  Partial<Record<(typeof KEYWORDS)[number] | 'application_name' | UnfollowedKeyword, string>>
>;

/**
 * The keywords that the exporter does not follow, with libpq's variables. They point to a file or an address, and a
 * worker's driver follows them.
 */
export const UNFOLLOWED_KEYWORDS = { service: 'PGSERVICE', passfile: 'PGPASSFILE', hostaddr: 'PGHOSTADDR' };
export type UnfollowedKeyword = keyof typeof UNFOLLOWED_KEYWORDS;

const KEYWORDS = [
  'host',
  'port',
  'user',
  'password',
  'dbname',
  'sslmode',
  'sslrootcert',
  'sslcert',
  'sslkey',
  'options',
  'connect_timeout',
  'target_session_attrs',
] as const;

const variableByKeyword: Readonly<Record<(typeof KEYWORDS)[number], string>> = {
  host: 'PGHOST',
  port: 'PGPORT',
  user: 'PGUSER',
  password: 'PGPASSWORD',
  dbname: 'PGDATABASE',
  sslmode: 'PGSSLMODE',
  sslrootcert: 'PGSSLROOTCERT',
  sslcert: 'PGSSLCERT',
  sslkey: 'PGSSLKEY',
  options: 'PGOPTIONS',
  connect_timeout: 'PGCONNECT_TIMEOUT',
  target_session_attrs: 'PGTARGETSESSIONATTRS',
};

/**
 * The grammar of SQLAlchemy's `make_url` (engine/url.py), not of RFC 3986: a password may contain `/`, `#` and `?` as
 * they are. There are two differences: host and database are percent-decoded too, and there may be several hosts, as in
 * libpq.
 */
const urlPattern =
  /^(?<dialect>\w+)(?:\+\w+)?:\/\/(?:(?<user>[^:/]*)(?::(?<password>[^@]*))?@)?(?<hosts>[^/?]*)(?:\/(?<dbname>[^?]*))?(?:\?(?<query>.*))?$/s;

/** A host, which may be an IPv6 address in brackets, and the text of its port. */
const hostPattern = /^(?:\[(?<ipv6>[^\]]+)\]|(?<host>[^:[\]]*))(?::(?<port>[^:]*))?$/;

/** Other systems that SQLAlchemy knows. A message does not repeat other words, which may be the start of a password. */
const OTHER_DIALECTS: readonly string[] = [
  'mysql',
  'mariadb',
  'sqlite',
  'mssql',
  'oracle',
  'cockroachdb',
  'redshift',
];

/**
 * The keywords in a SQLAlchemy or libpq URL of Postgres, whatever its driver. No message repeats any part of the URL
 * except the name of the database system.
 *
 * @throws {RangeError} when the text is not a URL, or is a URL of another database system.
 */
export function parseDatabaseUrl(url: string): LibpqKeywords {
  if (/^\s*["']/.test(url))
    throw new RangeError('has quotes around it, which are part of the text: give it without');
  const parts = urlPattern.exec(url.trim())?.groups;
  if (parts === undefined) {
    throw new RangeError('is not a database URL: write postgresql://user:password@host:5432/airflow');
  }
  const { dialect = '', user, password, hosts = '', dbname, query } = parts;
  const given = new URLSearchParams(query);
  // After a second @, host or name would be the end of a password, and messages would show it.
  if (`${hosts}${dbname ?? ''}`.includes('@') || [...given].some(isTorn))
    throw new RangeError('has another @ after the first: in a user, a password or a name it is written %40');
  if (dialect !== 'postgresql' && dialect !== 'postgres') {
    const named = OTHER_DIALECTS.includes(dialect) ? `a ${dialect} database` : 'another kind of database';
    throw new RangeError(
      `names ${named}: only Postgres is supported (postgresql://user:password@host:5432/airflow)`,
    );
  }
  const names = [...KEYWORDS, 'application_name', ...Object.keys(UNFOLLOWED_KEYWORDS)];
  const fromQuery = names.map((name) => [name, given.get(name)]);
  const fromUrl = Object.entries({ user, password, ...listedHosts(hosts.split(',')), dbname }).map(
    ([name, value]) => [name, value === undefined ? null : percentDecode(value)],
  );
  const asyncpgSsl = given.get('ssl');
  return Object.fromEntries(
    [
      ['sslmode', asyncpgSsl === 'true' ? 'require' : asyncpgSsl],
      // As in libpq, a parameter wins over the part of the URL with the same meaning.
      ...fromUrl,
      ...fromQuery,
      ...Object.entries(queryHosts(given)),
    ].filter(([, value]) => value !== null && value !== ''),
  ) as LibpqKeywords;
}

/** Whether a parameter is the rest of a password that contains a question mark. */
function isTorn([name, value]: readonly [string, string]): boolean {
  return (
    name.includes('@') ||
    (value.includes('@') && !['user', 'password', 'options', 'application_name'].includes(name))
  );
}

/** Splits hosts with ports into libpq's two keywords. */
function listedHosts(hosts: readonly string[]): { readonly host: string; readonly port?: string } {
  const found = hosts.map((text) => {
    const groups = hostPattern.exec(text)?.groups;
    if (groups === undefined)
      throw new RangeError('has a host or port that is none: write host:5432, or [::1]:5432');
    return groups;
  });
  const host = found.map((one) => one['ipv6'] ?? one['host'] ?? '').join(',');
  return found.some((one) => one['port'] !== undefined)
    ? { host, port: found.map((one) => one['port'] ?? '').join(',') }
    : { host };
}

/** The hosts in SQLAlchemy's own form, `host=a:5432&host=b:5433`; a single host may have that form as well. */
function queryHosts(given: URLSearchParams): { readonly host?: string; readonly port?: string } {
  const hosts = given.getAll('host');
  const isIntegrated = hosts.length > 1 || hosts.some((one) => /^[\w.-]*:\d*$/.test(one));
  return isIntegrated ? listedHosts(hosts) : {};
}

/** The keywords in libpq's own variables. A worker's driver reads them for everything that its URL leaves out. */
export function libpqVariables(env: Readonly<Record<string, string | undefined>>): {
  readonly keywords: LibpqKeywords;
  readonly names: readonly string[];
} {
  const set = KEYWORDS.filter((keyword) => (env[variableByKeyword[keyword]] ?? '') !== '');
  return {
    keywords: Object.fromEntries(set.map((keyword) => [keyword, env[variableByKeyword[keyword]]])),
    names: set.map((keyword) => variableByKeyword[keyword]),
  };
}

/** @throws {RangeError} when a keyword has an impossible value, or the user is missing. */
export function databaseSettings(keywords: LibpqKeywords): DatabaseSettings {
  const { user, password, sslmode, sslrootcert } = keywords;
  if (user === undefined && keywords.service !== undefined)
    throw new RangeError(
      'names a service, which the exporter does not follow: write what it stands for, as postgresql://user:password@host:5432/airflow',
    );
  if (user === undefined)
    throw new RangeError('names no user: write postgresql://user:password@host:5432/airflow');
  const [first, ...others] = servers(keywords);
  const isSystem = sslrootcert === 'system';
  if (isSystem && sslmode !== undefined && sslmode !== 'verify-full')
    throw new RangeError('has sslrootcert=system, with which sslmode can only be verify-full');
  return {
    ...first,
    others,
    sessionAttributes: oneOf(
      SESSION_ATTRIBUTES,
      keywords.target_session_attrs ?? 'any',
      'target_session_attrs',
    ),
    user,
    database: keywords.dbname ?? user,
    password: password === undefined ? null : secret(password),
    ssl: sslMode(sslmode ?? (isSystem ? 'verify-full' : 'prefer')),
    sslRootCert: isSystem ? null : (sslrootcert ?? null),
    sslCert: keywords.sslcert ?? null,
    sslKey: keywords.sslkey ?? null,
    options: keywords.options ?? null,
    connectTimeoutSeconds: wholeNumber(keywords.connect_timeout, { name: 'connect_timeout', most: 3_600 }),
    applicationName: keywords.application_name ?? APPLICATION_NAME,
  };
}

/** The servers to try. As in libpq, a single port is the port of every host. */
function servers({
  host = 'localhost',
  port = '',
}: LibpqKeywords): readonly [DatabaseServer, ...DatabaseServer[]] {
  const hosts = host.split(',');
  // Messages would show such a host, and it may be the rest of a password.
  if (hosts.some((one) => /[\s;&#='"]/.test(one.trim())))
    throw new RangeError('has a host with a character that no host has: write host:5432, or [::1]:5432');
  const ports = port.split(',');
  if (ports.length > 1 && ports.length !== hosts.length)
    throw new RangeError('names several ports, and not as many as hosts');
  const [first = { host: 'localhost', port: 5432 }, ...rest] = hosts.map((one, index) => {
    const text = (ports.length > 1 ? ports[index] : ports[0]) ?? '';
    const number = wholeNumber(text === '' ? undefined : text, { name: 'port', most: 65_535 });
    return { host: one.trim() === '' ? 'localhost' : one.trim(), port: number ?? 5432 };
  });
  return [first, ...rest];
}

/** The database as a URL that is safe to show. */
export function describeDatabase(settings: DatabaseSettings): string {
  const { user, password, others, database, ssl, sessionAttributes } = settings;
  const credentials = password === null ? user : `${user}:${String(password)}`;
  const places = [settings, ...others].map(placeOf).join(',');
  const attributes = sessionAttributes === 'any' ? '' : `&target_session_attrs=${sessionAttributes}`;
  // The text after such a character was another option, and may be a secret.
  const name = database.replace(/[\s;,&#='"].*$/s, '***');
  return `postgresql://${credentials}@${places}/${name}?sslmode=${ssl}${attributes}`;
}

function placeOf({ host, port }: DatabaseServer): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function sslMode(text: string): SslMode {
  // `allow` tries without TLS first, then with it. It accepts the same connections as `prefer`; the exporter does not
  // choose the order.
  return oneOf(SSL_MODES, text === 'allow' ? 'prefer' : text, 'sslmode');
}

function oneOf<Known extends string>(all: readonly Known[], text: string, name: string): Known {
  const found = all.find((known) => known === text);
  if (found === undefined) throw new RangeError(`has an unknown ${name}: choose one of ${all.join(', ')}`);
  return found;
}

function wholeNumber(
  text: string | undefined,
  limits: { readonly name: string; readonly most: number },
): number | null {
  if (text === undefined) return null;
  // Zero and less mean "no limit" to libpq.
  if (limits.name === 'connect_timeout' && /^(?:0|-\d+)$/.test(text)) return null;
  const number = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (number < 1 || number > limits.most) {
    throw new RangeError(`has a wrong ${limits.name}: it must be a whole number from 1 to ${limits.most}`);
  }
  return number;
}
