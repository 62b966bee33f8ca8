import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, get as httpGet } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { openWriter } from '../../src/postgres/writer.ts';
import { startHttpFaultProxy } from '../support/http-fault-proxy.ts';
import { startTcpFaultProxy } from '../support/tcp-fault-proxy.ts';
import { backendsOf, eventually, faceOf, startAirflow, workerEnv } from '../support/daemon.ts';
import type { Face, SmallAirflow } from '../support/daemon.ts';
import { useOwnPostgres } from '../support/postgres.ts';
import { useS3 } from '../support/s3.ts';

const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const postgres = useOwnPostgres();
const s3 = useS3('airflow-xcom');

type Env = Readonly<Record<string, string>>;

interface Program {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly exit: Promise<number | null>;
}

const running = new Set<ChildProcess>();
afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
  running.clear();
});

/** Starts the built program with only this environment. */
function call(argv: readonly string[], env: Env): Program {
  const child = spawn(process.execPath, [main, ...argv], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  const closed = new Promise<number | null>((resolve) => {
    child.once('close', (code) => {
      running.delete(child);
      resolve(code);
    });
  });
  return {
    child,
    output: () => output,
    exit: closed,
  };
}

/** Starts the daemon, and waits until it listens. */
async function run(env: Env, argv: readonly string[] = []): Promise<Program & Face & { port: number }> {
  const program = call(['run', ...argv], env);
  let port = 0;
  await eventually(() => {
    port = Number(/"port":(\d+),"msg":"listening"/.exec(program.output())?.[1] ?? 0);
    expect(port, program.output()).toBeGreaterThan(0);
  });
  return { ...program, ...faceOf(port), port };
}

/** Airflow, with a proxy in front of each server. */
async function setting() {
  const airflow = await startAirflow(postgres(), s3());
  const database = await startTcpFaultProxy({ upstream: postgres() });
  const storage = await startHttpFaultProxy({ upstream: s3() });
  const folder = mkdtempSync(join(tmpdir(), 'run-test-'));
  return {
    airflow,
    database,
    storage,
    folder,
    env: workerEnv(airflow, s3(), { database, storage }),
    [Symbol.asyncDispose]: async () => {
      for (const child of running) child.kill('SIGKILL');
      await Promise.all([database.stop(), storage.stop()]);
      await airflow.close();
      rmSync(folder, { recursive: true });
    },
  };
}

/** Waits until everything is checked and nothing is wrong, also when the window is empty. */
async function expectHealthy(daemon: Face): Promise<void> {
  await eventually(async () => {
    expect((await daemon.get('/')).text).toMatch(
      /<h1>.*(Healthy|nothing to judge yet, no XCom row is in the window)<\/h1>/s,
    );
  });
}

async function expectNoBackend(airflow: SmallAirflow, seconds: number): Promise<void> {
  await eventually(async () => {
    expect(await backendsOf(airflow)).toEqual([]);
  }, seconds);
}

/** A program that needs longer to close than allowed says so, and ends with another code. */
async function expectGoodEnd(program: Program): Promise<void> {
  expect(await program.exit, program.output()).toBe(0);
  expect(program.output()).not.toContain('not closed within');
}

describe('a signal ends it in time, with code 0,', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)('%s when all is well', async (signal) => {
    await using world = await setting();
    const daemon = await run(world.env);
    await expectHealthy(daemon);
    daemon.child.kill(signal);
    await expectGoodEnd(daemon);
    await expectNoBackend(world.airflow, 2);
  });

  test('in the middle of a cycle that waits for a stalled Postgres', async () => {
    await using world = await setting();
    const daemon = await run(world.env);
    await expectHealthy(daemon);
    await world.database.setMode('stall');
    await delay(1_500);
    daemon.child.kill('SIGTERM');
    await expectGoodEnd(daemon);
    await world.database.setMode('pass');
    await expectNoBackend(world.airflow, 5);
  });

  test('in the middle of a cycle that waits for a lock', async () => {
    await using world = await setting();
    const daemon = await run(world.env);
    await expectHealthy(daemon);
    const locker = await openWriter({ url: world.airflow.url, connections: 1 });
    try {
      await world.airflow.push('one');
      await locker.query('BEGIN; LOCK TABLE xcom IN ACCESS EXCLUSIVE MODE');
      await eventually(async () => {
        expect(await backendsOf(world.airflow)).toEqual([{ state: 'active' }]);
      });
      daemon.child.kill('SIGTERM');
      await expectGoodEnd(daemon);
      // The server ends the statement by its own limit.
      await expectNoBackend(world.airflow, 3);
    } finally {
      await locker.query('ROLLBACK');
      await locker.close();
    }
  });

  test('in the middle of a cycle that waits for a stalled S3', async () => {
    await using world = await setting();
    const daemon = await run(world.env);
    await expectHealthy(daemon);
    world.storage.setFault({ answer: 'stall' });
    await world.airflow.push('x'.repeat(500));
    await delay(1_500);
    daemon.child.kill('SIGTERM');
    await expectGoodEnd(daemon);
    await expectNoBackend(world.airflow, 3);
  });

  test('with everything stalled, a scraper that keeps its connection and a client that says nothing', async () => {
    await using world = await setting();
    const daemon = await run(world.env);
    await expectHealthy(daemon);
    const agent = new Agent({ keepAlive: true });
    await new Promise((resolve) => {
      httpGet(`${daemon.url}/metrics`, { agent }, (answer) => answer.resume().once('end', resolve));
    });
    const silent = httpGet({ host: '127.0.0.1', port: daemon.port, path: '/-/healthy', agent: new Agent() });
    silent.on('error', () => undefined);
    world.storage.setFault({ answer: 'stall' });
    await delay(1_000);
    await world.database.setMode('stall');
    await delay(1_200);
    daemon.child.kill('SIGTERM');
    await expectGoodEnd(daemon);
    agent.destroy();
  });

  test('before either server has ever answered', async () => {
    await using world = await setting();
    await world.database.setMode('stall');
    world.storage.setFault({ answer: 'stall' });
    const daemon = await run(world.env);
    expect((await daemon.get('/metrics')).status).toBe(200);
    daemon.child.kill('SIGINT');
    await expectGoodEnd(daemon);
  });
});

