import type { ChildProcess } from 'node:child_process';
import { execFile, spawn } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { chown, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Logger } from 'pino';
import type { PostgresBinaries } from './postgres-binaries.ts';
import { provideBinaries } from './postgres-binaries.ts';
import { serverDirPrefix, sweepStaleServers } from './postgres-sweep.ts';

export interface EmbeddedPostgres {
  readonly host: string;
  readonly port: number;
  readonly user: 'postgres';
  readonly password: string;
  readonly database: string;
  readonly url: string;
  /** Keeps the port, data and password, and cuts every connection. */
  restart(): Promise<void>;
  /** Ends the server and removes its files. A second call does nothing. */
  stop(): Promise<void>;
}

export interface EmbeddedPostgresOptions {
  /** The folder in which the server's own folder is created. */
  readonly dir: string;
  /** Null: any free port. */
  readonly port: number | null;
  /** Server parameters, e.g. `{ max_connections: '200' }`. */
  readonly settings: Readonly<Record<string, string>>;
  readonly log: Logger;
}

/** The account for initdb and postgres. Postgres refuses root, and `nobody` exists on every system. */
interface Account {
  readonly uid: number;
  readonly gid: number;
}

const host = '127.0.0.1';
const nobody = 65534;
const stopGraceMs = 10_000;

/** Nothing here outlives the process, so nothing needs to reach the disk. */
const throwawaySettings = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
  listen_addresses: host,
  unix_socket_directories: '',
  timezone: 'UTC',
  log_timezone: 'UTC',
};

/**
 * The server ends when standard input ends: on `stop`, and also when this process is killed, which no exit handler
 * would notice. The watcher outlives the shell: if only the shell is killed, the watcher still ends the server.
 * The server has its own session (`detached`), so that Ctrl-C reaches the daemon first and its database later.
 */
const supervise = `
echo "$PPID" > "$1/owner"; echo "$$" > "$1/supervisor"; shift
exec 3<&0
"$@" 3<&- </dev/null &
server=$!
( read -r _ <&3; kill -INT "$server" ) 2>/dev/null &
watcher=$!
wait "$server"; code=$?
kill "$watcher" 2>/dev/null
exit "$code"
`;

/**
 * Starts a real PostgreSQL on the loopback, with its data in a temporary folder: about a second.
 *
 * @throws {Error} when the development dependencies are not installed or the server does not come up; the message
 * includes the server's output.
 */
export async function startPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const dir = await mkdtemp(join(options.dir, serverDirPrefix));
  try {
    // The folder's owner is this process's user; `userInfo` fails for a user without an account, as in containers.
    const { uid } = await stat(dir);
    const account = uid === 0 ? { uid: nobody, gid: nobody } : null;
    await sweepStaleServers(options.dir, account?.uid ?? uid);
    return await startIn(dir, { ...options, account });
  } catch (error) {
    await rm(dir, { recursive: true, force: true });
    throw error;
  }
}

async function startIn(
  dir: string,
  options: EmbeddedPostgresOptions & { account: Account | null },
): Promise<EmbeddedPostgres> {
  const { account, log } = options;
  const password = randomBytes(12).toString('hex');
  const binaries = await provideBinaries(dir, account);
  if (account !== null) await chown(dir, account.uid, account.gid);
  await createCluster(dir, { binaries, password, account });

  const settings = { ...throwawaySettings, ...options.settings };
  let server = await bootOnFreePort(dir, { binaries, account, settings, port: options.port });
  const { port } = server;
  log.debug({ host, port, dir }, 'embedded Postgres started');

  let stopped: Promise<void> | null = null;
  return {
    host,
    port,
    user: 'postgres',
    password,
    database: 'postgres',
    url: `postgresql://postgres:${password}@${host}:${port}/postgres`,
    restart: async () => {
      await server.stop();
      server = await boot(dir, { binaries, account, settings, port });
    },
    stop: () => {
      stopped ??= server.stop().then(() => rm(dir, { recursive: true, force: true }));
      return stopped;
    },
  };
}

