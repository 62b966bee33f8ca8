import type { ChildProcess } from 'node:child_process';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chown, cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { openWriter } from '../../src/postgres/writer.ts';
import { provideBinaries } from '../../src/demo/postgres-binaries.ts';

/** One server of the cluster. The folder outlives its processes. */
export interface Node {
  readonly port: number;
  url(database: string): string;
  start(): Promise<void>;
  /** Stops the server; `immediate` leaves the same behind as a crash. */
  stop(mode: 'fast' | 'immediate'): Promise<void>;
}

/** A primary that ships its log, and standbys made from it. */
export interface Cluster {
  primary(): Node;
  /** Copies the primary, which is stopped for that moment, and lets the copy follow it. */
  addStandby(): Promise<Node>;
  /** Waits until the standby has everything, ends the primary as a crash does and promotes the standby. */
  failOver(standby: Node): Promise<void>;
  stop(): Promise<void>;
}

const host = '127.0.0.1';
/** Postgres refuses to run as root; the account `nobody` exists on every Debian. */
const nobody = 65534;
const SIGNALS = { fast: 'SIGINT', immediate: 'SIGQUIT' } as const;
const parameters = {
  wal_level: 'replica',
  max_wal_senders: '4',
  hot_standby: 'on',
  fsync: 'off',
  listen_addresses: host,
  unix_socket_directories: '',
  timezone: 'UTC',
};

/** Real servers, with the binaries of the development dependency; `ports` must be free. */
export async function startCluster(dir: string, ports: readonly number[]): Promise<Cluster> {
  const account = process.getuid?.() === 0 ? { uid: nobody, gid: nobody } : null;
  const own = async (path: string) => {
    if (account !== null) await chown(path, account.uid, account.gid);
  };
  await mkdir(dir, { recursive: true });
  await own(dir);
  const binaries = await provideBinaries(dir, account);
  const password = 'cluster';
  const environment = { LC_ALL: 'C', TZ: 'UTC' };
  const nodes: Node[] = [];

  function node(port: number): Node & { readonly data: string } {
    const data = join(dir, String(port));
    let child: ChildProcess | null = null;
    const made = {
      port,
      data,
      url: (database: string) => `postgresql://postgres:${password}@${host}:${port}/${database}`,
      async start() {
        const settings = Object.entries(parameters).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
        const command = [binaries.postgres, '-D', data, '-p', String(port), ...settings];
        // The server ends with this process, in whatever way this process ends.
        const started = spawn('setpriv', ['--pdeathsig', 'INT', ...command], {
          ...account,
          cwd: dir,
          env: environment,
          stdio: ['ignore', 'ignore', 'pipe'],
        });
        child = started;
        let said = '';
        started.stderr.setEncoding('utf8').on('data', (text: string) => {
          if (said.length < 20_000) said += text;
        });
        while (!/ready to accept (read-only )?connections/.test(said)) {
          if (started.exitCode !== null) throw new Error(`Postgres on port ${port} did not start: ${said}`);
          await delay(20);
        }
      },
      async stop(mode: 'fast' | 'immediate') {
        if (child === null || child.exitCode !== null) return;
        const ended = once(child, 'close');
        child.kill(SIGNALS[mode]);
        await ended;
        child = null;
      },
    };
    nodes.push(made);
    return made;
  }

  const [first = 0, ...rest] = ports;
  let primary = node(first);
  const passwordFile = join(dir, 'password');
  await writeFile(passwordFile, password);
  await own(passwordFile);
  await promisify(execFile)(
    binaries.initdb,
    // prettier-ignore
    ['--pgdata', primary.data, '--username', 'postgres', '--pwfile', passwordFile, '--auth', 'scram-sha-256',
      '--encoding', 'UTF8', '--locale', 'C', '--no-sync'],
    { ...account, env: environment, cwd: dir },
  );
  await primary.start();

  return {
    primary: () => primary,
    async addStandby() {
      const standby = node(rest.shift() ?? 0);
      await primary.stop('fast');
      await cp(primary.data, standby.data, { recursive: true, preserveTimestamps: true });
      if (account !== null)
        await promisify(execFile)('chown', ['-R', `${account.uid}:${account.gid}`, standby.data]);
      const source = `host=${host} port=${primary.port} user=postgres password=${password}`;
      await writeFile(join(standby.data, 'standby.signal'), '');
      await writeFile(join(standby.data, 'postgresql.auto.conf'), `primary_conninfo = '${source}'\n`);
      await primary.start();
      await standby.start();
      return standby;
    },
    async failOver(standby) {
      const old = await openWriter({ url: primary.url('postgres'), connections: 1 });
      for (;;) {
        const [state] = await old.query<{ behind: string }>(
          'SELECT (pg_current_wal_lsn() - replay_lsn)::text AS behind FROM pg_stat_replication',
        );
        if (state?.behind === '0') break;
        await delay(50);
      }
      await old.close();
      await primary.stop('immediate');
      const next = await openWriter({ url: standby.url('postgres'), connections: 1 });
      await next.query('SELECT pg_promote(true, 30)');
      await next.close();
      primary = standby as typeof primary;
    },
    async stop() {
      await Promise.all(nodes.map((one) => one.stop('immediate')));
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** A free port below the range from which the system takes client ports. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const probe = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      probe.once('error', () => {
        resolve(false);
      });
      probe.listen(port, '127.0.0.1', () => {
        resolve((probe.address() as AddressInfo).port === port);
      });
    });
    await new Promise((resolve) => probe.close(resolve));
    if (isFree) return port;
  }
}
