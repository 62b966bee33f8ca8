import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { appendFile, chown, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { openWriter } from '../../src/postgres/writer.ts';
import type { EmbeddedPostgres } from '../../src/demo/embedded-postgres.ts';

/** The packages that this folder needs, by their purpose. */
const PACKAGES = { postgres: 'postgresql', pgbouncer: 'pgbouncer' };

const host = '127.0.0.1';
/** An address that is reserved for examples: no machine has it, so that a test can add it and take it away. */
export const LOST_HOST = '192.0.2.1';
/** Neither server runs as root. The account `nobody` exists without being made. */
const account: { readonly uid?: number; readonly gid?: number } =
  process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

/** A server of the system's own packages, which have what the embedded one lacks: pg_basebackup. */
export interface SystemPostgres extends EmbeddedPostgres, AsyncDisposable {
  /** A physical standby that follows this one. */
  standby(settings?: Readonly<Record<string, string>>): Promise<SystemPostgres>;
  /** Makes a standby a primary. */
  promote(): Promise<void>;
  /** Ends the server at once and without closing its sessions, like a machine that is lost. */
  kill(): Promise<void>;
  /** Starts the server again after `kill`. */
  start(): Promise<void>;
}

const DEFAULTS = {
  listen_addresses: host,
  unix_socket_directories: '',
  fsync: 'off',
  wal_level: 'replica',
  max_wal_senders: '10',
  hot_standby: 'on',
  timezone: 'UTC',
};

export async function startSystemPostgres(
  settings: Readonly<Record<string, string>> = {},
): Promise<SystemPostgres> {
  const bin = await binaries();
  const dir = await folder();
  await run(join(bin, 'initdb'), [
    '-D',
    join(dir, 'data'),
    '-U',
    'postgres',
    '-A',
    'trust',
    '--no-sync',
    '-E',
    'UTF8',
  ]);
  await appendFile(join(dir, 'data', 'pg_hba.conf'), `host all all ${LOST_HOST}/32 trust\n`);
  return boot(dir, { bin, settings });
}

async function boot(
  dir: string,
  { bin, settings }: { bin: string; settings: Readonly<Record<string, string>> },
): Promise<SystemPostgres> {
  const port = await freePort();
  const data = join(dir, 'data');
  const parameters = Object.entries({ ...DEFAULTS, ...settings }).flatMap(([name, value]) => [
    '-c',
    `${name}=${value}`,
  ]);
  const url = `postgresql://postgres:none@${host}:${port}/postgres`;
  let server: ChildProcess | null = null;

  async function start(): Promise<void> {
    server = spawn(join(bin, 'postgres'), ['-D', data, '-p', String(port), ...parameters], {
      ...account,
      stdio: 'ignore',
    });
    await answers(url, `the server in ${dir}`);
  }
  async function end(signal: NodeJS.Signals): Promise<void> {
    const running = server;
    server = null;
    if (running === null) return;
    const exited = new Promise((resolve) => running.once('close', resolve));
    running.kill(signal);
    await exited;
  }
  async function stop(): Promise<void> {
    await end('SIGINT');
    await rm(dir, { recursive: true, force: true });
  }

  await start();
  return {
    host,
    port,
    user: 'postgres',
    password: 'none',
    database: 'postgres',
    url,
    start,
    stop,
    restart: async () => {
      await end('SIGINT');
      await start();
    },
    // The children of a killed server end when they notice; a new server waits for them.
    kill: () => end('SIGQUIT'),
    promote: async () => {
      const writer = await openWriter({ url, connections: 1 });
      await writer.query('SELECT pg_promote(true, 30)');
      await writer.close();
    },
    standby: async (own = {}) => {
      const to = await folder();
      const from = ['-h', host, '-p', String(port), '-U', 'postgres'];
      await run(join(bin, 'pg_basebackup'), [
        '-D',
        join(to, 'data'),
        ...from,
        '-R',
        '-X',
        'stream',
        '-c',
        'fast',
      ]);
      return boot(to, { bin, settings: { ...settings, ...own } });
    },
    [Symbol.asyncDispose]: stop,
  };
}

export interface Pooler extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** The URL of a database of the upstream server, through the pooler. */
  url(database: string): string;
  restart(): Promise<void>;
}

/** Starts pgbouncer in front of a server whose user is `postgres`. */
export async function startPgbouncer(
  upstream: { readonly port: number; readonly password: string },
  settings: Readonly<Record<string, string>> = {},
): Promise<Pooler> {
  const dir = await folder();
  const port = await freePort();
  await writeFile(join(dir, 'users.txt'), `"postgres" "${upstream.password}"\n`);
  const lines = {
    listen_addr: host,
    listen_port: String(port),
    auth_type: 'scram-sha-256',
    auth_file: join(dir, 'users.txt'),
    pool_mode: 'transaction',
    unix_socket_dir: '',
    server_login_retry: '1',
    ...settings,
  };
  const config = join(dir, 'pgbouncer.ini');
  await writeFile(
    config,
    [
      '[databases]',
      `* = host=${host} port=${upstream.port}`,
      '[pgbouncer]',
      ...Object.entries(lines).map(([name, value]) => `${name} = ${value}`),
      '',
    ].join('\n'),
  );
  const url = (database: string) => `postgresql://postgres:${upstream.password}@${host}:${port}/${database}`;
  let pooler: ChildProcess | null = null;

  async function start(): Promise<void> {
    pooler = spawn('pgbouncer', [config], { ...account, stdio: 'ignore' });
    const failed = new Promise<never>((_, reject) =>
      pooler?.once('error', (cause) => {
        reject(new Error(`Cannot run pgbouncer: apt-get install ${PACKAGES.pgbouncer}`, { cause }));
      }),
    );
    await Promise.race([failed, answers(url('postgres'), 'pgbouncer')]);
  }
  async function end(): Promise<void> {
    const running = pooler;
    pooler = null;
    if (running === null) return;
    const exited = new Promise((resolve) => running.once('close', resolve));
    running.kill('SIGTERM');
    await exited;
  }

  await start();
  return {
    host,
    port,
    url,
    restart: async () => {
      await end();
      await start();
    },
    [Symbol.asyncDispose]: async () => {
      await end();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** The folder where Debian and Ubuntu keep the newest server. */
async function binaries(): Promise<string> {
  const root = '/usr/lib/postgresql';
  const versions = await readdir(root).catch(() => []);
  const [newest] = versions.sort((a, b) => Number(b) - Number(a));
  if (newest === undefined)
    throw new Error(`Cannot find a Postgres server in ${root}: apt-get install ${PACKAGES.postgres}`);
  return join(root, newest, 'bin');
}

async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'xcom-database-'));
  const { uid, gid } = account;
  if (uid !== undefined && gid !== undefined) await chown(dir, uid, gid);
  return dir;
}

async function run(program: string, args: readonly string[]): Promise<void> {
  await promisify(execFile)(program, args, { ...account, cwd: '/', env: { LC_ALL: 'C.UTF-8' } });
}

async function answers(url: string, name: string): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      await (await openWriter({ url, connections: 1 })).close();
      return;
    } catch (cause) {
      if (attempt === 100) throw new Error(`Cannot reach ${name}`, { cause });
      await delay(100);
    }
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, host, () => {
      const address = server.address();
      server.close(() => {
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      });
    });
  });
}