async function createCluster(
  dir: string,
  options: { binaries: PostgresBinaries; password: string; account: Account | null },
): Promise<void> {
  const { binaries, password, account } = options;
  const passwordFile = join(dir, 'password');
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
  if (account !== null) await chown(passwordFile, account.uid, account.gid);
  const args = ['--pgdata', join(dir, 'data'), '--username', 'postgres', '--pwfile', passwordFile];
  args.push('--auth', 'scram-sha-256', '--encoding', 'UTF8', '--locale', 'C', '--no-sync');
  try {
    await promisify(execFile)(binaries.initdb, args, {
      ...account,
      env: { LC_ALL: 'C', TZ: 'UTC' },
      cwd: dir,
    });
  } catch (cause) {
    const said = (cause as { stderr?: string }).stderr?.trim();
    throw new Error(`Cannot create the embedded Postgres in ${dir}: ${said ?? String(cause)}`, { cause });
  } finally {
    await rm(passwordFile, { force: true });
  }
}

interface RunningServer {
  readonly port: number;
  stop(): Promise<void>;
}

interface BootOptions {
  readonly binaries: PostgresBinaries;
  readonly account: Account | null;
  readonly settings: Readonly<Record<string, string>>;
  readonly port: number;
}

/**
 * Another process may take the port between the check and the bind: then it tries again, unless the caller gave the
 * port.
 */
async function bootOnFreePort(
  dir: string,
  options: Omit<BootOptions, 'port'> & { port: number | null },
): Promise<RunningServer> {
  if (options.port !== null) return boot(dir, { ...options, port: options.port });
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await boot(dir, { ...options, port: await findFreePort() });
    } catch (error) {
      if (attempt === 5 || !String(error).includes('Address already in use')) throw error;
    }
  }
}

async function boot(dir: string, options: BootOptions): Promise<RunningServer> {
  const { binaries, account, settings, port } = options;
  const parameters = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const command = [binaries.postgres, '-D', join(dir, 'data'), '-p', String(port), ...parameters];
  const child = spawn('/bin/sh', ['-c', supervise, 'sh', dir, ...command], {
    ...account,
    cwd: dir,
    env: { LC_ALL: 'C', TZ: 'UTC' },
    stdio: ['pipe', 'ignore', 'pipe'],
    detached: true,
  });
  const exited = new Promise<void>((resolve) =>
    child.once('close', () => {
      resolve();
    }),
  );
  // The pipe breaks when the server ends first; the 'close' event reports that.
  child.stdin.on('error', () => undefined);
  await ready(child, port);
  return { port, stop: () => end(child, exited) };
}

/** Resolves when the server says that it is ready, so that the first connection is never refused. */
function ready(child: ChildProcess, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = '';
    const fail = (cause?: unknown): void => {
      reject(
        new Error(`Cannot start the embedded Postgres on port ${port}: ${said.trim() || String(cause)}`, {
          cause,
        }),
      );
    };
    child.once('error', fail);
    child.once('close', fail);
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      // Keep reading, because a full pipe stops the server; remember only the beginning.
      if (said.length < 10_000) said += text;
      if (text.includes('ready to accept connections')) resolve();
    });
  });
}

async function end(child: ChildProcess, exited: Promise<void>): Promise<void> {
  child.stdin?.end();
  const grace = new AbortController();
  const late = delay(stopGraceMs, 'late', { signal: grace.signal }).catch(() => undefined);
  if ((await Promise.race([exited, late])) === 'late') {
    await promisify(execFile)('/bin/kill', ['-KILL', '--', `-${child.pid ?? 0}`]);
    await exited;
  }
  grace.abort();
}

/** Below the system's range of client ports, where a connection in TIME_WAIT could block the port. */
async function findFreePort(): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const port = randomInt(20_000, 32_000);
    if (await isFree(port)) return port;
  }
  throw new Error('Cannot find a free port between 20000 and 32000 for the embedded Postgres');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => {
      resolve(false);
    });
    probe.listen(port, host, () => {
      probe.close(() => {
        resolve(true);
      });
    });
  });
}
