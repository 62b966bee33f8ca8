import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConfigError } from '../../../src/settings/config.ts';
import { readConfig } from '../../../src/settings/read-config.ts';
import {
  databaseSettings,
  describeDatabase,
  libpqVariables,
  parseDatabaseUrl,
} from '../../../src/postgres/database-url.ts';

function read(url: string) {
  const settings = databaseSettings(parseDatabaseUrl(url));
  return { ...settings, password: settings.password?.reveal() ?? null };
}

/** Everything that the exporter says of a URL: its faults, or the settings read from it. */
function sayingOf(variable: string, url: string): string {
  try {
    const { origins, warnings, database } = readConfig({
      argv: [],
      env: { [variable]: url },
      readFile: () => '',
    });
    return JSON.stringify([origins, warnings, database]);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return `${error.message} ${error.problems.join(' ')}`;
  }
}

describe('a database URL', () => {
  test.each([
    'postgresql://airflow:pw@db:5433/meta',
    'postgresql+psycopg2://airflow:pw@db:5433/meta',
    'postgresql+psycopg://airflow:pw@db:5433/meta',
    'postgresql+asyncpg://airflow:pw@db:5433/meta',
    'postgres://airflow:pw@db:5433/meta',
    '  postgresql://airflow:pw@db:5433/meta\n',
    'postgresql:///?host=db&port=5433&user=airflow&password=pw&dbname=meta',
  ])('%s', (url) => {
    expect(read(url)).toEqual({
      host: 'db',
      port: 5433,
      others: [],
      sessionAttributes: 'any',
      user: 'airflow',
      database: 'meta',
      password: 'pw',
      ssl: 'prefer',
      sslRootCert: null,
      sslCert: null,
      sslKey: null,
      options: null,
      connectTimeoutSeconds: null,
      applicationName: 'airflow-xcom-exporter',
    });
  });

  test('defaults are those of libpq', () => {
    expect(read('postgresql://airflow@')).toMatchObject({
      host: 'localhost',
      port: 5432,
      database: 'airflow',
      password: null,
    });
  });

  test('percent-encoded parts', () => {
    expect(read('postgresql://us%40er:p%40ss%2F%3Aw%C3%B6rd@h/d%20b')).toMatchObject({
      user: 'us@er',
      password: 'p@ss/:wörd',
      database: 'd b',
    });
  });

  test('what SQLAlchemy takes in a password as it is', () => {
    expect(read('postgresql://u:a/b?c#d:e%f+g@h/db').password).toBe('a/b?c#d:e%f+g');
  });

  test('hosts', () => {
    expect(read('postgresql://u:p@[2001:db8::1]:6432/db')).toMatchObject({ host: '2001:db8::1', port: 6432 });
    expect(read('postgresql://u:p@[::1]/db')).toMatchObject({ host: '::1', port: 5432 });
    expect(read('postgresql://u:p@/db?host=/var/run/postgresql')).toMatchObject({
      host: '/var/run/postgresql',
    });
    expect(read('postgresql://u:p@%2Fvar%2Frun/db')).toMatchObject({ host: '/var/run' });
  });

  test.each([
    ['postgresql://u@a,b/db', 'a:5432,b:5432'],
    ['postgresql://u@a:1,b:2/db', 'a:1,b:2'],
    ['postgresql://u@a:1,b/db', 'a:1,b:5432'],
    ['postgresql://u@[::1]:1,[::2]:2/db', '[::1]:1,[::2]:2'],
    ['postgresql://u@[::1],b/db', '[::1]:5432,b:5432'],
    ['postgresql://u@/db?host=a:1&host=b:2', 'a:1,b:2'],
    ['postgresql://u@/db?host=a&host=b:2', 'a:5432,b:2'],
    ['postgresql://u@/db?host=a:1', 'a:1'],
    ['postgresql://u@/db?host=a,b&port=1,2', 'a:1,b:2'],
    ['postgresql://u@/db?host=a,b&port=6432', 'a:6432,b:6432'],
    ['postgresql://u@/db?host=/run/a,/run/b', '/run/a:5432,/run/b:5432'],
    [
      'postgresql+psycopg2://u@/db?host=a:1&host=b:2&target_session_attrs=read-write',
      'a:1,b:2',
      'read-write',
    ],
  ])('several hosts: %s', (url, places, attributes = 'any') => {
    const settings = databaseSettings(parseDatabaseUrl(url));
    const query = attributes === 'any' ? '' : `&target_session_attrs=${attributes}`;
    expect(describeDatabase(settings)).toBe(`postgresql://u@${places}/db?sslmode=prefer${query}`);
    expect(settings.sessionAttributes).toBe(attributes);
  });

  test("the system's authorities are asked for in full", () => {
    expect(read('postgresql://u@h/db?sslrootcert=system')).toMatchObject({
      ssl: 'verify-full',
      sslRootCert: null,
    });
  });

  test('of a password that breaks the URL nothing is said', () => {
    const odd = fc.constantFrom(
      '@',
      ':',
      '/',
      '?',
      '#',
      '%',
      '&',
      '=',
      '[',
      ']',
      ' ',
      '"',
      "'",
      '$',
      '\\',
      '%4',
      '@@',
      ':/',
      '?a',
      ',',
      '\n',
    );
    const part = fc.tuple(odd, fc.constantFrom('gehe1m', 'gehe2m', ''));
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 6 }), fc.boolean(), (parts, isAirflows) => {
        const password = `gehe0m${parts.flat().join('')}`;
        const url = `postgresql://airflow:${password}@db.internal:5432/meta?sslmode=require`;
        const said = sayingOf(
          isAirflows ? 'AIRFLOW__DATABASE__SQL_ALCHEMY_CONN' : 'XCOM_EXPORTER_DATABASE_URL',
          url,
        );
        expect(said).not.toMatch(/gehe\dm/);
      }),
      { numRuns: 500 },
    );
  });

  test('parameters', () => {
    const parameters = [
      'sslmode=verify-full',
      'sslrootcert=%2Fetc%2Fca.pem',
      'sslcert=/etc/client.pem',
      'sslkey=/etc/client.key',
      'options=-csearch_path%3Dairflow',
      'connect_timeout=7',
      'application_name=mine',
      'keepalives=1',
    ];
    expect(read(`postgresql://u:p@h/db?${parameters.join('&')}`)).toMatchObject({
      ssl: 'verify-full',
      sslRootCert: '/etc/ca.pem',
      sslCert: '/etc/client.pem',
      sslKey: '/etc/client.key',
      options: '-csearch_path=airflow',
      connectTimeoutSeconds: 7,
      applicationName: 'mine',
    });
  });

  test.each([
    ['sslmode=allow', 'prefer'],
    ['sslmode=disable', 'disable'],
    ['ssl=require', 'require'],
    ['ssl=true', 'require'],
    ['ssl=require&sslmode=verify-ca', 'verify-ca'],
  ])('%s is %s', (query, ssl) => {
    expect(read(`postgresql+asyncpg://u@h/db?${query}`).ssl).toBe(ssl);
  });

  test.each([
    ['postgresql://u:a@geheim@h/db', /another @ after the first.*written %40/],
    ['postgresql://u:a@h/geheim@db', /another @ after the first/],
    ['mysql+mysqldb://root:geheim@h/db', /names a mysql database: only Postgres/],
    ['sqlite:////opt/geheim/airflow.db', /names a sqlite database: only Postgres/],
    ['geheim', /not a database URL/],
    ['postgresql:/u:geheim@h/db', /not a database URL/],
    ['postgresql://u:geheim@h:port/db', /wrong port/],
    ['postgresql://u:geheim@h:0/db', /wrong port/],
    ['postgresql://u:geheim@h:65536/db', /wrong port/],
    ['postgresql://u:geheim@h/db?target_session_attrs=geheim', /unknown target_session_attrs/],
    ['postgresql://u:geheim@a:1,b:2,c/db?port=5,6', /several ports, and not as many as hosts/],
    ['postgresql://u:geheim@[::1/db', /a host or port that is none/],
    ['postgresql://u:p@h password=geheim/db', /a host with a character that no host has/],
    ['postgresql://u:p@h;password=geheim/db', /a host with a character that no host has/],
    ['postgresql://u:p@/db?host=h%20password%3Dgeheim', /a host with a character that no host has/],
    ['postgresql://u:geheim@h/db?sslrootcert=system&sslmode=require', /sslmode can only be verify-full/],
    ['geheim://u:geheim@h/db', /names another kind of database/],
    ['"postgresql://u:geheim@h/db"', /has quotes around it/],
    ['postgresql://:geheim@h/db', /no user/],
    ['postgresql://u:geheim@h/db?sslmode=yes', /unknown sslmode/],
    ['postgresql://u:geheim@h/db?connect_timeout=geheim', /wrong connect_timeout/],
  ])('refuses %s without repeating it', (url, message) => {
    expect(() => read(url)).toThrow(message);
    expect(() => read(url)).toThrow(RangeError);
    expect(() => read(url)).not.toThrow(/geheim/);
  });

  test('any password comes back when it is percent-encoded', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, unit: 'grapheme' }), (password) => {
        expect(read(`postgresql://u:${encodeURIComponent(password)}@h/db`).password).toBe(password);
      }),
    );
  });

  test('shows its password nowhere', () => {
    const settings = databaseSettings(parseDatabaseUrl('postgresql://u:geheim@[::1]/db'));
    expect(describeDatabase(settings)).toBe('postgresql://u:***@[::1]:5432/db?sslmode=prefer');
    expect(`${inspect(settings)}${JSON.stringify(settings)}`).not.toContain('geheim');
  });

  test.each([
    'db\nfernet_key=geheim',
    'db;password=geheim',
    'db geheim',
    'db&sslpassword=geheim',
    'db,password=geheim',
    'db#geheim',
    "db'geheim",
  ])('shows of the database %j nothing behind a break', (name) => {
    const settings = databaseSettings(parseDatabaseUrl(`postgresql://u@h/${encodeURIComponent(name)}`));
    expect(describeDatabase(settings)).toBe('postgresql://u@h:5432/db***?sslmode=prefer');
  });
});

test("libpq's variables are keywords, an empty one is none", () => {
  const env = { PGHOST: 'h', PGPORT: '6432', PGUSER: 'u', PGDATABASE: '', PGSSLMODE: 'require', HOME: '/' };
  expect(libpqVariables(env)).toEqual({
    keywords: { host: 'h', port: '6432', user: 'u', sslmode: 'require' },
    names: ['PGHOST', 'PGPORT', 'PGUSER', 'PGSSLMODE'],
  });
});
