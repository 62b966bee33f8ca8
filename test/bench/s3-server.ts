import { execFile, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { startS3 } from '../../src/demo/embedded-s3.ts';

const run = promisify(execFile);
const CACHE = join(homedir(), '.cache', 'airflow-xcom-exporter');
const VERSITYGW = 'github.com/versity/versitygw/cmd/versitygw@v1.8.0';
const S5CMD = { module: 'github.com/peak/s5cmd/v2', version: 'v2.3.0' };

export interface BenchServer {
  readonly name: string;
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
  stop(): Promise<void>;
}

/**
 * Starts versitygw, which verifies signatures, with these keys in its bucket `xcom`. If there is neither versitygw
 * nor Go, starts fauxqs, which does not verify them.
 */
export async function startServer(keys: readonly string[]): Promise<BenchServer> {
  const program = await findProgram('versitygw', async (path) => {
    await run('go', ['install', VERSITYGW], { env: { ...process.env, GOBIN: dirname(path) } });
  });
  return program === null ? startFauxqs(keys) : startVersitygw(program, keys);
}

/** The path and version of s5cmd, which Go builds if it is missing; null if there is neither s5cmd nor Go. */
export async function findS5cmd(): Promise<{ path: string; version: string } | null> {
  const path = await findProgram('s5cmd', async (target) => {
    const folder = await mkdtemp(join(tmpdir(), 'xcom-bench-'));
    try {
      // s5cmd is a requirement of an empty module: `go install` asks the proxy for more than the version that is
      // named.
      const { module, version } = S5CMD;
      await writeFile(join(folder, 'go.mod'), `module bench\n\ngo 1.22\n\nrequire ${module} ${version}\n`);
      const env = { ...process.env, GOFLAGS: '-mod=mod' };
      await run('go', ['build', '-o', target, module], { cwd: folder, env });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
  if (path === null) return null;
  const { stdout } = await run(path, ['version']);
  // An s5cmd that is built from the module's source does not know its own version.
  return { path, version: stdout.includes('dev') ? S5CMD.version : stdout.trim() };
}

async function findProgram(name: string, build: (path: string) => Promise<void>): Promise<string | null> {
  for (const path of [name, join(CACHE, 'bin', name)]) {
    const there = await run(path, ['--version']).then(
      () => true,
      (error: unknown) => (error as NodeJS.ErrnoException).code !== 'ENOENT',
    );
    if (there) return path;
  }
  try {
    await run('go', ['version']);
  } catch {
    return null;
  }
  console.log(`building ${name} (minutes, once)`);
  await mkdir(join(CACHE, 'bin'), { recursive: true });
  await build(join(CACHE, 'bin', name));
  return join(CACHE, 'bin', name);
}

async function startVersitygw(program: string, keys: readonly string[]): Promise<BenchServer> {
  const folder = await mkdtemp(join(tmpdir(), 'xcom-bench-'));
  const root = join(folder, 'buckets');
  // Files that another program writes there are objects as well, and writing them is a hundred times faster.
  const folders = new Set(keys.map((key) => dirname(join(root, 'xcom', key))));
  for (const one of folders) await mkdir(one, { recursive: true });
  for (let at = 0; at < keys.length; at += 500)
    await Promise.all(keys.slice(at, at + 500).map((key) => writeFile(join(root, 'xcom', key), 'value')));
  await mkdir(join(folder, 'sidecar'));

  const account = { accessKeyId: 'bench', secretAccessKey: 'bench-secret', region: 'us-east-1' };
  const port = await freePort();
  const { stdout } = await run(program, ['--version']);
  const version = /Version\s*:\s*(\S+)/.exec(stdout)?.[1] ?? 'unknown';
  const listen = ['--port', `127.0.0.1:${port}`, '--keep-alive', '--quiet'];
  const access = ['--access', account.accessKeyId, '--secret', account.secretAccessKey];
  const store = ['posix', '--default-etag', '"0"', '--sidecar', join(folder, 'sidecar'), root];
  const child = spawn(program, [...listen, ...access, '--region', account.region, ...store], {
    stdio: 'ignore',
  });
  const endpoint = `http://127.0.0.1:${port}`;
  await answering(endpoint);
  return {
    name: `versitygw ${version === 'git' ? (VERSITYGW.split('@')[1] ?? '') : version}`,
    endpoint,
    ...account,
    stop: async () => {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill();
      await ended;
      await rm(folder, { recursive: true });
    },
  };
}

async function startFauxqs(keys: readonly string[]): Promise<BenchServer> {
  const server = await startS3({ log: pino({ level: 'silent' }) });
  await server.createBucket('xcom');
  for (let at = 0; at < keys.length; at += 200)
    await Promise.all(
      keys.slice(at, at + 200).map((key) => {
        const path = key.split('/').map(encodeURIComponent).join('/');
        return fetch(`${server.endpoint}/xcom/${path}`, { method: 'PUT', body: 'value' });
      }),
    );
  return { ...server, name: 'fauxqs (no Go here for versitygw; it checks no signature)' };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function answering(url: string): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    try {
      await (await fetch(url)).arrayBuffer();
      return;
    } catch {
      await delay(100);
    }
  }
  throw new Error(`The S3 server at ${url} did not start`);
}
