import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { settingsTable } from '../../src/settings/catalogue.ts';

const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

/** Runs the built program with only this environment. */
function call(argv: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...argv], { env, encoding: 'utf8' });
  return { status, stdout, stderr };
}

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'cli-config-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

test('a file of variables is read by Node, as docs/install.md shows it', () => {
  const file = join(folder, 'worker.env');
  writeFileSync(
    file,
    [
      'AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH=s3://aws_xcom@bucket/xcom',
      'AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION=',
      'AIRFLOW_CONN_AWS_XCOM=aws://KEY:geheim@/?region_name=eu-west-1&endpoint_url=http%3A%2F%2F127.0.0.1%3A9',
      'XCOM_EXPORTER_DATABASE_URL=postgresql://reader:ge%23heim@db/airflow',
      '',
    ].join('\n'),
  );
  const { stdout, stderr } = spawnSync(process.execPath, [`--env-file=${file}`, main, 'config'], {
    env: {},
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  expect(stdout).toMatch(/s3 \(aws_xcom\) +access key, region eu-west-1, endpoint http:\/\/127\.0\.0\.1:9 /);
  expect(stdout).toMatch(/xcom\.compression +- +Airflow's/);
});

test("the README's file of variables without its database goes with the file of the chart, as docs/install.md makes it", () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const [, written = ''] = /```ini\n(.*?)```/s.exec(readme) ?? [];
  writeFileSync(join(folder, 'worker.env'), written);
  writeFileSync(join(folder, 'database-url'), 'postgresql://reader:geheim@db/airflow');
  execFileSync('sh', ['-c', "grep -v '^XCOM_EXPORTER_DATABASE_URL=' worker.env > airflow-worker.env"], {
    cwd: folder,
  });
  const ofPod = readFileSync(join(folder, 'airflow-worker.env'), 'utf8').trimEnd().split('\n');
  const pairs = ofPod.map(
    (line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)] as const,
  );
  const { status, stdout, stderr } = call(['config'], {
    ...Object.fromEntries(pairs),
    XCOM_EXPORTER_DATABASE_URL_FILE: join(folder, 'database-url'),
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toMatch(/database\.url +\S*reader:\*+@db/);
  expect(stdout).toMatch(/xcom\.path +s3:\/\/aws_xcom@airflow-xcom\/xcom/);
});

describe('config', () => {
  test('prints every setting, its value and where it came from, with its secrets masked', () => {
    const file = join(folder, 'settings.yaml');
    writeFileSync(file, 'labels: { max-dags: 7 }\n');
    const secretFile = join(folder, 'url');
    writeFileSync(secretFile, 'postgresql://reader:geheim@db/airflow\n');
    const { status, stdout, stderr } = call(['config', '--window', '12h', '--config.file', file], {
      XCOM_EXPORTER_DATABASE_URL_FILE: secretFile,
      XCOM_EXPORTER_LOG_LEVEL: 'warn',
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 's3://aws_xcom@bucket/xcom',
      AIRFLOW_CONN_AWS_XCOM: 'aws://KEY:geheim@/?region_name=eu-west-1',
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).not.toContain('geheim');

    const [head = '', ...lines] = stdout.trimEnd().split('\n');
    const columns = ['SETTING', 'VALUE', 'FROM'].map((title) => head.indexOf(title));
    const rows = lines.map((line) =>
      columns.map((start, index) => line.slice(start, columns[index + 1] ?? line.length).trim()),
    );
    expect(rows.map(([name]) => name)).toEqual([...settingsTable().map(({ name }) => name), 's3 (aws_xcom)']);
    expect(rows).toEqual(
      expect.arrayContaining([
        ['window', '12h', 'flag --window'],
        ['log.level', 'warn', 'variable XCOM_EXPORTER_LOG_LEVEL'],
        ['labels.max-dags', '7', `file ${file}: labels.max-dags`],
        ['xcom.path', 's3://aws_xcom@bucket/xcom', "Airflow's AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"],
        ['ha', 'off', 'default'],
        ['state.file', '-', 'default'],
        [
          'database.url',
          'postgresql://reader:***@db:5432/airflow?sslmode=prefer',
          'variable XCOM_EXPORTER_DATABASE_URL_FILE',
        ],
        ['s3 (aws_xcom)', 'access key, region eu-west-1', "Airflow's AIRFLOW_CONN_AWS_XCOM"],
      ]),
    );
  });

  test("names the file, section and line of Airflow's own values, and what hides one", () => {
    const file = join(folder, 'airflow.cfg');
    const content =
      '[common.io]\nxcom_objectstorage_threshold = 1_000\nxcom_objectstorage_path = s3://of-file\n';
    writeFileSync(file, `${content}[database]\nsql_alchemy_conn = postgresql://u:geheim@db/airflow\n`);
    const { status, stdout, stderr } = call(['config'], {
      AIRFLOW_HOME: folder,
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 's3://of-env',
    });
    expect({ status, stderr }).toEqual({
      status: 0,
      stderr: `airflow-xcom-exporter: warning: AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH hides ${file}: [common.io] xcom_objectstorage_path, line 3\n`,
    });
    expect(stdout).not.toContain('geheim');
    expect(stdout).toMatch(
      /^xcom\.path +s3:\/\/of-env +Airflow's AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH$/m,
    );
    expect(stdout).toContain(`Airflow's ${file}: [common.io] xcom_objectstorage_threshold, line 2\n`);
    expect(stdout).toContain(`Airflow's ${file}: [database] sql_alchemy_conn, line 5\n`);
    expect(stdout).toMatch(/^xcom\.threshold +1000 /m);
  });

  test('lists every error and ends with 2', () => {
    const { status, stdout, stderr } = call(['config', '--windw=1h', '--ha', 'on'], {
      XCOM_EXPORTER_WINDOW: '24',
    });
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr.trimEnd().split('\n')).toEqual([
      'airflow-xcom-exporter: unknown flag --windw: did you mean --window?',
      expect.stringMatching(/^airflow-xcom-exporter: XCOM_EXPORTER_WINDOW: "24" is not a duration/),
      'airflow-xcom-exporter: --ha: must be off or lock',
    ]);
  });
});

describe('the program', () => {
  test.each([['--help'], ['-h'], ['check', '--help'], ['help'], ['help', 'check']])('%s %s', (...argv) => {
    const { status, stdout, stderr } = call(argv);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    for (const { flag } of settingsTable()) expect(stdout).toContain(`  ${flag}\n`);
    for (const command of ['run', 'check', 'demo', 'config'])
      expect(stdout).toMatch(new RegExp(`^ {2}${command} `, 'm'));
  });

  test('--version', () => {
    expect(call(['--version'])).toEqual({
      status: 0,
      stdout: expect.stringMatching(/^airflow-xcom-exporter \d+\.\d+\.\d+\n$/) as string,
      stderr: '',
    });
  });

  test.each([
    [['check', '--jsn'], 'unknown flag --jsn: did you mean --json?'],
    [['audit', '--inventry', 'x'], 'unknown flag --inventry: did you mean --inventory?'],
    [['canary', '--queu', 'default'], 'canary: unknown flag --queu: did you mean --queue?'],
    [['demo', '--onse'], 'unknown flag --onse: did you mean --once?'],
  ])('%j is told by its right name', (argv, message) => {
    expect(call(argv)).toMatchObject({
      status: 2,
      stdout: '',
      stderr: expect.stringContaining(`airflow-xcom-exporter: ${message}`) as string,
    });
  });

  test.each([
    ['hlep', 'unknown command "hlep": did you mean help?'],
    ['chek', 'unknown command "chek": did you mean check?'],
    [
      'constructor',
      'unknown command "constructor": choose one of run, check, demo, config, audit, canary, help',
    ],
    [
      'postgresql://airflow:planted@db/airflow',
      'unknown command: choose one of run, check, demo, config, audit, canary, help',
    ],
  ])('refuses the command %s', (name, message) => {
    expect(call([name])).toEqual({ status: 2, stdout: '', stderr: `airflow-xcom-exporter: ${message}\n` });
  });
});
