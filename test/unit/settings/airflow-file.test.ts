import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Config } from '../../../src/settings/config.ts';
import { ConfigError, requireDatabase, toldSettings } from '../../../src/settings/config.ts';
import { codecFaults, gravestFault } from '../../../src/settings/push-fault.ts';
import { readConfig } from '../../../src/settings/read-config.ts';

const FILE = '/opt/airflow/airflow.cfg';
const PATH_VARIABLE = 'AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH';
const THRESHOLD_VARIABLE = 'AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD';
/** A file as the official chart renders it from its `config:` block. */
const CHART = `[common.io]
xcom_objectstorage_path = s3://aws_default@bucket/xcom
xcom_objectstorage_threshold = 1.048576e+06

[core]
executor = CeleryExecutor
xcom_backend = airflow.providers.common.io.xcom.backend.XComObjectStorageBackend

[database]
sql_alchemy_conn = postgresql://airflow:p%%40ss@$DB_HOST/meta
sql_alchemy_schema = airflow
`;

function read(
  content: string | null,
  { env = {}, argv = [] }: { env?: Readonly<Record<string, string>>; argv?: readonly string[] } = {},
): Config {
  return readConfig({
    argv,
    env: { AIRFLOW_HOME: '/opt/airflow', ...env },
    readFile: (path) => {
      if (path !== FILE || content === null)
        throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
      return content;
    },
  });
}

/** Reads this one file, and no variables but these. */
function readOne(path: string, content: string, env: Readonly<Record<string, string>>): Config {
  return readConfig({
    argv: [],
    env,
    readFile: (asked) => {
      if (asked !== path) throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
      return content;
    },
  });
}

function section(lines: string, env: Readonly<Record<string, string>> = {}): Config {
  return read(`[common.io]\n${lines}\n`, { env });
}

