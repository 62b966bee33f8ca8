import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, closeSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkCommand } from '../../src/commands/check.ts';
import { configCommand } from '../../src/commands/config.ts';
import { runCommand } from '../../src/commands/run.ts';
import { ConfigError } from '../../src/settings/config.ts';
import { startHttpFaultProxy } from '../support/http-fault-proxy.ts';
import { callCommand } from '../support/call-command.ts';
import { startAirflow, workerEnv } from '../support/daemon.ts';
import type { SmallAirflow } from '../support/daemon.ts';
import { faultOf } from '../support/open-api.ts';
import { usePostgres } from '../support/postgres.ts';
import { useS3 } from '../support/s3.ts';

const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const postgres = usePostgres();
const s3 = useS3('airflow-xcom');

type Env = Readonly<Record<string, string>>;
let airflow: SmallAirflow;
let folder = '';
beforeAll(async () => {
  airflow = await startAirflow(postgres(), s3());
  folder = mkdtempSync(join(tmpdir(), 'check-'));
  await airflow.push('small');
  await airflow.push('large '.repeat(40));
});
afterAll(async () => {
  await airflow.close();
  rmSync(folder, { recursive: true });
});

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs the built program. `stdout`: a file descriptor in place of the pipe; `leaves`: the reader closes the pipe at
 * once.
 */
function call(
  argv: readonly string[],
  { env = {}, stdout, leaves = false }: { env?: Env; stdout?: number; leaves?: boolean } = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [main, ...argv], {
    env,
    stdio: ['ignore', stdout ?? 'pipe', 'pipe'],
  });
  const said = { stdout: '', stderr: '' };
  if (leaves) child.stdout?.destroy();
  else child.stdout?.setEncoding('utf8').on('data', (text: string) => (said.stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said.stderr += text));
  return new Promise((resolve) => {
    child.once('close', (code) => {
      resolve({ code, ...said });
    });
  });
}