describe('what cannot start says why', () => {
  test('a port that is taken', async () => {
    await using world = await setting();
    const first = await run(world.env);
    const second = call([], {
      ...world.env,
      XCOM_EXPORTER_WEB_LISTEN_ADDRESS: `127.0.0.1:${first.port}`,
      XCOM_EXPORTER_LOG_LEVEL: 'info',
    });
    const code = await second.exit;
    expect(code).toBe(1);
    expect(second.output()).toBe(
      `airflow-xcom-exporter: Cannot listen on 127.0.0.1:${first.port}: another process listens there; stop it or set web.listen-address to a free port\n`,
    );
    expect((await first.get('/-/healthy')).status).toBe(200);
  });

  test('settings that are wrong, all of them', async () => {
    const wrong = call(['--windw', '1h', '--labels.max-dags=-1'], {
      XCOM_EXPORTER_SAMPLE_SCHEDULE: 'often',
      XCOM_EXPORTER_HA: 'yes',
      AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: 'mysql://airflow:planted-password@db/airflow',
    });
    const code = await wrong.exit;
    expect(code).toBe(2);
    const lines = wrong.output().trimEnd().split('\n');
    for (const part of [
      '--windw: did you mean --window?',
      '--labels.max-dags: "-1"',
      'SAMPLE_SCHEDULE: what is given has 1 field',
      'XCOM_EXPORTER_HA: must be off or lock',
      'AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: ',
    ])
      expect(lines).toContainEqual(expect.stringContaining(part));
    expect(lines).toHaveLength(5);
    expect(wrong.output()).not.toContain('planted');
  });

  test('no database', async () => {
    const { exit, output } = call([], {});
    expect(await exit).toBe(2);
    expect(output()).toContain('database.url: not set: give --database.url');
  });
});

test('SIGHUP reads the settings again; wrong ones leave the old in force', async () => {
  await using world = await setting();
  const file = join(world.folder, 'settings.yaml');
  const write = (text: string) => {
    writeFileSync(file, text);
  };
  write('xcom: { oversize: 1000 }\n');
  const daemon = await run(world.env, ['--config.file', file]);
  const reloaded = () => daemon.value('exporter_config_last_reload_successful');
  await eventually(async () => {
    expect(await daemon.value('oversize_bytes')).toBe(1_000);
  });

  write('xcom: { oversize: 2000 }\n');
  daemon.child.kill('SIGHUP');
  await eventually(async () => {
    expect(await daemon.value('oversize_bytes')).toBe(2_000);
    expect(await reloaded()).toBe(1);
  });

  write('xcom: { oversize: many, pth: s3://b }\n');
  daemon.child.kill('SIGHUP');
  await eventually(async () => {
    expect(await reloaded()).toBe(0);
  });
  expect(daemon.output()).toContain('did you mean xcom.path?');
  expect(await daemon.value('oversize_bytes')).toBe(2_000);

  write('xcom: { oversize: 3000 }\n');
  for (let i = 0; i < 5; i += 1) daemon.child.kill('SIGHUP');
  await eventually(async () => {
    expect(await daemon.value('oversize_bytes')).toBe(3_000);
    expect(await reloaded()).toBe(1);
  });
  expect(daemon.child.exitCode).toBeNull();
  daemon.child.kill('SIGTERM');
  expect(await daemon.exit).toBe(0);
});

