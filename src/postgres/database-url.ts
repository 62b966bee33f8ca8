import { percentDecode } from '../lib/percent-decode.ts';
import type { Secret } from '../lib/secret.ts';
import { secret } from '../lib/secret.ts';

/** By which our sessions are known in `pg_stat_activity`. */
export const APPLICATION_NAME = 'airflow-xcom-exporter';

const SSL_MODES = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
export type SslMode = (typeof SSL_MODES)[number];

/** Says where the metadata database is and how to enter it. Null: not said. */
export interface DatabaseSettings {
  /** A name, an address, or the folder of a Unix socket, which starts with a slash. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly password: Secret | null;
  readonly ssl: SslMode;
  /** Paths of PEM files: the authorities to trust, the client's certificate and its key. */
  readonly sslRootCert: string | null;
  readonly sslCert: string | null;
  readonly sslKey: string | null;
  /** Command-line options for the server's process, as `-csearch_path=airflow`. */
  readonly options: string | null;
  readonly connectTimeoutSeconds: number | null;
  readonly applicationName: string;
}

/** The keywords of a connection, as libpq calls them, each as the text that was given. */
export type LibpqKeywords = Readonly<Partial<Record<(typeof KEYWORDS)[number] | 'application_name', string>>>;

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
};

/**
 * The grammar of SQLAlchemy's `make_url` (engine/url.py), not of RFC 3986: a password may hold `/`, `#` and `?` as they
 * are. One difference: host and database are percent-decoded too, as libpq does.
 */
const urlPattern =
  /^(?<dialect>\w+)(?:\+\w+)?:\/\/(?:(?<user>[^:/]*)(?::(?<password>[^@]*))?@)?(?:(?:\[(?<ipv6>[^/?\]]+)\]|(?<host>[^/:?]+))?(?::(?<port>[^/?]*))?)?(?:\/(?<dbname>[^?]*))?(?:\?(?<query>.*))?$/s;

/**
 * The keywords in a SQLAlchemy or libpq URL of Postgres, whatever its driver. No message repeats a part of the URL but
 * the name of the database system.
 *
 * @throws {RangeError} when it is no URL, or one of another database system.
 */
export function parseDatabaseUrl(url: string): LibpqKeywords {
  const parts = urlPattern.exec(url.trim())?.groups;
  if (parts === undefined) {
    throw new RangeError('is not a database URL: write postgresql://user:password@host:5432/airflow');
  }
  const { dialect = '', user, password, ipv6, host, port, dbname, query } = parts;
  // The text there would be the end of a password, and be shown.
  if (`${host ?? ''}${port ?? ''}${dbname ?? ''}`.includes('@'))
    throw new RangeError('has another @ after the first: in a user, a password or a name it is written %40');
  if (dialect !== 'postgresql' && dialect !== 'postgres') {
    throw new RangeError(
      `names a ${dialect} database: only Postgres is supported (postgresql://user:password@host:5432/airflow)`,
    );
  }
  const given = new URLSearchParams(query);
  const fromQuery = [...KEYWORDS, 'application_name' as const].map((name) => [name, given.get(name)]);
  const fromUrl = Object.entries({ user, password, host: ipv6 ?? host, port, dbname }).map(
    ([name, value]) => [name, value === undefined ? null : percentDecode(value)],
  );
  const asyncpgSsl = given.get('ssl');
  return Object.fromEntries(
    [
      ['sslmode', asyncpgSsl === 'true' ? 'require' : asyncpgSsl],
      // libpq's order: a parameter wins over the part of the URL that says the same.
      ...fromUrl,
      ...fromQuery,
    ].filter(([, value]) => value !== null && value !== ''),
  ) as LibpqKeywords;
}

/** libpq's own variables, which a worker's driver reads for all that its URL leaves out. */
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

/** @throws {RangeError} when a keyword has a value that cannot be, or the user is missing. */
export function databaseSettings(keywords: LibpqKeywords): DatabaseSettings {
  const { user, host = 'localhost', password } = keywords;
  if (user === undefined)
    throw new RangeError('names no user: write postgresql://user:password@host:5432/airflow');
  if (host.includes(',')) throw new RangeError('names several hosts: name the one to read from');
  return {
    host,
    port: wholeNumber(keywords.port, { name: 'port', most: 65_535 }) ?? 5432,
    user,
    database: keywords.dbname ?? user,
    password: password === undefined ? null : secret(password),
    ssl: sslMode(keywords.sslmode ?? 'prefer'),
    sslRootCert: keywords.sslrootcert ?? null,
    sslCert: keywords.sslcert ?? null,
    sslKey: keywords.sslkey ?? null,
    options: keywords.options ?? null,
    connectTimeoutSeconds: wholeNumber(keywords.connect_timeout, { name: 'connect_timeout', most: 3_600 }),
    applicationName: keywords.application_name ?? APPLICATION_NAME,
  };
}

/** The database as a URL that can be shown. */
export function describeDatabase(settings: DatabaseSettings): string {
  const { user, password, host, port, database, ssl } = settings;
  const credentials = password === null ? user : `${user}:${String(password)}`;
  const place = host.includes(':') ? `[${host}]` : host;
  return `postgresql://${credentials}@${place}:${port}/${database}?sslmode=${ssl}`;
}

function sslMode(text: string): SslMode {
  // `allow` tries without TLS first and with it after: what is wanted is the same, and the order is not ours to choose.
  const mode = SSL_MODES.find((known) => known === (text === 'allow' ? 'prefer' : text));
  if (mode === undefined)
    throw new RangeError(`has an unknown sslmode: choose one of ${SSL_MODES.join(', ')}`);
  return mode;
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