describe('check', () => {
  test('--json is as described, and is all that is printed', async () => {
    const { code, stdout, stderr } = await call(['check', '--json'], { env: workerEnv(airflow, s3()) });
    const document = JSON.parse(stdout) as Record<string, unknown>;
    expect([code, stderr, faultOf(document, 'Check')]).toEqual([0, '', null]);
    expect(document).toMatchObject({
      schema_version: 1,
      exit_code: 0,
      verdict: { state: 'healthy', title: 'Healthy' },
      problems: [],
      findings: [],
      warnings: [],
    });
  });

  test.each([[['check']], [['check', '--json']], [['check', '--probe-only', '--json']]])(
    '%j to a reader that leaves keeps its code, and to a full disk cannot say it',
    async (argv) => {
      const env = workerEnv(airflow, s3());
      expect(await call(argv, { env, leaves: true })).toEqual({ code: 0, stdout: '', stderr: '' });
      const full = openSync('/dev/full', 'w');
      try {
        expect(await call(argv, { env, stdout: full })).toEqual({
          code: 2,
          stdout: '',
          stderr: 'airflow-xcom-exporter: Cannot write to standard output: ENOSPC\n',
        });
      } finally {
        closeSync(full);
      }
    },
  );

  test('says that the backend has no path, with an empty database too, and where it was misspelt', async () => {
    const empty = await startAirflow(postgres(), s3());
    try {
      const { AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: path = '', ...rest } = workerEnv(empty, s3());
      const env = { ...rest, AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PAHT: path };
      const { code, stdout } = await call(['check'], { env });
      expect(code).toBe(2);
      expect(stdout).toContain('Could not decide.\nxcom.path is not known');
      expect(stdout).toContain(
        "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PAHT is no variable of Airflow's, which ignores it without a word: did you mean AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH?",
      );
      expect(stdout).toContain(
        'xcom.path is not known (give AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH=s3://[conn_id@]bucket[/prefix] or xcom.path)',
      );
      const { warnings } = JSON.parse((await call(['check', '--json'], { env })).stdout) as {
        warnings: string[];
      };
      expect(warnings).toHaveLength(1);
      const told = await call(['check'], {
        env: { ...rest, AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: '' },
      });
      expect(told.stdout).toContain('xcom.backend is the object storage backend, but xcom.path is empty');
    } finally {
      await empty.close();
    }
  });

  test('libraries that print on DEBUG print nothing: what they send holds passwords', async () => {
    // Any server that answers can stand for the proxy: a library that prints does so before the answer.
    const proxy = s3().endpoint.replace('http://', 'http://proxy-user:proxy-password@');
    const { stdout, stderr } = await call(['check', '--probe-only'], {
      env: {
        DEBUG: '*',
        HTTP_PROXY: proxy,
        AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 's3://aws_xcom@airflow-xcom/xcom',
        AIRFLOW_CONN_AWS_XCOM:
          'aws://key:secret@/?endpoint_url=http%3A%2F%2Fs3.example&region_name=us-east-1',
      },
    });
    expect(stdout).toContain('s3.example');
    expect(stderr).toBe('');
    expect(stdout).not.toContain('proxy-password');
  });

  test('a file of keys is read where botocore looks for it', async () => {
    writeFileSync(join(folder, 'keys'), '[default]\naws_access_key_id = KEY\naws_secret_access_key = x\n');
    const asked = new Set<string | undefined>();
    const server = createServer((request, response) => {
      request.resume();
      asked.add(request.headers.authorization?.split(/[=/]/)[1]);
      response.writeHead(403).end();
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    await call(['check', '--probe-only'], {
      env: {
        KEYS_FOLDER: folder,
        AWS_SHARED_CREDENTIALS_FILE: '$KEYS_FOLDER/keys',
        AWS_EC2_METADATA_DISABLED: 'true',
        AWS_ENDPOINT_URL: `http://127.0.0.1:${port}`,
        AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 's3://b/xcom',
      },
    });
    server.close();
    expect(asked).toContain('KEY');
  });

  test('colours for a terminal that wants them, and nothing else', async () => {
    const env = workerEnv(airflow, s3());
    const escape = '\u001b[';
    const colours = async (isTty: boolean, changes: Env) =>
      (await callCommand(checkCommand, { env: { ...env, ...changes }, isTty })).stdout.includes(escape);
    expect(await colours(true, {})).toBe(true);
    expect(await colours(false, {})).toBe(false);
    expect(await colours(true, { NO_COLOR: '1' })).toBe(false);
    expect(await colours(true, { NO_COLOR: '' })).toBe(true);
    expect(await colours(true, { TERM: 'dumb' })).toBe(false);
  });

  test('long work shows that it goes on, on a terminal only, and leaves no trace on it', async () => {
    const slow = await startHttpFaultProxy({ upstream: s3() });
    slow.setFault({ answer: { delayMs: 400 } });
    try {
      const env = workerEnv(airflow, s3(), { storage: slow });
      const onTerminal = await callCommand(checkCommand, { env, stderrIsTty: true });
      expect(onTerminal.stderr).toMatch(/^(?:\r\u001b\[K[^\r\n]+ \(\d+ s\))+\r\u001b\[K$/);
      expect(onTerminal.stderr).toMatch(/requests to object storage/);
      expect((await callCommand(checkCommand, { env })).stderr).toBe('');
    } finally {
      await slow.stop();
    }
  });
});

/** The problems that a command names when it refuses to do its work. */
async function refusalOf(command: typeof configCommand, env: Env): Promise<readonly string[]> {
  try {
    // If the command starts after all, it ends at once.
    await callCommand(command, { env, signal: AbortSignal.abort() });
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    return [error instanceof Error ? error.message : String(error)];
  }
  return ['nothing is refused'];
}

describe('config refuses what run refuses', () => {
  const url = 'postgresql://u:p@127.0.0.1:1/d';
  const inFolder = (name: string, content: string) => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };

  test.each<[string, () => Env, string]>([
    ['no database', () => ({}), 'database.url: not set'],
    [
      'a state file whose folder is not there',
      () => ({ XCOM_EXPORTER_STATE_FILE: join(folder, 'no', 'state') }),
      'Cannot write the state file',
    ],
    [
      'a state file that is damaged',
      () => ({ XCOM_EXPORTER_STATE_FILE: inFolder('state', '{"format":') }),
      'Cannot use the state file',
    ],
    [
      'a web configuration that is wrong',
      () => ({ XCOM_EXPORTER_WEB_CONFIG_FILE: inFolder('web.yml', 'basic_auth: {}\n') }),
      'basic_auth',
    ],
    [
      'a web configuration that is not there',
      () => ({ XCOM_EXPORTER_WEB_CONFIG_FILE: join(folder, 'none.yml') }),
      'none.yml',
    ],
    [
      'a schedule that never fires',
      () => ({ XCOM_EXPORTER_SAMPLE_SCHEDULE: '0 0 0 30 2 *' }),
      'it never fires (30 2 is an impossible day of month',
    ],
    [
      'authorities that cannot be read',
      () => ({
        AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 's3://aws@b',
        AWS_CA_BUNDLE: '/no-such-ca.pem',
      }),
      'AWS_CA_BUNDLE, REQUESTS_CA_BUNDLE or ca_bundle of the AWS config file: Cannot read /no-such-ca.pem',
    ],
  ])('%s', async (name, envOf, message) => {
    const env: Env = {
      ...(name === 'no database' ? {} : { XCOM_EXPORTER_DATABASE_URL: url }),
      XCOM_EXPORTER_WEB_LISTEN_ADDRESS: '127.0.0.1:0',
      ...envOf(),
    };
    const refused = await refusalOf(configCommand, env);
    expect(refused.join('\n')).toContain(message);
    expect(await refusalOf(runCommand, env)).toEqual(refused);
  });

  test('with the code of wrong settings, and not a row of the table', async () => {
    const { code, stdout, stderr } = await call(['config'], {
      env: { XCOM_EXPORTER_STATE_FILE: join(folder, 'no', 'state') },
    });
    expect([code, stdout, stderr.trimEnd().split('\n')]).toEqual([
      2,
      '',
      [
        expect.stringMatching(/^airflow-xcom-exporter: database\.url: not set/),
        expect.stringMatching(/^airflow-xcom-exporter: Cannot write the state file/),
      ],
    ]);
  });

  test('what is odd is told beside the table, and at the start of run', async () => {
    const env = {
      XCOM_EXPORTER_DATABASE_URL: url,
      AIRFLOW__CORE__XCOM_BACKND: 'geheim',
    };
    const { code, stdout, stderr } = await call(['config'], { env });
    expect([code, stderr]).toEqual([
      0,
      "airflow-xcom-exporter: warning: AIRFLOW__CORE__XCOM_BACKND is no variable of Airflow's, which ignores it without a word: did you mean AIRFLOW__CORE__XCOM_BACKEND?\n",
    ]);
    expect(stdout).not.toContain('geheim');
    // The program does not start, because the folder does not exist. It has reported the odd variable before that.
    const state = { XCOM_EXPORTER_STATE_FILE: join(folder, 'no', 'state') };
    const run = await call(['run'], { env: { ...env, ...state } });
    expect(run.stdout).toContain('did you mean AIRFLOW__CORE__XCOM_BACKEND?');
  });
});