test('a restart of the database ends sessions, and not the process', async () => {
  await using world = await setting();
  const daemon = await run({ ...world.env, XCOM_EXPORTER_HA: 'lock' });
  await expectHealthy(daemon);
  await postgres().restart();
  const restartedAt = Date.now() / 1_000;
  await eventually(async () => {
    const labels = { name: 'sample' };
    expect(await daemon.value('exporter_job_last_success_timestamp_seconds', labels)).toBeGreaterThan(
      restartedAt,
    );
    expect(await daemon.value('exporter_leader')).toBe(1);
  });
  await expectHealthy(daemon);
  expect(daemon.child.exitCode).toBeNull();
});

describe('no secret and no value', () => {
  const planted = {
    storageKey: 'planted-storage-key',
    row: 'planted-row',
    path: 'planted-path/aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee',
    object: 'planted-object',
  };

  async function everyAnswer(daemon: Face): Promise<string> {
    const paths = [
      '/metrics',
      '/',
      '/api/v1/status',
      '/api/v1/findings?limit=1000',
      '/-/healthy',
      '/-/ready',
    ];
    const answers = await Promise.all(paths.map((path) => daemon.get(path)));
    for (const { status } of answers) expect(status).toBe(200);
    return answers.map(({ text }) => text).join('\n');
  }

  test('is in any output, answer or file, also when things fail', async () => {
    await using world = await setting();
    const { airflow, database, storage, folder } = world;
    const state = join(folder, 'state');
    const env: Record<string, string> = {
      ...world.env,
      AIRFLOW_CONN_AWS_XCOM: (world.env['AIRFLOW_CONN_AWS_XCOM'] ?? '').replace(
        s3().secretAccessKey,
        planted.storageKey,
      ),
    };
    const secrets = [postgres().password, ...Object.values(planted), 'planted'];
    const commands: readonly (readonly string[])[] = [['config'], ['check'], ['check', '--json']];
    const said: string[] = [];
    async function callAll(changes: Env = {}): Promise<(number | null)[]> {
      const programs = commands.map((argv) => call(argv, { ...env, ...changes }));
      const ends = await Promise.all(programs.map(({ exit }) => exit));
      said.push(...programs.map(({ output }) => output()));
      return ends;
    }

    const daemon = await run({ ...env, XCOM_EXPORTER_STATE_FILE: state });
    await expectHealthy(daemon);
    await airflow.push(planted.row);
    await airflow.push({ [planted.row]: [planted.row] });
    await airflow.push(planted.path);
    const key = await airflow.push(planted.object.repeat(20));
    // The row is oversize in the database, and is reported singly.
    await airflow.writer.query(
      `UPDATE xcom SET value = to_jsonb(repeat('planted-row', 50)) WHERE task_id = 'task_1'`,
    );
    await airflow.deleteObject(key ?? '');
    await eventually(async () => {
      const findings = (await daemon.get('/api/v1/findings')).text;
      expect(findings).toContain('objects_missing');
      expect(findings).toContain('task_1');
    });
    said.push(await everyAnswer(daemon));
    expect(await callAll()).toEqual([0, 1, 1]);
    said.push(readFileSync(state, 'utf8'));

    storage.setFault({ answer: 'deny' });
    await database.setMode('cut');
    await eventually(async () => {
      expect(await daemon.value('exporter_up', { target: 'database' })).toBe(0);
      expect(await daemon.value('exporter_up', { target: 's3' })).toBe(0);
    });
    said.push(await everyAnswer(daemon));
    await callAll();
    await database.setMode('pass');
    const wrong = (env['AIRFLOW__DATABASE__SQL_ALCHEMY_CONN'] ?? '').replace(
      postgres().password,
      'planted-password',
    );
    const codes = await callAll({ AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: wrong });
    expect(codes[0]).toBe(0);
    expect(codes[1]).toBeGreaterThan(0);
    // The password breaks its URL: a parser's error would quote it.
    const broken = wrong.replace('planted-password@', 'planted%password@').replace(/:\d+\//, ':planted/');
    expect(await callAll({ AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: broken })).toEqual([2, 2, 2]);

    daemon.child.kill('SIGTERM');
    expect(await daemon.exit).toBe(0);
    said.push(daemon.output());
    const all = said.join('\n');
    expect(all).toContain('task_1');
    for (const secret of secrets) expect(contextOf(all, secret)).toBeNull();
  });
});

/** The text around the word, for a helpful message; null when the word is not there. */
function contextOf(text: string, word: string): string | null {
  const at = text.indexOf(word);
  return at < 0 ? null : text.slice(Math.max(0, at - 100), at + 100);
}