function problemsOf(readIt: () => unknown): readonly string[] {
  try {
    readIt();
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  throw new Error('There should have been a ConfigError');
}

function originOf(config: Config, name: string) {
  return config.origins.find((origin) => origin.name === name);
}

describe("Airflow's own file", () => {
  test.each([
    ['a section that is there twice', '[core]\nx = 1\n[core]\n', 'line 3: the section was there before'],
    ['a %', '[database]\nsql_alchemy_conn = postgresql://a:b%40c@h/db\n', 'a % is written %%'],
    [
      'another section',
      '[Database]\nsql_alchemy_conn = postgresql://a:b@h/db\n',
      'write [database] sql_alchemy_conn',
    ],
    ['no file', null, `Cannot read ${FILE}`],
  ])('that names no database because of %s says so where the database is needed', (_, content, reason) => {
    const config = read(content, { env: { AIRFLOW_CONFIG: FILE } });
    expect(problemsOf(() => requireDatabase(config))).toEqual([
      expect.stringMatching(/^database\.url: not set/),
      expect.stringContaining(reason),
    ]);
  });

  test.each([
    ['~', '/home/airflow/airflow/airflow.cfg', { HOME: '/home/airflow' }],
    ['~ of root', '/airflow/airflow.cfg', { HOME: '/' }],
  ])('is the one in %s where no variable names another', (_, path, env) => {
    const config = readOne(path, '[common.io]\nxcom_objectstorage_threshold = 5\n', env);
    expect(config.xcom.threshold).toBe(5);
    expect(originOf(config, 'airflow.config')).toMatchObject({ shown: path, from: 'no AIRFLOW_HOME' });
    expect(originOf(config, 'xcom.threshold')?.from).toBe(
      `${path}: [common.io] xcom_objectstorage_threshold, line 2`,
    );
    expect([...config.secretFiles.keys()]).toContain(path);
  });

  test.each(['ENOENT', 'EACCES'])(
    'that is not there says nothing where nobody named it (%s), and is watched for',
    (code) => {
      const config = readConfig({
        argv: [],
        env: { HOME: '/home/nonroot' },
        readFile: () => {
          throw Object.assign(new Error('no such file'), { code });
        },
      });
      expect(config.warnings).toEqual([]);
      expect(originOf(config, 'airflow.config')?.shown).toBe('');
      expect([...config.secretFiles]).toContainEqual(['/home/nonroot/airflow/airflow.cfg', null]);
    },
  );

  test.each([
    { HOME: '/home/airflow', AIRFLOW_CONFIG: '' },
    { HOME: '/home/airflow', AIRFLOW_HOME: '/opt/airflow' },
  ])('in the home is not read beside a variable of Airflow: %o', (env) => {
    const path = '/home/airflow/airflow/airflow.cfg';
    const config = readOne(path, '[common.io]\nxcom_objectstorage_threshold = 5\n', env);
    expect(config.xcom.threshold).toBeNull();
  });

  test('gives what no variable gives, with its line', () => {
    const config = read(CHART, { env: { DB_HOST: 'db', AIRFLOW_CONN_AWS_DEFAULT: 'aws://' } });
    expect(config.xcom).toMatchObject({
      threshold: 1_048_576,
      backend: expect.stringContaining('ObjectStorage') as string,
    });
    expect(config.xcom.inForce).toMatchObject({
      connection: 'aws_default',
      bucket: 'bucket',
      prefix: 'xcom',
    });
    expect(config.database).toMatchObject({ host: 'db', database: 'meta', options: '-csearch_path=airflow' });
    expect(config.database?.password?.reveal()).toBe('p@ss');
    expect(originOf(config, 'xcom.path')).toMatchObject({
      origin: 'airflow',
      from: `${FILE}: [common.io] xcom_objectstorage_path, line 2`,
    });
    expect(originOf(config, 'database.url')?.from).toBe(`${FILE}: [database] sql_alchemy_conn, line 10`);
    expect(originOf(config, 'airflow.config')).toMatchObject({
      shown: FILE,
      origin: 'airflow',
      from: 'AIRFLOW_HOME',
    });
    expect(config.secretFiles.get(FILE)?.reveal()).toBe(CHART);
    expect(JSON.stringify(config)).not.toContain('p@ss');
    expect(config.warnings).toEqual([
      `${FILE}: [common.io] xcom_objectstorage_threshold, line 3 is a whole number for Airflow 3.2 and later; before, every push of a task fails: among the values of a Helm chart put it in quotes`,
    ]);
  });

  test.each([
    [{ argv: ['--airflow.config', FILE], env: { AIRFLOW_HOME: '' } }, '--airflow.config'],
    [{ env: { XCOM_EXPORTER_AIRFLOW_CONFIG: FILE, AIRFLOW_HOME: '' } }, 'XCOM_EXPORTER_AIRFLOW_CONFIG'],
    [{ env: { AIRFLOW_CONFIG: '$AIRFLOW_HOME/airflow.cfg' } }, 'AIRFLOW_CONFIG'],
    [{ env: { AIRFLOW_CONFIG: FILE, AIRFLOW_HOME: '/elsewhere' } }, 'AIRFLOW_CONFIG'],
    [{ env: { AIRFLOW_HOME: '~', HOME: '/opt/airflow/' } }, 'AIRFLOW_HOME'],
  ])('is found by %j', (given, from) => {
    const config = read('[common.io]\nxcom_objectstorage_path = s3://b\n', given);
    expect(config.xcom.inForce?.bucket).toBe('b');
    expect(originOf(config, 'airflow.config')).toMatchObject({ shown: FILE, from });
  });

  test('is left alone by an empty setting, and by an empty variable of Airflow', () => {
    expect(read(CHART, { argv: ['--airflow.config='] }).xcom.inForce).toBeNull();
    expect(read(CHART, { env: { AIRFLOW_CONFIG: '' } }).xcom.inForce).toBeNull();
  });

  test('that is not there is none in the home, a warning by AIRFLOW_CONFIG, an error by the setting', () => {
    expect(read(null).warnings).toEqual([]);
    // The exporter must notice when the file appears.
    expect(read(null).secretFiles.get(FILE)).toBeNull();
    expect(read(null, { env: { AIRFLOW_CONFIG: FILE } }).warnings).toEqual([
      expect.stringMatching(/^AIRFLOW_CONFIG: Cannot read .*airflow\.cfg: no such file; .* airflow\.config$/),
    ]);
    expect(problemsOf(() => read(null, { argv: ['--airflow.config', FILE] }))).toEqual([
      `--airflow.config: Cannot read ${FILE}: no such file`,
    ]);
  });

  test('that may not be read is there: the message says who has to be let in, and nothing of mounting', () => {
    const folder = mkdtempSync(join(tmpdir(), 'xcom-airflow-file-'));
    const file = join(folder, 'airflow.cfg');
    writeFileSync(file, '');
    chmodSync(file, 0o000);
    const readDenied = (given: Pick<Parameters<typeof readConfig>[0], 'argv' | 'env'>) =>
      readConfig({
        ...given,
        readFile: (path) => {
          throw Object.assign(new Error(`EACCES: permission denied, open '${path}'`), { code: 'EACCES' });
        },
      });
    try {
      const { warnings } = readDenied({ argv: [], env: { AIRFLOW_CONFIG: file } });
      expect(warnings).toEqual([
        expect.stringMatching(
          /^AIRFLOW_CONFIG: Cannot read .*airflow\.cfg: permission denied: it belongs to \d+:\d+ with mode 0000, and the exporter runs as \d+:\d+: let that user or group read it; what Airflow reads there is not known$/,
        ),
      ]);
      expect(problemsOf(() => readDenied({ argv: ['--airflow.config', file], env: {} }))).toEqual([
        expect.stringMatching(/^--airflow\.config: Cannot read .*: permission denied: it belongs to /),
      ]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test.each([
    ['[core]\nx = 1\n[core]\n', 3, 'the section was there before'],
    ['[core]\nx = 1\nx = 2\n', 3, 'the option was there before in its section'],
    ['[core]\nx\n', 2, 'it is no option, which is written name = value'],
    ['\ufeff[core]\n', 1, 'it does not begin with a [section], or it has a byte order mark'],
  ])('that Airflow refuses gives nothing: %j', (content, line, why) => {
    const message = `${FILE}: line ${line}: ${why}: Airflow refuses the whole file`;
    const config = read(`${content}[common.io]\nxcom_objectstorage_path = s3://b\n`);
    expect(config.xcom.inForce).toBeNull();
    expect(config.warnings).toEqual([`${message}, and the exporter takes nothing from it`]);
    expect(problemsOf(() => read(content, { argv: ['--airflow.config', FILE] }))).toEqual([message]);
  });

  test('that holds bytes which are not UTF-8 is refused as a whole, as by Airflow', () => {
    const content = '[core]\nx = 1\n[database]\n# caf\uFFFD\nsql_alchemy_conn = postgresql://u@h/d\n';
    const config = read(content);
    expect(config.database).toBeNull();
    expect(config.warnings).toEqual([
      `${FILE}: line 4: it holds bytes that are not UTF-8: Airflow refuses the whole file, and the exporter takes nothing from it`,
    ]);
    expect(problemsOf(() => read(content, { argv: ['--airflow.config', FILE] }))).toEqual([
      `${FILE}: line 4: it holds bytes that are not UTF-8: Airflow refuses the whole file`,
    ]);
  });

  test('a variable hides it, an empty one too, and that is said', () => {
    const lines = 'xcom_objectstorage_path = s3://of-file';
    const hidden = `hides ${FILE}: [common.io] xcom_objectstorage_path, line 2`;
    const given = section(lines, { [PATH_VARIABLE]: 's3://of-env' });
    expect(given.xcom.inForce?.bucket).toBe('of-env');
    expect(given.warnings).toEqual([`${PATH_VARIABLE} ${hidden}`]);
    const empty = section(lines, { [PATH_VARIABLE]: '' });
    expect(empty.xcom.inForce).toBeNull();
    expect(empty.warnings).toEqual([
      `${PATH_VARIABLE} is set and empty, which is a value for Airflow, and ${hidden}`,
    ]);
    expect(section(lines, { [PATH_VARIABLE]: 's3://of-file' }).warnings).toEqual([]);
    expect(
      section(lines, { XCOM_EXPORTER_XCOM_PATH: 's3://own', [PATH_VARIABLE]: 's3://x' }).warnings,
    ).toEqual([]);
  });

  test.each([
    [
      'xcom_objectstorage_path = s3://b/x # comment',
      's3://b/x # comment',
      /line 2: Airflow takes a comment behind a value/,
    ],
    ['xcom_objectstorage_path = "s3://b"', '"s3://b"', /line 2 has quotes around its value/],
    [
      'xcom_objectstorage_path = s3://%b',
      undefined,
      /line 2: Airflow cannot read the value, and pushes fail: a % is written %%$/,
    ],
    ['xcom_objectstorage_path = %(nope)s', undefined, /refers to an option that is not in its section$/],
    [
      'XCOM_OBJECTSTORAGE_PATH = s3://b',
      undefined,
      /XCOM_OBJECTSTORAGE_PATH, line 2: Airflow ignores it .*: write \[common\.io\] xcom_objectstorage_path$/,
    ],
    [
      '[core]\nxcom_objectstorage_path = s3://b',
      undefined,
      /\[core\] xcom_objectstorage_path, line 3: Airflow ignores it/,
    ],
    [
      '[Common.IO]\nxcom_objectstorage_path = s3://b',
      undefined,
      /\[Common\.IO\] xcom_objectstorage_path, line 3: Airflow ignores it/,
    ],
  ])('says what Airflow makes of %j', (lines, raw, warning) => {
    const config = section(lines);
    expect(config.xcom.inForce?.raw).toBe(raw);
    expect(config.warnings).toContainEqual(expect.stringMatching(warning));
  });

  test.each([
    ['xcom_objectstorage_threshold = "100"', {}, 'every push fails'],
    ['xcom_objectstorage_threshold = 100%', {}, 'every push fails'],
    ['xcom_objectstorage_compression = 100%', {}, 'every push fails'],
    ['[core]\nxcom_backend = %(gone)s', {}, 'every push fails'],
    [
      '[core]\nxcom_backend = airflow.providers.common.io.xcom.backend.XComObjectStorageBackends',
      {},
      'every push fails',
    ],
    [
      '[core]\nxcom_backend = airflow.providers.common.io.xcom.backend.XComObjectStoreBackend',
      {},
      'pushes may fail',
    ],
    ['xcom_objectstorage_threshold = 1e+3', {}, 'pushes may fail'],
    ['xcom_objectstorage_path = S3://b', {}, 'pushes may fail'],
    // Airflow may get the variable without them.
    ['', { [THRESHOLD_VARIABLE]: '"100"' }, null],
    ['[core]\nexecutor = %(gone)s', {}, null],
    ['xcom_objectstorage_compression = gzip', {}, null],
    ['[core]\nxcom_backend = company.XComBackend', {}, null],
    // The exporter has texts of its own in place of these.
    ['xcom_objectstorage_compression = 100%', { XCOM_EXPORTER_XCOM_COMPRESSION: 'gzip' }, null],
    ['xcom_objectstorage_threshold = "100"', { XCOM_EXPORTER_XCOM_THRESHOLD: '100' }, null],
  ])('with %j and %j: %s', (lines, env, effect) => {
    expect(gravestFault(section(lines, env).xcom.pushFaults, null)?.effect ?? null).toBe(effect);
  });

  test.each([
    ['xcom_objectstorage_compression = snappy', 'every push fails'],
    ['xcom_objectstorage_compression = gzip', null],
    [
      '[common.io]\nxcom_objectstorage_compression = snappy\n[core]\nxcom_backend = airflow.models.xcom.BaseXCom',
      null,
    ],
  ])('the codec of %j: %s', (lines, effect) => {
    expect(codecFaults(section(lines).xcom)[0]?.effect ?? null).toBe(effect);
  });

  test.each([
    ['1_000', 1_000, []],
    [' 5 ', 5, []],
    ['', null, [/is set and empty: Airflow reads a number there, and every push of Airflow fails$/]],
    ['ten', null, [/is no whole number: Airflow reads a number there, and every push of Airflow fails$/]],
    ['1.5', null, [/is no whole number/]],
    ['0x10', null, [/is no whole number/]],
  ])('reads the threshold %j as Airflow does', (text, threshold, warnings) => {
    for (const config of [
      section(`xcom_objectstorage_threshold = ${text}`),
      read(null, { env: { [THRESHOLD_VARIABLE]: text } }),
    ]) {
      expect(config.xcom.threshold).toBe(threshold);
      expect(config.warnings).toEqual(warnings.map((warning) => expect.stringMatching(warning) as string));
    }
  });

  test('a threshold on which Airflow raises is not known, with the reason', () => {
    const config = section('xcom_objectstorage_threshold = 10  # ten');
    expect(config.xcom.threshold).toBeNull();
    expect(toldSettings(config)['xcom.threshold']).toBe(false);
    expect(config.warnings).toEqual([
      `${FILE}: [common.io] xcom_objectstorage_threshold, line 2 is no whole number: Airflow reads a number there, and every push of Airflow fails`,
      expect.stringMatching(/line 2: Airflow takes a comment behind a value as part of it/),
    ]);
  });

  test('a comment behind the value of a variable is named as well, beside every other one', () => {
    const env = {
      [THRESHOLD_VARIABLE]: '1048576  # bytes (1MB)',
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION: 'gzip   # less',
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 's3://aws@bucket/a#b',
      AIRFLOW_CONN_AWS: 'aws://K:S@/',
    };
    const { xcom, warnings } = read(null, { env });
    expect([xcom.threshold, xcom.compression]).toEqual([null, 'gzip   # less']);
    expect(warnings.filter((warning) => /takes a comment/.test(warning))).toEqual([
      expect.stringContaining(`${THRESHOLD_VARIABLE}: Airflow takes`),
      expect.stringContaining('AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION: Airflow takes'),
    ]);
  });

  test('a threshold of ours that is no number is an error all the same', () => {
    const given = { env: { XCOM_EXPORTER_XCOM_THRESHOLD: 'ten' } };
    expect(problemsOf(() => read(null, given))).toEqual([
      'XCOM_EXPORTER_XCOM_THRESHOLD: what is given is not a whole number',
    ]);
  });

  test.each([
    [
      null,
      { AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD: 'cat geheim' },
      'AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD names a command',
    ],
    [
      '[database]\nsql_alchemy_conn = postgresql://u@h/d\n',
      { AIRFLOW__CORE__SQL_ALCHEMY_CONN_CMD: 'cat geheim' },
      'AIRFLOW__CORE__SQL_ALCHEMY_CONN_CMD names a command',
    ],
    [
      '[database]\nsql_alchemy_conn_cmd = cat geheim\n',
      {},
      `${FILE}: [database] sql_alchemy_conn_cmd, line 2 names a command`,
    ],
    [
      '[database]\nsql_alchemy_conn_secret = geheim\n',
      { AIRFLOW__SECRETS__BACKEND: 'a.B' },
      `${FILE}: [database] sql_alchemy_conn_secret, line 2 names an entry of the secrets backend`,
    ],
    [
      null,
      { AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_SECRET: 'geheim' },
      'AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_SECRET names an entry of the secrets backend',
    ],
  ])('runs no command and asks no backend for the database: %j %j', (content, env, named) => {
    const config = read(content, { env });
    const sentence = `database.url: ${named}, which the exporter does not ask: give --database.url or XCOM_EXPORTER_DATABASE_URL, or XCOM_EXPORTER_DATABASE_URL_FILE with the path of a file that holds it, or libpq's PGHOST, PGUSER, PGPASSWORD and PGDATABASE`;
    expect(config.database).toBeNull();
    expect(config.warnings).toEqual([sentence]);
    expect(problemsOf(() => requireDatabase(config))).toEqual([expect.stringMatching(/not set/), sentence]);
    expect(
      read(content, { env: { ...env, XCOM_EXPORTER_DATABASE_URL: 'postgresql://u@h/d' } }).warnings,
    ).toEqual([]);
    expect(read(content, { env: { ...env, PGHOST: 'h', PGUSER: 'u' } }).warnings).toEqual([]);
  });

  test.each(['AIRFLOW__SECRETS__BACKEND', 'AIRFLOW__WORKERS__SECRETS_BACKEND'])(
    'names the secrets backend of %s that a connection may be in',
    (variable) => {
      const env = { [variable]: 'a.Backend', [PATH_VARIABLE]: 's3://my_s3@b' };
      expect(read(null, { env }).warnings).toEqual([
        'Airflow may ask a.Backend first for the connection my_s3, and the exporter does not: give it as AIRFLOW_CONN_MY_S3',
      ]);
      // Airflow asks the backend first, so that the workers may have another connection than this one.
      expect(read(null, { env: { ...env, AIRFLOW_CONN_MY_S3: 'aws://' } }).warnings).toEqual([
        expect.stringMatching(
          /^Airflow may ask a\.Backend for the connection my_s3 before AIRFLOW_CONN_MY_S3.*Give the exporter the same connection as the backend has$/,
        ),
      ]);
    },
  );

  test.each([
    ['airflow', '', '-csearch_path=airflow', 0],
    ['', '', null, 0],
    ['My Schema', '', null, 1],
    ['airflow', '?options=-csearch_path%3Dother', '-csearch_path=other', 0],
    ['airflow', '?options=-cstatement_timeout%3D5', '-cstatement_timeout=5 -csearch_path=airflow', 0],
  ])('takes the schema %j as search path beside %j', (schema, query, options, warnings) => {
    const env = {
      AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: `postgresql://u@h/d${query}`,
      AIRFLOW__DATABASE__SQL_ALCHEMY_SCHEMA: schema,
    };
    expect(read(null, { env }).database?.options).toBe(options);
    expect(read(null, { env }).warnings).toHaveLength(warnings);
    // Airflow's tables are in that schema, even if the URL is the exporter's own.
    const own = { ...env, XCOM_EXPORTER_DATABASE_URL: 'postgresql://u@h/d' };
    expect(read(null, { env: own }).database?.options).toBe(
      schema === 'airflow' ? '-csearch_path=airflow' : null,
    );
  });

  const CONNECT_ARGS = /^database\.url: sql_alchemy_connect_args is not followed by the exporter: /;
  test.each([
    ['a variable', null, { AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS: 'local.connect_args' }],
    ['the file', '[database]\nsql_alchemy_connect_args = local.connect_args\n', {}],
    ['the file as it was', '[core]\nsql_alchemy_connect_args = local.connect_args\n[database]\n', {}],
  ])("warns of what Airflow's driver is given beside the URL, in %s", (_, content, given) => {
    const env = { AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: 'postgresql://u@h/d', ...given };
    expect(read(content, { env }).warnings).toEqual([expect.stringMatching(CONNECT_ARGS)]);
    // A URL of the exporter's own holds everything that it needs.
    const own = { ...env, XCOM_EXPORTER_DATABASE_URL: 'postgresql://u@h/d?sslmode=require' };
    expect(read(content, { env: own }).warnings).toEqual([]);
  });

  /**
   * Run with SQLAlchemy 1.4.53 and 2.1.8: the first URL fails, the second asks for a database with that name, the
   * third fails.
   */
  test.each([
    [' postgresql://u:geheim@h/d', /white space around its URL/],
    ['postgresql://u:geheim@h/d\n', /white space around its URL/],
    ['postgresql://u:geheim@h:/d', /a colon without a port behind it, over which Airflow fails/],
    ['postgresql://u:geheim@[::1]:?sslmode=require', /a colon without a port/],
  ])('warns of a URL that the exporter takes and Airflow does not: %j', (url, warning) => {
    const env = { AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: url };
    expect(read(null, { env }).warnings).toEqual([expect.stringMatching(warning)]);
    expect(read(null, { env: { XCOM_EXPORTER_DATABASE_URL: url } }).warnings).toEqual([]);
  });

  test.each([
    'postgresql://u:geheim@h:5432/d',
    'postgresql://u:geheim@[::1]:5432',
    'postgresql://u:geheim:@h/d?x=a:',
  ])('has no word about the URL %s', (url) => {
    expect(read(null, { env: { AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: url } }).warnings).toEqual([]);
  });

  test('of the driver an empty option says nothing', () => {
    const env = {
      AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: 'postgresql://u@h/d',
      AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS: '',
    };
    expect(read('[database]\nsql_alchemy_connect_args =\n', { env }).warnings).toEqual([]);
  });

  test.each(['"s3://b/x"', "'s3://b/x'", '"0"', '""'])(
    'a variable that holds %s is taken for not told',
    (text) => {
      const env = { [PATH_VARIABLE]: text, [THRESHOLD_VARIABLE]: text, AIRFLOW__CORE__XCOM_BACKEND: text };
      const { xcom, warnings } = read('[common.io]\nxcom_objectstorage_path = s3://of-file\n', { env });
      expect(xcom).toMatchObject({ paths: null, threshold: null, backend: null });
      expect(
        warnings.filter((one) => one.includes('has quotes around its value, and is taken for not told')),
      ).toHaveLength(3);
    },
  );

  test("several paths in Airflow's own option are one path, as for Airflow", () => {
    const list = 's3://aws@a/x,s3://aws@b/y';
    for (const config of [
      section(`xcom_objectstorage_path = ${list}`),
      read(null, { env: { [PATH_VARIABLE]: list } }),
    ]) {
      expect(config.xcom.paths).toMatchObject([{ connection: 'aws', bucket: 'a', prefix: 'x,s3://aws@b/y' }]);
      expect(config.warnings).toContainEqual(
        expect.stringMatching(/^xcom\.path: Airflow takes several paths/),
      );
    }
    const own = read(null, { env: { XCOM_EXPORTER_XCOM_PATH: list, [PATH_VARIABLE]: list } });
    expect(own.xcom.paths?.map(({ bucket }) => bucket)).toEqual(['a', 'b']);
    expect(own.warnings.join()).not.toContain('Airflow takes several');
  });

  test.each([
    ['XCOM_EXPORTER_XCOM_PATH', '"s3://aws@b/x"'],
    ['XCOM_EXPORTER_XCOM_COMPRESSION', '"gzip"'],
    ['XCOM_EXPORTER_XCOM_BACKEND', "'airflow.providers.common.io.xcom.backend.XComObjectStorageBackend'"],
    ['XCOM_EXPORTER_XCOM_THRESHOLD', '"100"'],
    ['XCOM_EXPORTER_CANARY_DAG_ID', '"canary"'],
  ])('%s with quotes around its value is refused, once', (variable, text) => {
    expect(problemsOf(() => read(null, { env: { [variable]: text } }))).toEqual([
      `${variable}: has quotes around its value, which are part of it: give it without`,
    ]);
  });

  test('a URL in quotes is named as such where it was given, and nothing of it said', () => {
    const url = '"postgresql://u:geheim@h/d"';
    const config = read(null, { env: { AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: url } });
    expect(problemsOf(() => requireDatabase(config))).toEqual([
      expect.stringMatching(/not set/),
      expect.stringMatching(
        /^database\.url: AIRFLOW__DATABASE__SQL_ALCHEMY_CONN has quotes around its value/,
      ),
    ]);
    expect(problemsOf(() => read(null, { env: { XCOM_EXPORTER_DATABASE_URL: url } }))).toEqual([
      'XCOM_EXPORTER_DATABASE_URL: has quotes around its value, which are part of it: give it without',
    ]);
  });

  test.each([
    ['xcom_objectstore_path = s3://b', 'xcom_objectstore_path', 'xcom_objectstorage_path'],
    ['xcom_objectstorge_threshold = 5', 'xcom_objectstorge_threshold', 'xcom_objectstorage_threshold'],
    [
      'xcom_objectstorage_compresion = gzip',
      'xcom_objectstorage_compresion',
      'xcom_objectstorage_compression',
    ],
  ])('a misspelt option is named by the one that is meant: %s', (line, key, meant) => {
    expect(section(line).warnings).toEqual([
      `${FILE}: [common.io] ${key}, line 2: Airflow ignores it without a word: write [common.io] ${meant}`,
    ]);
  });

  test.each(['xcom_objectstorage_path_cmd', 'xcom_objectstorage_threshold_secret'])(
    'Airflow runs no command and asks no secrets backend for %s',
    (key) => {
      const meant = key.replace(/_(?:cmd|secret)$/, '');
      expect(section(`${key} = cat /x`).warnings).toEqual([
        `${FILE}: [common.io] ${key}, line 2: Airflow ignores it without a word, since it takes ${meant} from no command and no secrets backend: write [common.io] ${meant}`,
      ]);
    },
  );

  test('options of other sections that are near those of XComs are nobody’s concern', () => {
    expect(
      read('[mine]\nxcom_path = x\n[core]\nxcom_backends = x\ndefault_pool_task_slot_count = 1\n').warnings,
    ).toEqual([
      `${FILE}: [core] xcom_backends, line 4: Airflow ignores it without a word: write [core] xcom_backend`,
    ]);
  });

  test('an option of one team in the file is read by nobody', () => {
    expect(read('[team_a=common.io]\nxcom_objectstorage_path = s3://b\n').warnings).toEqual([
      `${FILE}: [team_a=common.io] xcom_objectstorage_path, line 2: Airflow ignores it without a word: write [common.io] xcom_objectstorage_path`,
    ]);
  });

  test('names a place in which a variable is not set, and not the variable', () => {
    const env = { AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: 'postgresql://u:${geheim}@h/d' };
    expect(read(null, { env }).warnings).toEqual([
      'AIRFLOW__DATABASE__SQL_ALCHEMY_CONN names a variable in ${…} that is not set here: give it as well, as Airflow has it',
    ]);
    expect(read(null, { env: { ...env, geheim: 'x' } }).warnings).toEqual([]);
  });

  test('expands variables in what the environment says, as Airflow does', () => {
    const env = {
      AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: 'postgresql://${DB_USER}:${DB_PASSWORD}@h/d',
      DB_USER: 'u',
      DB_PASSWORD: 'geheim',
    };
    const config = read(null, { env });
    expect(config.database?.user).toBe('u');
    expect(config.database?.password?.reveal()).toBe('geheim');
    expect(JSON.stringify([config.origins, config.warnings])).not.toContain('geheim');
  });
});
