import { readFileSync, readdirSync } from 'node:fs';
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { parseConnection } from '../../../src/airflow/connection.ts';
import { isS3Path } from '../../../src/airflow/xcom-path.ts';
import { SETTING_INPUTS, SETTING_NAMES, settingsTable } from '../../../src/settings/catalogue.ts';
import { ConfigError, requireDatabase, storageInForce, toldSettings } from '../../../src/settings/config.ts';
import type { Config } from '../../../src/settings/config.ts';
import { logsWords } from '../../../src/settings/logs.ts';
import { parseXComPath } from '../../../src/airflow/xcom-path.ts';
import { sentenceOf } from '../../../src/settings/push-fault.ts';
import { readConfig } from '../../../src/settings/read-config.ts';

interface Given {
  readonly argv?: readonly string[];
  readonly ownFlags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, string>>;
}

function read({ argv = [], ownFlags = [], env = {}, files = {} }: Given): Config {
  return readConfig({
    ownFlags,
    argv,
    env,
    readFile: (path) => {
      const content = files[path];
      if (content === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
      return content;
    },
  });
}

/** Reads the settings file and nothing else. */
function readYaml(content: string): Config {
  return read({ argv: ['--config.file', 'c.yaml'], files: { 'c.yaml': content } });
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
  const found = config.origins.find((origin) => origin.name === name);
  if (found === undefined) throw new Error(`No origin of ${name}`);
  return found;
}

test('a URL with a password in the wrong setting is not said back, wherever it got to', () => {
  const url = 'postgresql://airflow:planted/pass@word@db:5432/airflow';
  const said = SETTING_NAMES.flatMap((name) =>
    ['', '-file'].map((suffix) => {
      try {
        const { origins, warnings } = read({ argv: [`--${name}${suffix}`, url] });
        return JSON.stringify([origins, warnings]);
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        return `${error.message} ${error.problems.join()} ${inspect(error)}`;
      }
    }),
  );
  expect(said.join('\n')).not.toMatch(/planted|pass@word/);
  expect(said.join('\n')).toContain('What is given there may be a secret, so it is not shown');
});

const IN_WRONG_PLACES = [
  ['a connection as JSON', '{"conn_type": "aws", "login": "AKIA", "password": "planted"}'],
  ['a connection as a URI', 'aws://AKIA:planted@/?region_name=eu-west-1'],
  ['a text of libpq', 'host=db user=airflow password=planted dbname=airflow'],
  ['a key and its secret', 'AKIA:planted@bucket/xcom'],
  ['a path with one slash', 's3:/AKIA:planted@bucket/xcom'],
  ['a path with three slashes', 's3:///AKIA:planted@bucket/xcom'],
] as const;

test.each(IN_WRONG_PLACES)('%s in any setting but its own keeps its secret', (_, text) => {
  for (const name of SETTING_NAMES) {
    let said: string;
    try {
      const { origins, warnings } = read({ argv: [`--${name}`, text] });
      said = JSON.stringify([origins, warnings]);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      said = error.problems.join();
    }
    expect(`${name}: ${said}`).not.toContain('planted');
  }
});

test.each(['web.listen-address', 'airflow.connections', 'shard', 'window', 'sample.schedule'])(
  '%s does not say a secret back that has no form of its own',
  (name) => {
    for (const text of ['pla/nted', 'PLANTED * * * * *']) {
      const problems = problemsOf(() => read({ argv: [`--${name}`, text] }));
      expect(problems).toEqual([expect.stringContaining('what is given')]);
      expect(problems.join()).not.toMatch(/planted|pla\/nted/i);
    }
  },
);

test('a flag that is no name is not said back', () => {
  expect(problemsOf(() => read({ argv: ['--{"password"', '--AKIA/planted'] }))).toEqual([
    'argument 1 is no flag of the exporter',
    'argument 2 is no flag of the exporter',
  ]);
});

test.each([
  { XCOM_EXPORTER_XCOM_PATH: 's3://airflow-xcom/xcom?secret_key=planted' },
  { AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 's3://airflow-xcom?X-Amz-Credential=planted' },
  { AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 's3://a/b?token=planted,s3://c/d?sig=planted' },
  { AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 'gs://a/b?sig=planted' },
  { AIRFLOW__LOGGING__REMOTE_LOGGING: 'true', AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER: 's3://l?a=planted' },
  { AWS_ENDPOINT_URL: 'https://minio:9000/?signature=planted' },
  {
    AIRFLOW__LOGGING__REMOTE_LOGGING: 'true',
    AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER: 's3://logs/x',
    AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID: 'aws://K:planted@',
  },
  {
    AIRFLOW__LOGGING__REMOTE_LOGGING: 'true',
    AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER: 's3://logs/x',
    AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID: 'K:planted',
  },
  {
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 's3://a@b/c',
    AIRFLOW__SECRETS__BACKEND: '{"connections_prefix": "planted"}',
  },
])('a secret in the query of a place or an endpoint is not said back: %j', (env) => {
  const { origins, warnings } = read({ env });
  expect(JSON.stringify([origins, warnings])).not.toContain('planted');
});

test('a space at the end of a path is part of it, as Airflow takes it', () => {
  const path = 's3://aws_xcom@airflow-xcom/xcom ';
  const { xcom } = read({ env: { AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: path } });
  expect(xcom.inForce).toMatchObject({ bucket: 'airflow-xcom', prefix: 'xcom ' });
});

test.each(['1_000_000', '+1000000', ' 1000000', '1e6'])(
  'a threshold of %j is read as Airflow reads it',
  (text) => {
    const variable = 'AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD';
    expect(read({ argv: ['--xcom.threshold', text] }).xcom.threshold).toBe(1_000_000);
    expect(read({ env: { [variable]: text } }).xcom.threshold).toBe(1_000_000);
  },
);

test.each(['9223372036854775807', '1000000000000000000'])(
  'the threshold %s, which nothing reaches, is a number',
  (text) => {
    const { xcom } = read({ env: { AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD: text } });
    expect(xcom.threshold).toBe(Number(text));
  },
);

test.each<[string, Readonly<Record<string, string>>, string | null]>([
  ['postgresql://u@h/d?service=airflow', {}, 'service in the URL'],
  ['postgresql://u@h/d?passfile=/x', {}, 'passfile in the URL'],
  ['postgresql://u:p@h/d?passfile=/x', {}, null],
  ['postgresql://u:p@h/d?hostaddr=10.0.0.1', {}, 'hostaddr in the URL'],
  ['postgresql://u@h/d', { PGSERVICE: 'airflow' }, 'PGSERVICE'],
  ['postgresql://u@h/d', { PGPASSFILE: '/x' }, 'PGPASSFILE'],
  ['postgresql://u@h/d', { PGPASSFILE: '/x', PGPASSWORD: 'p' }, null],
  ['postgresql://u:p@h/d', { PGHOSTADDR: '10.0.0.1' }, 'PGHOSTADDR'],
])('what libpq follows and the exporter does not is named: %s %o', (url, variables, place) => {
  const { warnings } = read({ env: { XCOM_EXPORTER_DATABASE_URL: url, ...variables } });
  expect(warnings).toEqual(
    place === null
      ? []
      : [expect.stringMatching(`^database\\.url: ${place} is not followed by the exporter: write `)],
  );
});

test('a service that stands for the database is named where no database is', () => {
  expect(problemsOf(() => requireDatabase(read({ env: { PGSERVICE: 'airflow' } })))).toEqual([
    expect.stringMatching(/^database\.url: not set/),
    expect.stringMatching(/^database\.url: PGSERVICE is not followed/),
  ]);
});

test.each(['PATH_CMD', 'PATH_SECRET', 'THRESHOLD_SECRET'])('no option of XComs has a variable %s', (name) => {
  const variable = `AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_${name}`;
  expect(read({ env: { [variable]: 'cat /x' } }).warnings).toEqual([
    `${variable} is no variable of Airflow's, which ignores it without a word: did you mean ${variable.replace(/_(?:CMD|SECRET)$/, '')}?`,
  ]);
});

test.each([
  ['9'.repeat(309), Number.MAX_VALUE],
  [`-${'9'.repeat(4_300)}`, -Number.MAX_VALUE],
])('a threshold of more digits than a double holds is the last number that it holds', (text, most) => {
  const { xcom } = read({ env: { AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD: text } });
  expect(xcom.threshold).toBe(most);
});

test.each([
  ['s3://c@b/x\nxcom_objectstorage_threshold = 5', [/^xcom\.path holds a line break/, /holds white space/]],
  ['s3://c@b/x\ty', [/^xcom\.path holds a line break or a tab, which Airflow leaves out/]],
  ['s3://c@b/x ', [/^xcom\.path holds white space, which Airflow takes as part of it/]],
  ['s3://c@b/my xcoms', [/^xcom\.path holds white space/]],
  ['s3://c@b/x\u00a0', [/^xcom\.path holds white space/]],
  [' s3://c@b/x\n', []],
  ['s3://c@b/x, s3://c@b/y', [/^xcom\.path: Airflow takes several paths/, /holds white space/]],
])('the path %j is warned of where Airflow reads more or less than is seen', (path, expected) => {
  const env = { AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: path, AIRFLOW_CONN_C: 'aws://' };
  expect(read({ env }).warnings).toEqual(expected.map((one) => expect.stringMatching(one) as string));
});

test.each(['s3://AKIA:a$planted@b/x', 's3://b/x?key=a$planted'])(
  'what may be a part of a secret in a path is not taken for the name of a variable',
  (path) => {
    const said = (() => {
      try {
        return read({ env: { AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: path } }).warnings;
      } catch (error) {
        return (error as ConfigError).problems;
      }
    })();
    expect(JSON.stringify(said)).not.toContain('planted');
  },
);

test.each([
  ['s3://c@$BUCKET/x', '$BUCKET'],
  ['s3://c@b/${STAGE}', '${STAGE}'],
])('a path with a variable that is not set says so: %s', (path, name) => {
  const variable = 'AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH';
  const env = { [variable]: path, AIRFLOW_CONN_C: 'aws://' };
  expect(read({ env }).warnings).toEqual([
    `${variable} holds ${name}, which is not set here: give it as well, as Airflow has it`,
  ]);
  expect(read({ env: { ...env, BUCKET: 'b', STAGE: 'x' } }).warnings).toEqual([]);
});

test.each(['/airflow', 'airflow.example.com', 'localhost:8080/airflow'])(
  "Airflow's address %s gives no links, and stops nothing",
  (text) => {
    const { airflowBaseUrl, warnings } = read({ env: { AIRFLOW__API__BASE_URL: text } });
    expect(airflowBaseUrl).toBeNull();
    expect(warnings).toContainEqual(
      expect.stringMatching(/^AIRFLOW__API__BASE_URL: .*: the status page has no links to Airflow$/),
    );
    expect(problemsOf(() => read({ env: { XCOM_EXPORTER_AIRFLOW_BASE_URL: text } }))).toHaveLength(1);
  },
);

describe('with nothing given', () => {
  test('every setting has its default', () => {
    const { origins, s3, digest, ...config } = read({});
    expect(digest).toBe(read({}).digest);
    expect(config).toEqual({
      database: null,
      databaseFaults: [],
      xcom: {
        paths: null,
        inForce: null,
        threshold: null,
        pushFaults: [],
        oversize: 1_048_576,
        compression: null,
        backend: null,
      },
      windowMs: 86_400_000,
      sampleSchedule: '*/30 * * * * *',
      probe: { schedule: '0 * * * * *', write: true },
      stored: null,
      logs: null,
      tasksRun: null,
      maxDags: 100,
      web: { host: '', port: 10_048, configFile: null },
      stateFile: null,
      ha: 'off',
      shard: { index: 0, count: 1 },
      canaryDagId: 'airflow_xcom_canary',
      airflowBaseUrl: null,
      log: { level: 'info', format: 'json' },
      secretFiles: new Map(),
      warnings: [],
    });
    expect(s3.requestsPerCycle).toBe(500);
    expect([...s3.connections.keys()]).toEqual(['']);
    const untold = origins.filter(({ origin }) => origin !== 'default');
    expect(untold.map(({ name, shown, origin, from }) => [name, shown, origin, from])).toEqual([
      [
        'xcom.path',
        '',
        'unknown',
        'give AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH=s3://[conn_id@]bucket[/prefix] or xcom.path',
      ],
      [
        'xcom.threshold',
        '',
        'unknown',
        'give AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD=<bytes, or -1 if no worker has it> or xcom.threshold',
      ],
      [
        'xcom.compression',
        '',
        'unknown',
        'give AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION=<codec, or nothing for none> or xcom.compression',
      ],
      ['xcom.backend', '', 'unknown', 'give AIRFLOW__CORE__XCOM_BACKEND=<class> or xcom.backend'],
    ]);
  });

  test("the files that secrets come from are known, the AWS SDK's too, and do not print", () => {
    const env = { XCOM_EXPORTER_DATABASE_URL_FILE: 'url', AWS_SHARED_CREDENTIALS_FILE: 'gone' };
    const { secretFiles } = read({ env, files: { url: 'postgresql://me:hunter2@db/airflow\n' } });
    expect(secretFiles.get('url')?.reveal()).toBe('postgresql://me:hunter2@db/airflow\n');
    expect(String(secretFiles.get('url'))).toBe('***');
    expect(secretFiles.get('gone')).toBeNull();
  });

  test('a file of keys is watched where botocore looks for it', () => {
    const env = { HOME: '/home/me', AWS_SHARED_CREDENTIALS_FILE: '~/keys' };
    const { secretFiles } = read({ env, files: { '/home/me/keys': 'geheim' } });
    expect(secretFiles.get('/home/me/keys')?.reveal()).toBe('geheim');
    expect(secretFiles.has('~/keys')).toBe(false);
  });

  test('a database that is needed is an error that names it', () => {
    expect(problemsOf(() => requireDatabase(read({})))).toEqual([
      expect.stringMatching(/^database\.url: not set/),
    ]);
  });

  test('the configuration is frozen all the way down', () => {
    const config = read({ env: { AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 's3://b/x' } });
    const parts = [
      config,
      config.xcom,
      config.xcom.paths,
      config.xcom.paths?.[0],
      config.web,
      config.origins[0],
    ];
    expect(parts.map((part) => Object.isFrozen(part))).toEqual(parts.map(() => true));
    expect(Object.isFrozen(config.s3.connections.get(''))).toBe(true);
  });
});

describe('precedence', () => {
  const argv = ['--xcom.threshold', '1'];
  const env = { XCOM_EXPORTER_XCOM_THRESHOLD: '2', AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD: '4' };
  const { XCOM_EXPORTER_XCOM_THRESHOLD: _, ...airflowOnly } = env;
  const file = { XCOM_EXPORTER_CONFIG_FILE: 'c.yaml' };
  const files = { 'c.yaml': 'xcom: {threshold: 3}' };

  test.each([
    ['a flag', { argv, env: { ...env, ...file }, files }, 1, 'flag', '--xcom.threshold'],
    ['a variable', { env: { ...env, ...file }, files }, 2, 'variable', 'XCOM_EXPORTER_XCOM_THRESHOLD'],
    ['the file', { env: { ...airflowOnly, ...file }, files }, 3, 'file', 'c.yaml: xcom.threshold'],
    ["Airflow's own", { env: airflowOnly }, 4, 'airflow', 'AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD'],
    [
      'nobody',
      {},
      null,
      'unknown',
      'give AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD=<bytes, or -1 if no worker has it> or xcom.threshold',
    ],
  ])('%s', (_name, given, threshold, origin, from) => {
    const config = read(given);
    expect(config.xcom.threshold).toBe(threshold);
    expect(originOf(config, 'xcom.threshold')).toEqual({
      name: 'xcom.threshold',
      flag: '--xcom.threshold',
      variable: 'XCOM_EXPORTER_XCOM_THRESHOLD',
      shown: threshold === null ? '' : String(threshold),
      origin,
      from,
    });
  });

  test("an empty variable of Airflow's is none, and an empty flag of ours takes the value away", () => {
    expect(read({ env: { AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD: '' } }).xcom.threshold).toBeNull();
    expect(read({ env: { AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: '' } }).xcom.paths).toEqual([]);
    const path = { AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 's3://b' };
    expect(read({ env: path }).xcom.paths).toHaveLength(1);
    expect(read({ env: path, argv: ['--xcom.path='] }).xcom.paths).toEqual([]);
  });

  test('an empty variable of ours, as of a compose file, tells nothing', () => {
    const empty = {
      XCOM_EXPORTER_XCOM_PATH: '',
      XCOM_EXPORTER_XCOM_BACKEND: '',
      XCOM_EXPORTER_XCOM_COMPRESSION: '',
      XCOM_EXPORTER_XCOM_THRESHOLD: '',
      XCOM_EXPORTER_WINDOW: '',
      XCOM_EXPORTER_AIRFLOW_FERNET_KEY_FILE: '',
    };
    const told = {
      AIRFLOW__CORE__XCOM_BACKEND: 'airflow.providers.common.io.xcom.backend.XComObjectStorageBackend',
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 's3://b',
    };
    const nothing = read({ env: empty });
    expect([nothing.xcom, nothing.windowMs, nothing.warnings]).toEqual([
      read({}).xcom,
      read({}).windowMs,
      [],
    ]);
    const config = read({ env: { ...empty, ...told } });
    expect(config.xcom).toEqual(read({ env: told }).xcom);
    expect(config.warnings).toEqual([
      'XCOM_EXPORTER_XCOM_PATH is set and empty, which tells nothing: AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH counts. Leave it out, or give --xcom.path= for an empty value',
      'XCOM_EXPORTER_XCOM_BACKEND is set and empty, which tells nothing: AIRFLOW__CORE__XCOM_BACKEND counts. Leave it out, or give --xcom.backend= for an empty value',
    ]);
    // The table of settings says that an empty one is no canary.
    expect(read({ env: { XCOM_EXPORTER_CANARY_DAG_ID: '' } }).canaryDagId).toBe('');
  });

  test('what is left of the precedence is not looked at, only named when it is unknown', () => {
    expect(read({ argv: ['--window', '1h'], env: { XCOM_EXPORTER_WINDOW: 'nonsense' } }).windowMs).toBe(
      3_600_000,
    );
  });
});

describe('flags', () => {
  test.each([
    ['--sample.schedule', '0 0 * * * *'],
    ['--sample-schedule', '0 0 * * * *'],
    ['--sample.schedule=0 0 * * * *'],
    ['--sample-schedule=0 0 * * * *'],
  ])('%s', (...argv) => {
    expect(read({ argv }).sampleSchedule).toBe('0 0 * * * *');
  });

  test.each([
    [['--probe.write'], true],
    [['--probe.write', '--window', '1h'], true],
    [['--probe.write', 'false'], false],
    [['--probe.write=false'], false],
    [['--no-probe.write'], false],
    [['--no-probe-write'], false],
  ])('%j is %j', (argv, write) => {
    expect(read({ argv }).probe.write).toBe(write);
  });

  test('a negative number is a value', () => {
    expect(read({ argv: ['--xcom.threshold', '-1'] }).xcom.threshold).toBe(-1);
  });

  test('a slip in a flag of the command itself is told by its right name', () => {
    const ownFlags = ['--json', '--probe-only'];
    expect(() => read({ argv: ['--jsn'], ownFlags })).toThrow('unknown flag --jsn: did you mean --json?');
    expect(() => read({ argv: ['--probe-onyl'], ownFlags })).toThrow('did you mean --probe-only?');
    expect(() => read({ argv: ['--windw', '1h'], ownFlags })).toThrow('did you mean --window?');
  });

  test.each([
    [['--windw', '1h'], ['unknown flag --windw: did you mean --window?']],
    [['--sample.shedule=x'], ['unknown flag --sample.shedule: did you mean --sample.schedule?']],
    [['--utterly-different'], ['unknown flag --utterly-different']],
    [['--window'], ['--window: needs a value']],
    [['--window', '--ha', 'off'], ['--window: needs a value']],
    [['--window', '1h', '--window=2h'], ['window is given more than once: --window, --window']],
    [['check'], ['argument 1 is not a flag: settings are given as --name value, a command comes first']],
    [
      ['--databse.url', 'postgresql://u:geheim@h/d'],
      ['unknown flag --databse.url: did you mean --database.url?'],
    ],
    [
      ['--databse.url=postgresql://u:geheim@h/d'],
      ['unknown flag --databse.url: did you mean --database.url?'],
    ],
  ])('%j', (argv, problems) => {
    expect(problemsOf(() => read({ argv }))).toEqual(problems);
  });
});

describe('variables', () => {
  test('an unknown one is named with the nearest', () => {
    expect(problemsOf(() => read({ env: { XCOM_EXPORTER_SAMPLE_SCHEDUL: 'x' } }))).toEqual([
      'unknown variable XCOM_EXPORTER_SAMPLE_SCHEDUL: did you mean XCOM_EXPORTER_SAMPLE_SCHEDULE?',
    ]);
  });

  test('what Kubernetes says of a Service named xcom-exporter is no setting', () => {
    const env = {
      XCOM_EXPORTER_SERVICE_HOST: '10.0.0.1',
      XCOM_EXPORTER_SERVICE_PORT: '10048',
      XCOM_EXPORTER_SERVICE_PORT_HTTP_METRICS: '10048',
      XCOM_EXPORTER_PORT: 'tcp://10.0.0.1:10048',
      XCOM_EXPORTER_PORT_10048_TCP: 'tcp://10.0.0.1:10048',
      XCOM_EXPORTER_PORT_10048_TCP_PROTO: 'tcp',
      XCOM_EXPORTER_METRICS_SERVICE_HOST: '10.0.0.1',
      XCOM_EXPORTER_METRICS_SERVICE_PORT: '10048',
      XCOM_EXPORTER_METRICS_PORT: 'tcp://10.0.0.1:10048',
      XCOM_EXPORTER_METRICS_PORT_10048_TCP_ADDR: '10.0.0.1',
      XCOM_EXPORTER_PORT_10048_TCP_PORT: '10048',
      XCOM_EXPORTER_PORT_10048_TCP_ADDR: '10.0.0.1',
    };
    expect(read({ env }).web.port).toBe(10_048);
  });
});

describe('the settings file', () => {
  test('nested and dotted keys, numbers, booleans and lists', () => {
    const config = readYaml(`
sample: { schedule: "0 0 * * * *" }
probe.write: false
web:
  listen-address: 127.0.0.1:9000
  config.file: web.yml
labels: { max-dags: 7 }
xcom:
  path: [s3://new/x, s3://old]
window:
`);
    expect(config).toMatchObject({
      sampleSchedule: '0 0 * * * *',
      probe: { write: false },
      web: { host: '127.0.0.1', port: 9000, configFile: 'web.yml' },
      maxDags: 7,
      windowMs: 86_400_000,
    });
    expect(config.xcom.paths?.map((path) => path.bucket)).toEqual(['new', 'old']);
    expect(config.xcom.inForce).toBe(config.xcom.paths?.[0]);
  });

  test.each(['', '# nothing', '{}'])('%j sets nothing', (content) => {
    expect(readYaml(content).windowMs).toBe(86_400_000);
  });

  test.each([
    ['sample: {shedule: x}', /^c\.yaml: unknown setting sample\.shedule: did you mean sample\.schedule\?$/],
    ['config.file: other.yaml', /^c\.yaml: unknown setting config\.file/],
    ['window: 1', /^c\.yaml: window: "1" is not a duration/],
    ['window: [{a: 1}]', /^c\.yaml: window: must be a text/],
    ['probe: {write: 1h}\nprobe.write: true', /^probe\.write is given more than once: c\.yaml: probe\.write/],
    ['- window', /^c\.yaml: must be a mapping/],
    [
      'sample.schedule: */30 * * * * *',
      /^c\.yaml: line 1, column \d+: unexpected token; .* must be in quotes/,
    ],
    ['window: *geheim', /^c\.yaml: .*must be in quotes/],
    ['window: 1h\nwindow: 2h', /^c\.yaml: line 2, column 1: duplicate key/],
    ['database.url: "postgresql://u:geheim@h/d', /^c\.yaml: line 1, column \d+: missing char/],
    ['database.url: !x postgresql://u:geheim@h/d', /^c\.yaml: line 1, column \d+: tag resolve failed/],
  ])('%s', (content, message) => {
    const problems = problemsOf(() => readYaml(content));
    expect(problems[0]).toMatch(message);
    expect(problems.join()).not.toContain('geheim');
  });

  test.each(['xcom:\n  # path: s3://b/x\n', 'web:\n  config:\n', 'window:\n'])(
    '%j sets nothing',
    (content) => {
      expect(readYaml(content).origins).toEqual(readYaml('').origins);
    },
  );

  test('a section without a value that is none is told', () => {
    expect(problemsOf(() => readYaml('xcm:\n'))).toEqual(['c.yaml: unknown setting xcm']);
  });

  test('that cannot be read is named', () => {
    expect(problemsOf(() => read({ env: { XCOM_EXPORTER_CONFIG_FILE: '/no.yaml' } }))).toEqual([
      'XCOM_EXPORTER_CONFIG_FILE: Cannot read /no.yaml: no such file',
    ]);
  });
});

describe('values', () => {
  test.each([
    ['window', '24', /not a duration/],
    ['window', '104000000d', /is longer than 36500d/],
    ['sample.schedule', '*/30 * * * *', /six fields/],
    ['sample.schedule', '99 * * * * *', /six fields/],
    ['probe.schedule', '', /six fields/],
    ['probe.write', 'yes', /true or false/],
    ['xcom.path', 's3://', /names no bucket/],
    ['xcom.threshold', '1.5', /"1\.5" is not a whole number$/],
    ['xcom.threshold', '', /not a whole number/],
    ['xcom.oversize', '-1', /of at least 0/],
    ['s3.requests-per-cycle', '1', /of at least 2/],
    ['labels.max-dags', '1e3', /not a whole number/],
    ['web.listen-address', '10048', /not an address/],
    ['web.listen-address', '::1:10048', /not an address/],
    ['web.listen-address', ':65536', /not an address/],
    ['ha', 'on', /off or lock/],
    ['airflow.base-url', 'airflow.example', /not the address of a web server/],
    ['airflow.base-url', 'http://u:geheim@airflow', /without a user/],
    ['log.level', 'verbose', /debug, info, warn or error/],
    ['log.format', 'text', /json or pretty/],
    ['database.url', 'mysql://u:geheim@h/d', /only Postgres/],
    ['database.url', 'postgresql://h/d', /names no user/],
    ['database.url', 'postgresql:///?service=geheim', /names a service, which the exporter does not follow/],
  ])('%s %j', (name, text, message) => {
    const problems = problemsOf(() => read({ argv: [`--${name}=${text}`] }));
    expect(problems).toEqual([expect.stringMatching(message)]);
    expect(problems[0]).toMatch(new RegExp(`^--${name}: `));
    expect(problems[0]).not.toContain('geheim');
  });

  test.each([
    ['*/30  * * *  *', '"*/30  * * *  *" has 5 fields: a cron expression with seconds has six fields'],
    ['@daily', '"@daily" has 1 field: a cron expression with seconds'],
    [
      '0 0 0 30 2 *',
      'it never fires (30 2 is an impossible day of month for the given month); write six fields',
    ],
    ['61 * * * * *', '61 is a invalid expression for second; write six fields'],
    ['0 0 0 * * 8', '8 is a invalid expression for week day; write six fields'],
  ])('sample.schedule %j says what is wrong with it', (text, message) => {
    const problems = problemsOf(() => read({ argv: ['--sample.schedule', text] }));
    expect(problems).toEqual([expect.stringContaining(message)]);
  });

  test('spaces between the fields of a schedule may be many', () => {
    expect(read({ argv: ['--sample.schedule', '  */30  *\t*   * * * '] }).sampleSchedule).toBe(
      '*/30 * * * * *',
    );
  });

  test.each([
    [':10048', '', 10_048],
    ['127.0.0.1:0', '127.0.0.1', 0],
    ['[::1]:10048', '::1', 10_048],
    ['localhost:80', 'localhost', 80],
  ])('web.listen-address %s', (text, host, port) => {
    expect(read({ argv: ['--web.listen-address', text] }).web).toMatchObject({ host, port });
  });

  test.each([
    [{}, 1_048_576, ''],
    [{ 'xcom.threshold': '-5' }, 1_048_576, ''],
    [{ 'xcom.threshold': '0' }, 0, 'xcom.threshold'],
    [{ 'xcom.threshold': '1000' }, 1000, 'xcom.threshold'],
    [{ 'xcom.threshold': '1000', 'xcom.oversize': '5' }, 5, '--xcom.oversize'],
  ])('xcom.oversize of %j', (flags, oversize, from) => {
    const config = read({ argv: Object.entries(flags).map(([name, text]) => `--${name}=${text}`) });
    expect(config.xcom.oversize).toBe(oversize);
    expect(originOf(config, 'xcom.oversize')).toMatchObject({ shown: String(oversize), from });
  });

  test("Airflow's address, the newer variable first", () => {
    const env = { AIRFLOW__WEBSERVER__BASE_URL: 'https://old/', AIRFLOW__API__BASE_URL: 'https://new/sub/' };
    expect(read({ env }).airflowBaseUrl).toBe('https://new/sub');
    expect(read({ env: { AIRFLOW__WEBSERVER__BASE_URL: 'https://old/' } }).airflowBaseUrl).toBe(
      'https://old',
    );
  });

  test.each([
    ['xcom.path', 'paths', 'PATH', []],
    ['xcom.compression', 'compression', 'COMPRESSION', ''],
    ['xcom.backend', 'backend', 'AIRFLOW__CORE__XCOM_BACKEND', ''],
  ] as const)('%s: an empty one is told, and is not one that nobody told', (name, field, variable, value) => {
    const full = variable.startsWith('A') ? variable : `AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_${variable}`;
    expect(read({}).xcom[field]).toBeNull();
    expect(toldSettings(read({}))[name]).toBe(false);
    for (const config of [read({ env: { [full]: '' } }), read({ argv: [`--${name}=`] })]) {
      expect(config.xcom[field]).toEqual(value);
      expect(toldSettings(config)).toEqual({ ...toldSettings(read({})), [name]: true });
    }
  });

  test('a path on a disk is kept for the diagnosis', () => {
    const config = read({ env: { AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 'file:///opt/xcom' } });
    expect(config.xcom.paths).toMatchObject([{ scheme: 'file', bucket: '', prefix: '/opt/xcom' }]);
    expect([...config.s3.connections.keys()]).toEqual(['']);
  });

  test.each([
    ['gs://a,s3://c@b/x', 's3://c@b/x', 'c', true],
    ['s3://b,gs://a', 's3://b', '', true],
    ['gs://c@a,file:///disk', 'gs://c@a', '', false],
    ['', null, '', false],
  ])('of the paths %j the one in force is %j', (text, raw, fallback, isInS3) => {
    const config = read({ argv: [`--xcom.path=${text}`], env: { AIRFLOW_CONN_C: 'aws://' } });
    expect(config.xcom.inForce?.raw ?? null).toBe(raw);
    expect(config.s3.fallback).toBe(fallback);
    expect(storageInForce(config)).toBe(isInS3 ? config.xcom.inForce : null);
    expect(config.warnings.length).toBe(raw === null || isInS3 ? 0 : 1);
  });
});

describe('warnings', () => {
  test.each([
    [
      's3://aws_xcom/bucket/xcom',
      /^xcom\.path takes aws_xcom for the bucket.*reads s3:\/\/aws_xcom@bucket\/prefix$/,
    ],
    ['s3://aws_xcom@bucket/xcom', null],
    ['s3://bucket/xcom', null],
    ['s3://aws_xcom@aws_xcom/xcom', null],
  ])('a connection in place of the bucket: %s', (path, warning) => {
    const { warnings } = read({
      env: {
        AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: path,
        AIRFLOW_CONN_AWS_XCOM: 'aws://K:S@/?region_name=eu-central-1',
      },
    });
    const isNamed = (sentence: string) => sentence.startsWith('xcom.path takes');
    expect(warnings.filter(isNamed)).toEqual(
      warning === null ? [] : [expect.stringMatching(warning) as string],
    );
  });

  const backend = {
    AIRFLOW__CORE__XCOM_BACKEND: 'airflow.providers.common.io.xcom.backend.XComObjectStorageBackend',
  };
  const prefix = 'AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_';

  test.each([
    [`${prefix}TRESHOLD`, `${prefix}THRESHOLD`],
    [`${prefix}THRESHOLDS`, `${prefix}THRESHOLD`],
    ['AIRFLOW__COMMON.IO__XCOM_OBJECTSTORAGE_PATH', `${prefix}PATH`],
    ['AIRFLOW__COMMON__IO__XCOM_OBJECTSTORAGE_PATH', `${prefix}PATH`],
    ['AIRFLOW_COMMON_IO__XCOM_OBJECTSTORAGE_PATH', `${prefix}PATH`],
    ['AIRFLOW__CORE__XCOM_OBJECTSTORAGE_PATH', `${prefix}PATH`],
    ['AIRFLOW__COMMON_IO__XCOM_OBJECT_STORAGE_COMPRESSION', `${prefix}COMPRESSION`],
    ['AIRFLOW__CORE__XCOM_BACKND', 'AIRFLOW__CORE__XCOM_BACKEND'],
    ['AIRFLOW__COMMON_IO__XCOM_BACKEND', 'AIRFLOW__CORE__XCOM_BACKEND'],
    ['airflow__core__xcom_backend', 'AIRFLOW__CORE__XCOM_BACKEND'],
    ['xcom_objectstorage_threshold', `${prefix}THRESHOLD`],
  ])('the misspelt variable %s is named with %s', (given, meant) => {
    expect(read({ env: { [given]: 'geheim' } }).warnings).toEqual([
      `${given} is no variable of Airflow's, which ignores it without a word: did you mean ${meant}?`,
    ]);
  });

  test.each([
    'COMMON_IO__XCOM_OBJECTSTORAGE_PATH',
    'COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD',
    'CORE__XCOM_BACKEND',
  ])('an option %s of one team is read by nobody', (option) => {
    expect(read({ env: { [`AIRFLOW__TEAM_A___${option}`]: 's3://b' } }).warnings).toEqual([
      `AIRFLOW__TEAM_A___${option} is read by nobody: Airflow asks for what concerns XComs without a team. Give the workers of that team AIRFLOW__${option} of their own`,
    ]);
  });

  test.each([
    'AIRFLOW__DATABASE__SQLALCHEMY_CONN',
    'AIRFLOW__DATABASE__SQL_ALCHEMY_CON',
    'AIRFLOW__DB__SQL_ALCHEMY_CONN',
    'AIRFLOW_DATABASE_SQL_ALCHEMY_CONN',
    'airflow__database__sql_alchemy_conn',
  ])('the misspelt variable %s of the database is named, and where a database is missed', (given) => {
    const config = read({ env: { [given]: 'postgresql://u:geheim@h/d' } });
    const warning = `database.url: ${given} is no variable of Airflow's, which ignores it without a word: did you mean AIRFLOW__DATABASE__SQL_ALCHEMY_CONN?`;
    expect(config.warnings).toEqual([warning]);
    expect(() => requireDatabase(config)).toThrow(warning);
  });

  test('the names of common-io 1.3.0 are named unless the later ones are there too', () => {
    const former = { AIRFLOW__COMMON_IO__XCOM_OBJECTSTORE_PATH: 's3://b' };
    expect(read({ env: former }).warnings).toEqual([
      expect.stringMatching(/common-io 1\.3\.0 alone.*: give AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH$/),
    ]);
    expect(read({ env: { ...former, [`${prefix}PATH`]: 's3://b' } }).warnings).toEqual([]);
  });

  test.each([
    'AIRFLOW__COMMON_IO__STATE_STORE_OBJECTSTORAGE_PATH',
    'AIRFLOW__COMMON_IO__STATE_STORE_OBJECTSTORAGE_THRESHOLD',
    'AIRFLOW__TEAMA___COMMON_IO__STATE_STORE_OBJECTSTORAGE_PATH',
    'AIRFLOW__TEAMA___CELERY__BROKER_URL',
    'AIRFLOW__CORE__ENABLE_XCOM_PICKLING',
    'AIRFLOW__CORE__DAGS_FOLDER',
    'AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC',
    'AIRFLOW__DATABASE__SQL_ALCHEMY_SCHEMA',
    'AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE',
    'AIRFLOW__DATABASE__SQL_ENGINE_ENCODING',
    'AIRFLOW__WORKERS__STATE_STORE_BACKEND',
    'AIRFLOW_VAR_XCOM_BACKEND',
    'AIRFLOW_CONN_XCOM',
    'XCOM_BACKEND_BUCKET_NAME',
    'XCOM_BACKEND_PREFIX',
    'PATH',
  ])('%s is something else', (name) => {
    expect(read({ env: { [name]: 'x' } }).warnings).toEqual([]);
  });

  test.each([
    [
      'gs://bucket/x',
      /"gs:\/\/bucket\/x" is not in S3 \(scheme gs\): the exporter tells what stays in the database .* it cannot tell$/,
    ],
    [
      'file:///opt/xcom',
      /"file:\/\/\/opt\/xcom" has the scheme file: Airflow writes to a disk\. No other host can read that unless the folder is shared/,
    ],
    ['foo', /"foo" has no scheme: Airflow writes to a disk\. No other host/],
  ])('the path %s is said to be out of sight', (path, message) => {
    expect(read({ env: { [`${prefix}PATH`]: path } }).warnings).toEqual([expect.stringMatching(message)]);
  });

  test('a backend without a path is said, with what follows from the threshold', () => {
    const noPath = { ...backend, [`${prefix}PATH`]: '' };
    expect(read({ env: { ...noPath, [`${prefix}THRESHOLD`]: '-1' } }).warnings).toEqual([
      expect.stringMatching(
        /^xcom\.backend is the object storage backend, but xcom\.path is empty .* stays in the database$/,
      ),
    ]);
    expect(read({ env: { ...noPath, [`${prefix}THRESHOLD`]: '0' } }).warnings).toEqual([
      expect.stringMatching(/to the disk of each worker/),
    ]);
    // Nobody told the path, so nothing is said of it.
    expect(read({ env: backend }).warnings).toEqual([]);
    expect(read({ env: { ...backend, [`${prefix}PATH`]: 's3://b' } }).warnings).toEqual([]);
  });

  test.each([
    ['company.S3XComBackend', [/is no class of Airflow's object storage: .* the exporter cannot tell/]],
    [
      'airflow.providers.amazon.aws.xcom_backends.s3.S3XComBackend',
      [/is no class of Airflow's object storage/, /Airflow has no class of this name/],
    ],
    [
      'airflow.providers.common.io.xcom.backend.XComObjectStoreBackend',
      [/is a class of common-io 1\.3\.0 alone, which reads none of the options xcom_objectstorage_\*/],
    ],
    ['airflow.sdk.execution_time.xcom.BaseXCom', [/is Airflow's default, which keeps every value/]],
    ['', [/is Airflow's default, which keeps every value/]],
    [backend.AIRFLOW__CORE__XCOM_BACKEND, []],
  ])('the backend %j is said to be another than the object storage', (name, expected) => {
    const { warnings } = read({ env: { AIRFLOW__CORE__XCOM_BACKEND: name, [`${prefix}PATH`]: 's3://b' } });
    expect(warnings).toEqual(expected.map((message) => expect.stringMatching(message) as string));
  });

  test.each([
    ['S3://aws@b/x', 's3://'],
    ['S3a://aws@b/x', 's3a://'],
    ['s3://aws@B/X', null],
  ])('the path %s is to begin with %s', (path, meant) => {
    const { xcom, warnings } = read({ env: { [`${prefix}PATH`]: path, AIRFLOW_CONN_AWS: 'aws://K:S@/' } });
    expect(xcom.inForce?.connection).toBe('aws');
    expect(warnings).toEqual(
      meant === null
        ? []
        : [
            `xcom.path has its scheme in capitals: before Airflow 3.2 every push of a value for object storage fails over it; write ${meant}`,
          ],
    );
  });

  test.each([
    ['aws://K:S@?host=http%3A%2F%2Fminio%3A9000', 'host in extra'],
    [
      '{"conn_type": "s3", "login": "K", "password": "S", "extra": {"host": "http://minio:9000"}}',
      'host in extra',
    ],
    ['{"conn_type": "aws", "login": "K", "password": "S", "host": "http://minio:9000"}', 'its host'],
    ['aws://K:S@minio:9000/', 'its host'],
    ['aws://K:S@minio/?endpoint_url=http%3A%2F%2Fminio%3A9000', null],
    ['{"extra": {"host": "x", "service_config": {"s3": {"endpoint_url": "http://minio:9000"}}}}', null],
    ['aws://K:S@/?region_name=eu-west-1', null],
  ])('the connection %j has its endpoint in %j', (connection, place) => {
    const env = { [`${prefix}PATH`]: 's3://aws@b', AIRFLOW_CONN_AWS: connection };
    const said =
      place === 'its host'
        ? 'Airflow does not take its host'
        : 'only an older Amazon provider, .* takes host in extra';
    const sentence = (who: string): unknown[] =>
      place === null
        ? []
        : [
            expect.stringMatching(
              `^${who}: ${said} for the endpoint.* go to AWS.*: write endpoint_url in extra$`,
            ),
          ];
    expect(read({ env }).warnings).toEqual(sentence('AIRFLOW_CONN_AWS'));
    // The same connection in Airflow's database.
    const { stored } = read({
      env: { ...env, AIRFLOW_CONN_AWS: '', XCOM_EXPORTER_AIRFLOW_CONNECTIONS: 'a_view' },
    });
    const kept = { id: 'aws', given: parseConnection(connection) };
    expect(stored?.warningsOf(kept, stored.toS3(kept))).toEqual(sentence('The connection aws'));
    // Here the endpoint comes from another source.
    expect(read({ env: { ...env, AWS_ENDPOINT_URL: 'http://minio:9000' } }).warnings).toEqual([]);
  });

  test.each([
    [
      'zstd',
      ['xcom.compression: zstd works only on workers that have the package zstandard (or Python 3.14)'],
    ],
    ['lz4', ['xcom.compression: lz4 works only on workers that have the package lz4']],
    ['xz', []],
    ['', []],
  ])('the compression %j needs a package: %j', (compression, expected) => {
    const { warnings } = read({ env: { [`${prefix}COMPRESSION`]: compression } });
    expect(warnings).toEqual(expected.map((text) => `${text}: on any other every push fails`));
  });

  test('recorded deployments give one where something was wrong on purpose', () => {
    const root = new URL('../../fixtures/airflow/', import.meta.url);
    const scenarios = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((path) =>
      path.endsWith('scenario.json'),
    );
    const warned = scenarios.flatMap((path) => {
      const { env } = JSON.parse(readFileSync(new URL(path, root), 'utf8')) as {
        env: Record<string, string>;
      };
      const [, scenario] = path.split('/');
      return read({ env }).warnings.map((warning) => `${scenario ?? ''}: ${warning.slice(0, 60)}`);
    });
    expect([...new Set(warned)].sort()).toEqual([
      "backend-inactive: AIRFLOW__CORE__XCOMBACKEND is no variable of Airflow's, whic",
      'disk-path: xcom.path: "file:///tmp/airflow-xcom-recording" has the sche',
      "json-text: AIRFLOW__CORE__XCOMBACKEND is no variable of Airflow's, whic",
      'local-path: xcom.backend is the object storage backend, but xcom.path is',
      'pool-own-bucket: xcom.path names more than one place in S3, and the probe tri',
    ]);
  });
});

test('all problems at once, each named by where it was given', () => {
  const given = {
    argv: ['--windw', '1h', '--window=x', '--config.file', 'c.yaml'],
    env: {
      XCOM_EXPORTER_HAA: '1',
      XCOM_EXPORTER_HA: 'on',
      XCOM_EXPORTER_XCOM_THRESHOLD: 'ten',
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 's3://aws@b',
      AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: 'postgresql://u:p@h:x/d',
      AIRFLOW_CONN_AWS: 'geheim',
    },
    files: { 'c.yaml': 'log: {level: loud, colour: red}' },
  };
  expect(problemsOf(() => read(given))).toEqual([
    expect.stringMatching(/^unknown flag --windw/),
    expect.stringMatching(/^unknown variable XCOM_EXPORTER_HAA/),
    expect.stringMatching(/^c\.yaml: unknown setting log\.colour/),
    expect.stringMatching(/^XCOM_EXPORTER_XCOM_THRESHOLD: what is given is not/),
    expect.stringMatching(/^--window: what is given is not/),
    expect.stringMatching(/^XCOM_EXPORTER_HA: must be/),
    expect.stringMatching(/^c\.yaml: log\.level: must be/),
    expect.stringMatching(/^AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: has a wrong port/),
    expect.stringMatching(/^AIRFLOW_CONN_AWS: is neither/),
  ]);
});

describe('the database', () => {
  const url = 'postgresql+psycopg2://airflow:geheim@db:5433/meta';

  test.each([
    ['flag', { argv: ['--database.url', url] }, '--database.url'],
    ['flag', { argv: ['--database.url-file', 'pw'], files: { pw: `${url}\n` } }, '--database.url-file'],
    ['variable', { env: { XCOM_EXPORTER_DATABASE_URL: url } }, 'XCOM_EXPORTER_DATABASE_URL'],
    [
      'variable',
      { env: { XCOM_EXPORTER_DATABASE_URL_FILE: 'pw' }, files: { pw: url } },
      'XCOM_EXPORTER_DATABASE_URL_FILE',
    ],
    ['airflow', { env: { AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: url } }, 'AIRFLOW__DATABASE__SQL_ALCHEMY_CONN'],
    ['airflow', { env: { AIRFLOW__CORE__SQL_ALCHEMY_CONN: url } }, 'AIRFLOW__CORE__SQL_ALCHEMY_CONN'],
  ])('from a %s: %j', (origin, given: Given, from) => {
    const config = read(given);
    expect(requireDatabase(config)).toMatchObject({
      host: 'db',
      port: 5433,
      user: 'airflow',
      database: 'meta',
    });
    expect(requireDatabase(config).password?.reveal()).toBe('geheim');
    expect(originOf(config, 'database.url')).toMatchObject({
      shown: 'postgresql://airflow:***@db:5433/meta?sslmode=prefer',
      origin,
      from,
    });
    expect(`${inspect(config, { depth: 9 })}${JSON.stringify(config)}`).not.toContain('geheim');
  });

  test('both as a value and as a file is an error', () => {
    const env = { XCOM_EXPORTER_DATABASE_URL: url, XCOM_EXPORTER_DATABASE_URL_FILE: 'pw' };
    expect(problemsOf(() => read({ env }))).toEqual([
      'database.url is given more than once: XCOM_EXPORTER_DATABASE_URL, XCOM_EXPORTER_DATABASE_URL_FILE',
    ]);
  });

  test.each(
    SETTING_INPUTS.filter(({ holds }) => holds === 'path').map(({ setting, variable }) => [
      setting,
      variable,
    ]),
  )('%s: an empty variable is no second value beside its twin', (setting, ofFile) => {
    const plain = ofFile.replace(/_FILE$/, '');
    const files = { pw: url };
    for (const [inForce, env] of [
      [ofFile, { [plain]: '', [ofFile]: 'pw' }],
      [plain, { [plain]: url, [ofFile]: '' }],
      [plain, { [ofFile]: '', [plain]: url }],
      ['', { [plain]: '', [ofFile]: '' }],
    ] as const) {
      const config = read({ env, files });
      expect(originOf(config, setting).from).toBe(inForce);
      expect(config.warnings).toEqual([]);
    }
  });

  test('a file that cannot be read is named; its path is not taken for a URL', () => {
    expect(problemsOf(() => read({ env: { XCOM_EXPORTER_DATABASE_URL_FILE: '/run/url' } }))).toEqual([
      'XCOM_EXPORTER_DATABASE_URL_FILE: Cannot read the file that it names: no such file, in /run. What is given there may be a secret, so it is not shown: give the path of a file that holds the value',
    ]);
  });

  test('a file that may not be read says whose it is, and not that a path is to be given', () => {
    const denied = (path: string) =>
      problemsOf(() =>
        readConfig({
          argv: [],
          env: { XCOM_EXPORTER_DATABASE_URL_FILE: path },
          readFile: () => {
            throw Object.assign(new Error(`EACCES: permission denied, open '${path}'`), { code: 'EACCES' });
          },
        }),
      );
    const whose = String.raw`belongs to \d+:\d+ with mode [0-7]{4}, and the exporter runs as \d+:\d+: `;
    expect(denied('/proc/self/status')).toEqual([
      expect.stringMatching(
        `^XCOM_EXPORTER_DATABASE_URL_FILE: Cannot read /proc/self/status: permission denied: it ${whose}`,
      ),
    ]);
    expect(denied('/proc/self/geheim')).toEqual([
      expect.stringMatching(
        `^XCOM_EXPORTER_DATABASE_URL_FILE: Cannot read the file that it names: permission denied: the folder /proc/${process.pid} ${whose}`,
      ),
    ]);
  });

  test.each([
    'postgresql://h/db?user=u&password=geheim',
    'host=h user=u password=geheim',
    'jdbc:postgresql://h/db?user=u&password=geheim',
    'postgresql://us/er:ge heim@h/db',
    'geheim',
    '/geheim/with/slashes',
  ])('what stands in place of the path of a file is not said: %s', (text) => {
    const [problem = '', ...others] = problemsOf(() =>
      readConfig({
        argv: [],
        env: { XCOM_EXPORTER_DATABASE_URL_FILE: text },
        readFile: (path) => {
          throw new Error(`ENOENT: no such file or directory, open '${path}'`);
        },
      }),
    );
    expect(others).toEqual([]);
    expect(problem).toMatch(
      /^XCOM_EXPORTER_DATABASE_URL_FILE: Cannot read the file that it names: ENOENT: no such file or directory\. What is given there may be a secret, so it is not shown/,
    );
    expect(problem).not.toMatch(/heim/);
  });

  test('an empty file is named; an empty variable lets the next source speak', () => {
    const empty = { argv: [], env: { XCOM_EXPORTER_DATABASE_URL_FILE: '/run/url' }, readFile: () => '\n' };
    expect(problemsOf(() => readConfig(empty))).toEqual([
      'XCOM_EXPORTER_DATABASE_URL_FILE: the file /run/url is empty',
    ]);
    const env = {
      XCOM_EXPORTER_DATABASE_URL: '',
      AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: 'postgresql://airflow@db/meta',
    };
    expect(read({ env }).database).toMatchObject({ host: 'db', database: 'meta' });
  });

  test("libpq's variables alone, or for what the URL leaves out", () => {
    const env = {
      PGHOST: 'pg',
      PGUSER: 'reader',
      PGPASSWORD: 'geheim',
      PGDATABASE: 'airflow',
      PGSSLMODE: 'require',
    };
    const alone = read({ env });
    expect(alone.database).toMatchObject({ host: 'pg', user: 'reader', database: 'airflow', ssl: 'require' });
    expect(originOf(alone, 'database.url')).toMatchObject({
      shown: 'postgresql://reader:***@pg:5432/airflow?sslmode=require',
      from: 'PGHOST, PGUSER, PGPASSWORD, PGDATABASE, PGSSLMODE',
    });
    const both = read({ env: { ...env, XCOM_EXPORTER_DATABASE_URL: 'postgresql://me@db/meta' } });
    expect(both.database).toMatchObject({ host: 'db', user: 'me', database: 'meta', ssl: 'require' });
    expect(both.database?.password?.reveal()).toBe('geheim');
    expect(read({ env: { PGUSER: 'me', PGPASSWORD: 'geheim' } }).database).toBeNull();
  });

  test("Airflow's application name is not ours", () => {
    const named = 'postgresql://u@h/d?application_name=worker';
    const nameOf = (env: Readonly<Record<string, string>>) => read({ env }).database?.applicationName;
    expect(nameOf({ AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: named })).toBe('airflow-xcom-exporter');
    expect(nameOf({ XCOM_EXPORTER_DATABASE_URL: named })).toBe('worker');
  });
});

test('of several paths in S3 the others are named as not probed', () => {
  const ofBoth = read({ argv: ['--xcom.path', 's3://bucket/xcom,file:///tmp,s3://team/x'] }).warnings;
  expect(ofBoth.filter((words) => words.startsWith('xcom.path'))).toEqual([
    'xcom.path names more than one place in S3, and the probe tries s3://bucket/xcom alone: of s3://team/x only what rows refer to is looked at, and whether workers may write there is not known',
  ]);
  expect(read({ argv: ['--xcom.path', 's3://bucket/xcom,file:///tmp'] }).warnings).toEqual([]);
});

describe('the connections of the paths', () => {
  const path = 's3://aws_xcom@bucket/xcom';

  test('come from their variables', () => {
    const config = read({
      argv: ['--xcom.path', `${path},s3://old@b,s3://plain`],
      env: {
        AIRFLOW_CONN_AWS_XCOM:
          'aws://KEY:geheim@/?region_name=eu-west-1&endpoint_url=http%3A%2F%2Fminio%3A9000',
        AWS_DEFAULT_REGION: 'us-east-1',
      },
    });
    expect([...config.s3.connections.keys()]).toEqual(['', 'aws_xcom', 'old']);
    expect(config.s3.connections.get('aws_xcom')).toMatchObject({ region: 'eu-west-1', accessKeyId: 'KEY' });
    expect(config.s3.connections.get('aws_xcom')?.secretAccessKey?.reveal()).toBe('geheim');
    expect(config.s3.connections.get('old')).toMatchObject({ region: 'us-east-1', secretAccessKey: null });
    expect(originOf(config, 's3 (aws_xcom)')).toEqual({
      name: 's3 (aws_xcom)',
      flag: '',
      variable: 'AIRFLOW_CONN_AWS_XCOM',
      shown: 'access key, region eu-west-1, endpoint http://minio:9000',
      origin: 'airflow',
      from: 'AIRFLOW_CONN_AWS_XCOM',
    });
    expect(originOf(config, 's3 (old)')).toMatchObject({
      shown: 'default credential chain of AWS, region us-east-1',
      origin: 'default',
      from: 'AIRFLOW_CONN_OLD is not set',
    });
    expect(`${inspect(config, { depth: 9 })}${JSON.stringify(config)}`).not.toContain('geheim');
  });

  describe('with a secrets backend, which Airflow asks before its environment', () => {
    const keyed = JSON.stringify({
      conn_type: 'aws',
      login: 'K',
      password: 'geheim',
      extra: { config_kwargs: { max_retries: 3 } },
    });
    const backend = 'airflow.providers.amazon.aws.secrets.secrets_manager.SecretsManagerBackend';
    const kept = { id: 'aws_xcom', given: parseConnection(keyed) };
    const readWith = (env: Readonly<Record<string, string>>, file = '') => {
      const told = { AIRFLOW_CONN_AWS_XCOM: keyed, XCOM_EXPORTER_AIRFLOW_CONNECTIONS: 'a_view', ...env };
      return read({
        argv: ['--xcom.path', path, '--airflow.config', 'airflow.cfg'],
        env: told,
        files: { 'airflow.cfg': file },
      });
    };
    const seen = (config: Config) => {
      const { stored } = config;
      const storedAs = stored?.toS3(kept);
      return {
        askers: [config.s3.connections.get('aws_xcom')?.asker, storedAs?.asker],
        pushFaults: config.xcom.pushFaults,
        asked: [
          ...config.warnings,
          ...(stored && storedAs ? stored.warningsOf(kept, storedAs).map(sentenceOf) : []),
        ].filter((sentence) => sentence.includes(' before ')),
      };
    };

    test.each<[string, Readonly<Record<string, string>>, string?]>([
      ['a variable', { AIRFLOW__SECRETS__BACKEND: backend }],
      ['the option of workers', { AIRFLOW__WORKERS__SECRETS_BACKEND: backend }],
      ['the file', {}, `[secrets]\nbackend = ${backend}\n`],
      [
        'a variable, with options',
        {
          AIRFLOW__SECRETS__BACKEND: backend,
          AIRFLOW__SECRETS__BACKEND_KWARGS:
            '{"connections_prefix": "airflow/connections", "variables_prefix": null}',
        },
      ],
      [
        'a variable, with a pattern that the id matches',
        {
          AIRFLOW__SECRETS__BACKEND: backend,
          AIRFLOW__SECRETS__BACKEND_KWARGS: '{"connections_lookup_pattern": "^AWS_"}',
        },
      ],
      [
        'the option of every process, behind workers whose own looks for no connections',
        {
          AIRFLOW__WORKERS__SECRETS_BACKEND: 'airflow.providers.hashicorp.secrets.vault.VaultBackend',
          AIRFLOW__WORKERS__SECRETS_BACKEND_KWARGS: '{"connections_path":null}',
          AIRFLOW__SECRETS__BACKEND: backend,
        },
      ],
    ])('in %s: a copy of a connection says nothing of the workers', (_, env, file) => {
      const asked = (place: string): unknown =>
        expect.stringMatching(
          `^Airflow may ask ${backend} for the connection aws_xcom before ${place}, and the exporter does not.* Give the exporter the same connection as the backend has, or, if`,
        );
      expect(seen(readWith(env, file))).toEqual({
        askers: ['exporter', 'exporter'],
        pushFaults: [],
        asked: [asked('AIRFLOW_CONN_AWS_XCOM'), asked("Airflow's database")],
      });
    });

    test.each<[string, Readonly<Record<string, string>>]>([
      ['none', {}],
      [
        'one that looks for no connections',
        {
          AIRFLOW__SECRETS__BACKEND: backend,
          AIRFLOW__SECRETS__BACKEND_KWARGS: '{"connections_prefix": null, "variables_prefix": "v"}',
        },
      ],
      [
        'one that looks for other connections',
        {
          AIRFLOW__SECRETS__BACKEND: backend,
          AIRFLOW__SECRETS__BACKEND_KWARGS:
            '{"connections_prefix": "airflow/connections", "connections_lookup_pattern": "^smtp"}',
        },
      ],
      [
        "Airflow's own, with variables alone",
        {
          AIRFLOW__SECRETS__BACKEND: 'airflow.secrets.local_filesystem.LocalFilesystemBackend',
          AIRFLOW__SECRETS__BACKEND_KWARGS: '{"variables_file_path": "/files/var.json"}',
        },
      ],
      [
        "Vault's that looks for no connections",
        {
          AIRFLOW__WORKERS__SECRETS_BACKEND: 'airflow.providers.hashicorp.secrets.vault.VaultBackend',
          AIRFLOW__WORKERS__SECRETS_BACKEND_KWARGS: '{"connections_path":null}',
        },
      ],
    ])('%s: a connection is that of the workers', (_, env) => {
      expect(seen(readWith(env))).toEqual({
        askers: ['workers', 'workers'],
        pushFaults: [
          {
            sentence: expect.stringContaining('max_retries') as string,
            effect: 'every push fails',
            unless: null,
          },
        ],
        asked: [],
      });
    });
  });

  test('come from the variable of a team where the plain one is missing', () => {
    const ofTeam = { AIRFLOW_CONN__TEAM_A___AWS_XCOM: 'aws://TEAM:geheim@/' };
    const read1 = (env: Record<string, string>) => read({ argv: ['--xcom.path', path], env });
    const config = read1(ofTeam);
    expect(config.s3.connections.get('aws_xcom')?.accessKeyId).toBe('TEAM');
    expect(originOf(config, 's3 (aws_xcom)')).toMatchObject({
      from: 'AIRFLOW_CONN__TEAM_A___AWS_XCOM',
      origin: 'airflow',
    });
    expect([config.warnings, config.s3.missing.size]).toEqual([[], 0]);
    const plain = read1({ ...ofTeam, AIRFLOW_CONN_AWS_XCOM: 'aws://PLAIN:geheim@/' });
    expect(plain.s3.connections.get('aws_xcom')?.accessKeyId).toBe('PLAIN');
    const both = read1({ ...ofTeam, AIRFLOW_CONN__TEAM_B___AWS_XCOM: 'aws://OTHER:geheim@/' });
    expect(both.s3.connections.get('aws_xcom')?.accessKeyId).toBeNull();
    expect(both.warnings[0]).toMatch(
      /^AIRFLOW_CONN__TEAM_A___AWS_XCOM and AIRFLOW_CONN__TEAM_B___AWS_XCOM are connections of several teams/,
    );
  });

  test('of every variable are there for rows that name one, and what is none is passed over', () => {
    const { connections } = read({
      env: {
        AIRFLOW_CONN_MINIO: 'aws://M:geheim@/',
        AIRFLOW_CONN_OTHER: '{"conn_type": "aws", "login": "J", "password": "geheim"}',
        AIRFLOW_CONN_AIRFLOW_DB: 'postgresql://u:geheim@h/d',
        AIRFLOW_CONN_BROKEN: '{"conn_type": "aws", "extra": "{"}',
        AIRFLOW_CONN_HTTP: '{"conn_type": "http"}',
        AIRFLOW_CONN_UNTYPED: '{"login": "U", "password": "geheim"}',
        AIRFLOW_CONN_WITHOUT: '{"conn_type": "", "login": "W", "password": "geheim"}',
        AIRFLOW_CONN_WRAPPED: '{"uri": "aws://R:geheim@/"}',
        AIRFLOW_CONN_WRAPPED_DB: '{"uri": "postgresql://u:geheim@h/d"}',
        AIRFLOW_CONN_TEXT: '{"conn_type": "aws"',
      },
    }).s3;
    expect([...connections].map(([id, { accessKeyId }]) => [id, accessKeyId])).toEqual([
      ['MINIO', 'M'],
      ['OTHER', 'J'],
      ['UNTYPED', 'U'],
      ['WITHOUT', 'W'],
      ['WRAPPED', 'R'],
      ['', null],
    ]);
  });

  test.each([
    ['AIRFLOW_CON_AWS_XCOM', true],
    ['AIRFLOW_CONN_AWS_XCOMS', true],
    ['AIRFLOW__CONN__AWS_XCOM', true],
    ['AIRFLOW_CONN_aws_xcom', true],
    ['AIRFLOW_CONN_AWS-XCOM', true],
    ['AIRFLOW_CONN_AWS_LOGS', false],
    ['AIRFLOW_CONN_AIRFLOW_DB', false],
  ])('of a connection that is missing %s is the one that was meant: %j', (variable, isMeant) => {
    const config = read({ argv: ['--xcom.path', path], env: { [variable]: 'aws://KEY:geheim@/' } });
    expect(config.s3.missing.get('aws_xcom')).toBe(
      'the connection aws_xcom is not known here (give AIRFLOW_CONN_AWS_XCOM)',
    );
    expect(config.warnings).toEqual([
      isMeant
        ? `${variable} is no variable of Airflow's for the connection aws_xcom, which the path names: did you mean AIRFLOW_CONN_AWS_XCOM?`
        : expect.stringMatching(
            /^The connection aws_xcom, which the path names, is not known here, .*: give it as AIRFLOW_CONN_AWS_XCOM\b/,
          ),
    ]);
  });

  test('with a view one that no variable holds is kept in the database, and the key is read', () => {
    const key = Buffer.alloc(32, 1).toString('base64url').concat('=');
    const asked = {
      argv: ['--xcom.path', path, '--airflow.connections', 'airflow.xcom_exporter_connection'],
    };
    const config = read({ ...asked, env: { AIRFLOW__CORE__FERNET_KEY: key } });
    expect([config.warnings, config.stored?.view, config.stored?.keys.length]).toEqual([
      [],
      'airflow.xcom_exporter_connection',
      1,
    ]);
    expect(originOf(config, 's3 (aws_xcom)')).toMatchObject({
      shown: "kept in Airflow's database, looked up when it is read",
      from: 'view airflow.xcom_exporter_connection',
    });
    expect(originOf(config, 'airflow.fernet-key')).toMatchObject({
      shown: '***',
      from: 'AIRFLOW__CORE__FERNET_KEY',
    });
    expect(`${inspect(config, { depth: 9 })}${JSON.stringify(config)}`).not.toContain(key);
    expect(problemsOf(() => read({ ...asked, env: { AIRFLOW__CORE__FERNET_KEY: 'geheim' } }))).toEqual([
      expect.stringMatching(/^AIRFLOW__CORE__FERNET_KEY: is no Fernet key/),
    ]);
    const fromFile = {
      ...asked,
      env: { XCOM_EXPORTER_AIRFLOW_FERNET_KEY_FILE: '/key' },
      files: { '/key': `${key}\n` },
    };
    expect(read(fromFile).stored?.keys[0]?.reveal()).toBe(key);
  });

  test("without a view Airflow's key is nobody's concern", () => {
    const of = (env: Record<string, string>) => read({ argv: ['--xcom.path', 's3://plain'], env });
    expect(of({ AIRFLOW__CORE__FERNET_KEY: 'geheim' })).toMatchObject({ stored: null, warnings: [] });
    expect(of({ AIRFLOW__CORE__FERNET_KEY_CMD: 'cat geheim' }).warnings).toEqual([]);
  });

  test.each(['a b', '"a', 'a.b.c', 'A', 'a;b', ''])('a view is a plain name: %j', (view) => {
    const readIt = () => read({ argv: [`--airflow.connections=${view}`] });
    if (view === '') expect(readIt().stored).toBeNull();
    else expect(problemsOf(readIt)).toEqual([expect.stringMatching(/is no plain name of a view/)]);
  });

  test('a connection in quotes is named as such', () => {
    const env = { AIRFLOW_CONN_AWS_XCOM: `'{"conn_type": "aws", "password": "geheim"}'` };
    expect(problemsOf(() => read({ argv: ['--xcom.path', path], env }))).toEqual([
      expect.stringMatching(/^AIRFLOW_CONN_AWS_XCOM: has quotes around its value/),
    ]);
  });

  describe("beside the logs' own", () => {
    const logging = {
      AIRFLOW__LOGGING__REMOTE_LOGGING: 'True',
      AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER: 's3://airflow-logs/prod',
      AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID: 'my_s3',
    };

    test('which is shown, and used by no XCom', () => {
      const config = read({
        argv: ['--xcom.path', 's3://bucket/xcom'],
        env: { ...logging, AIRFLOW_CONN_MY_S3: 'aws://K:geheim@/' },
      });
      expect(originOf(config, 'logs')).toMatchObject({
        shown: 's3://airflow-logs/prod, with the connection my_s3; no XCom uses it',
        origin: 'airflow',
        from: 'AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER',
      });
      expect(config.s3.fallback).toBe('');
      expect(config.warnings).toEqual([]);
    });

    test.each([
      [
        ['--xcom.path', 's3://my_s3@bucket'],
        's3://airflow-logs/prod, with the connection my_s3, as the XComs',
      ],
      [
        ['--xcom.path', 's3://MY_S3@bucket'],
        's3://airflow-logs/prod, with the connection my_s3, as the XComs',
      ],
      [[], 's3://airflow-logs/prod, with the connection my_s3'],
    ])('which is shown for %j, where not every XCom uses another', (argv, shown) => {
      expect(originOf(read({ argv, env: logging }), 'logs').shown).toBe(shown);
    });

    test.each([
      ['s3://bucket/xcom', 's3://my_s3@bucket/xcom'],
      ['s3://other@bucket', 's3://my_s3@bucket'],
      ['s3://my_s3@bucket/xcom', null],
      // One variable holds both connections.
      ['s3://MY_S3@bucket/xcom', null],
    ])('which %s does not name: the words are %s', (raw, meant) => {
      const { logs } = read({ env: logging });
      const words = logsWords(logs, parseXComPath(raw));
      if (meant === null) expect(words).toBe('');
      else
        expect(words).toContain(
          `Logs go to S3 with the connection my_s3, which XComs do not use: if they are to, write ${meant} as`,
        );
    });

    test.each([
      { AIRFLOW__LOGGING__REMOTE_LOGGING: 'False' },
      { AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER: 'gs://b' },
      { AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER: 's3://key:geheim@b' },
    ])('which is nothing where logs do not go to S3: %j', (changes) => {
      expect(read({ env: { ...logging, ...changes } }).logs).toBeNull();
    });
  });

  test('the default chain is shown only where a path uses it', () => {
    const namesOf = (paths: string) => read({ argv: ['--xcom.path', paths] }).origins.map(({ name }) => name);
    expect(namesOf(path)).not.toContain('s3');
    expect(namesOf(`${path},s3://plain`)).toEqual(expect.arrayContaining(['s3', 's3 (aws_xcom)']));
  });

  test('the proxy of a connection is shown, without its password', () => {
    const config = read({
      argv: ['--xcom.path', path],
      env: {
        AIRFLOW_CONN_AWS_XCOM:
          'aws://?config_kwargs=%7B%22proxies%22%3A%7B%22https%22%3A%22http%3A%2F%2Fp%22%7D%7D',
      },
    });
    expect(originOf(config, 's3 (aws_xcom)').shown).toBe(
      'default credential chain of AWS, through the proxy p',
    );
  });

  test.each(['HTTPS_PROXY', 'https_proxy'])('a broken %s is named, and no endpoint in its place', (name) => {
    expect(problemsOf(() => read({ env: { [name]: 'http://u:geheim/x@proxy:3128' } }))).toEqual([
      `S3 without a connection: is asked through the proxy of ${name}, which is no URL: write http://host:port`,
    ]);
  });

  test('a wrong endpoint in the variables of AWS is named by them', () => {
    expect(problemsOf(() => read({ env: { AWS_ENDPOINT_URL_S3: 'minio:9000' } }))).toEqual([
      expect.stringMatching(
        /^AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or endpoint_url of the AWS config file: has an endpoint that is no URL/,
      ),
    ]);
  });
});

describe('what recorded Airflow deployments have in their environment', () => {
  const root = new URL('../../fixtures/airflow/', import.meta.url);
  const scenarios = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.endsWith('scenario.json'),
  );

  test('there are some', () => {
    expect(scenarios.length).toBeGreaterThan(5);
  });

  test.each(scenarios)('%s', (file) => {
    const { env, backend } = JSON.parse(readFileSync(new URL(file, root), 'utf8')) as {
      env: Record<string, string>;
      backend: string | null;
    };
    const config = read({ env });
    expect(requireDatabase(config)).toMatchObject({ user: 'airflow', database: 'airflow' });
    expect(config.xcom.backend).toBe(env['AIRFLOW__CORE__XCOM_BACKEND'] ?? null);
    if (env['AIRFLOW__CORE__XCOM_BACKEND'] !== undefined) expect(config.xcom.backend).toBe(backend);
    for (const path of config.xcom.paths?.filter(isS3Path) ?? []) {
      const connection = config.s3.connections.get(path.connection ?? '');
      expect(connection).toMatchObject({ region: 'us-east-1', forcePathStyle: true });
      expect(connection?.endpoint).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
      expect(connection?.secretAccessKey?.reveal()).toBe('wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY');
    }
  });
});

describe('files of certificate authorities', () => {
  const url = 'postgresql://u:geheim@h/d?sslmode=verify-full&sslrootcert=';

  test('that cannot be read are an error, as they would be to every request', () => {
    const env = {
      AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: `${url}/db-ca.pem`,
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 's3://aws@b',
      AWS_CA_BUNDLE: '/s3-ca.pem',
    };
    expect(problemsOf(() => read({ env }))).toEqual([
      'AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: Cannot read /db-ca.pem: no such file',
      'AWS_CA_BUNDLE, REQUESTS_CA_BUNDLE or ca_bundle of the AWS config file: Cannot read /s3-ca.pem: no such file',
    ]);
    const files = { '/db-ca.pem': '', '/s3-ca.pem': '-----BEGIN CERTIFICATE-----' };
    expect(read({ env, files }).database).not.toBeNull();
    // Python does not accept such a file, and every push fails.
    expect(problemsOf(() => read({ env, files: { ...files, '/s3-ca.pem': '' } }))).toEqual([
      'AWS_CA_BUNDLE, REQUESTS_CA_BUNDLE or ca_bundle of the AWS config file: the file holds no certificate: give one in PEM',
    ]);
  });

  test('are not looked for where they are not used', () => {
    const disabled = `${url}/db-ca.pem`.replace('verify-full', 'disable');
    expect(read({ env: { AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: disabled } }).database).not.toBeNull();
    expect(read({ env: { AIRFLOW_CONN_AWS: 'aws://k:s@/?verify=%2Fs3-ca.pem' } }).database).toBeNull();
  });
});

describe('the table of settings', () => {
  test("has the design's names, each with a flag, a variable and a default", () => {
    expect(settingsTable().map(({ name }) => name)).toEqual([
      'config.file',
      'database.url',
      'xcom.path',
      'xcom.threshold',
      'xcom.oversize',
      'xcom.compression',
      'xcom.backend',
      'window',
      'sample.schedule',
      'probe.schedule',
      'probe.write',
      's3.requests-per-cycle',
      'labels.max-dags',
      'web.listen-address',
      'web.config.file',
      'state.file',
      'ha',
      'shard',
      'airflow.base-url',
      'airflow.config',
      'airflow.connections',
      'airflow.fernet-key',
      'canary.dag-id',
      'log.level',
      'log.format',
    ]);
    expect(settingsTable().find(({ name }) => name === 's3.requests-per-cycle')).toMatchObject({
      flag: '--s3.requests-per-cycle',
      variable: 'XCOM_EXPORTER_S3_REQUESTS_PER_CYCLE',
      default: '`500`',
    });
    expect(settingsTable().find(({ name }) => name === 'xcom.threshold')?.default).toBe(
      "Airflow's, else not known",
    );
  });

  test('no two settings share a flag or a variable', () => {
    const rows = settingsTable();
    expect(new Set(rows.map((row) => row.flag)).size).toBe(rows.length);
    expect(new Set(rows.map((row) => row.variable)).size).toBe(rows.length);
  });
});
