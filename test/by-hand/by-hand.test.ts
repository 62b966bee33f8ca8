import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { commandsOf, inlineCommandsOf } from '../support/commands-shown.ts';
import { useS3 } from '../support/s3.ts';

// `npm run test:by-hand` runs the commands of other programs that the docs tell a reader to type. AWS=/path/aws and
// AIRFLOW=/path/airflow name the programs; otherwise they are looked for in PATH.

const run = promisify(execFile);
const s3 = useS3('airflow-xcom');
const root = new URL('../../', import.meta.url);
const docs = readdirSync(new URL('docs/', root)).filter((name) => name.endsWith('.md'));
const shown = [
  ...new Set(
    docs.flatMap((name) => {
      const text = readFileSync(new URL(`docs/${name}`, root), 'utf8');
      return [...commandsOf(text), ...inlineCommandsOf(text)];
    }),
  ),
];

const KEY = 'xcom/dag/run/task/8f6b1f0e-0d8a-4d2b-9f0a-3a4f8b3f0c11';
const home = mkdtempSync(join(tmpdir(), 'by-hand-'));
afterAll(() => {
  rmSync(home, { recursive: true });
});

interface Ended {
  readonly code: number;
  readonly output: string;
}

async function call(command: string, env: Readonly<Record<string, string>>): Promise<Ended> {
  try {
    const { stdout, stderr } = await run('sh', ['-c', command], { env, cwd: home });
    return { code: 0, output: stdout + stderr };
  } catch (error) {
    const {
      code,
      stdout = '',
      stderr = '',
    } = Object(error) as { code: number; stdout?: string; stderr?: string };
    return { code, output: stdout + stderr };
  }
}

function pathWith(variable: 'AWS' | 'AIRFLOW'): string {
  const program = process.env[variable];
  const folder = program === undefined ? [] : [program.replace(/\/[^/]*$/, '')];
  return [...folder, process.env['PATH'] ?? ''].join(':');
}

describe('aws', () => {
  const commands = shown.filter(
    (command) => /^(?:echo test \| )?aws /.test(command) && !/\$part/.test(command),
  );

  beforeAll(async () => {
    expect((await call('aws --version', { PATH: pathWith('AWS') })).output).toMatch(/^aws-cli\//);
    writeFileSync(join(home, 'body'), '"value"');
    expect(await aws(`aws s3 cp body s3://airflow-xcom/${KEY}`)).toMatchObject({ code: 0 });
  });

  function aws(command: string): Promise<Ended> {
    const { endpoint, accessKeyId, secretAccessKey, region } = s3();
    return call(command.replaceAll('ENDPOINT', endpoint), {
      PATH: pathWith('AWS'),
      HOME: home,
      AWS_ENDPOINT_URL: endpoint,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      AWS_DEFAULT_REGION: region,
      AWS_PAGER: '',
    });
  }

  test('there are some', () => {
    expect(commands.length).toBeGreaterThan(8);
  });

  test.each(commands)('%s', async (command) => {
    const { code, output } = await aws(
      command
        .replaceAll('BUCKET', 'airflow-xcom')
        .replaceAll('PREFIX/DAG_ID/RUN_ID', 'xcom/dag/run')
        .replaceAll('PREFIX', 'xcom')
        .replaceAll(/\bKEY\b/g, KEY),
    );
    // A bucket without a policy or a rule answers so. A command that the program does not understand ends with 252.
    const none = /\((?:NoSuchBucketPolicy|NoSuchLifecycleConfiguration|NotImplemented)\)/.test(output);
    expect({ code, output }).toEqual({ code: none ? 254 : 0, output });
  });
});

describe('airflow', () => {
  const commands = shown.filter((command) => /^airflow (?!db clean)/.test(command));
  const env = {
    HOME: home,
    AIRFLOW_HOME: home,
    AIRFLOW__CORE__XCOM_BACKEND: 'airflow.providers.common.io.xcom.backend.XComObjectStorageBackend',
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 's3://aws_xcom@airflow-xcom/xcom',
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD: '1000',
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION: 'gzip',
    AIRFLOW_CONN_AWS_XCOM: 'aws://key:secret@/?region_name=us-east-1',
  };

  beforeAll(async () => {
    expect(await call('airflow version', { ...env, PATH: pathWith('AIRFLOW') })).toMatchObject({ code: 0 });
  });

  test('there are some', () => {
    expect(commands.length).toBeGreaterThan(6);
  });

  test.each(commands)('%s', async (command) => {
    const ended = await call(command.replaceAll('<id>', 'aws_xcom'), { ...env, PATH: pathWith('AIRFLOW') });
    expect(ended).toMatchObject({ code: 0 });
  });
});
