import type { ChildProcess } from 'node:child_process';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where the daemon runs: with a table of hosts and a small disk of its own, which nothing else on the machine sees. */
export interface Room {
  /** What stands before the command of a process to be run in it. */
  readonly prefix: readonly string[];
  /** As the daemon names them. */
  readonly databaseHost: string;
  readonly storageHost: string;
  readonly stateDir: string;
  /** Which of the two resolve. */
  setHosts(known: { readonly database: boolean; readonly storage: boolean }): void;
  fillDisk(): void;
  freeDisk(): void;
  close(): Promise<void>;
}

// Without a dot: the S3 server of the demo takes what stands before one for a bucket.
const HOSTS = { database: 'xcom-database', storage: 'xcom-storage' } as const;
const DISK = '64m';

/** Null where a namespace of mounts cannot be had: that takes root, and Linux. */
export async function openRoom(dir: string): Promise<Room | null> {
  const stateDir = join(dir, 'state');
  const hosts = join(dir, 'hosts');
  const order = join(dir, 'nsswitch.conf');
  mkdirSync(stateDir, { recursive: true });
  writeFileSync(order, 'hosts: files\npasswd: files\ngroup: files\n');
  const writeHosts = (known: { database: boolean; storage: boolean }) => {
    const names = Object.entries(HOSTS).flatMap(([which, name]) =>
      known[which as keyof typeof HOSTS] ? [`127.0.0.1 ${name}`] : [],
    );
    // In place: the mount is of this very file.
    writeFileSync(hosts, `127.0.0.1 localhost\n${names.join('\n')}\n`);
  };
  writeHosts({ database: true, storage: true });
  const script = `
    mount --bind ${order} /etc/nsswitch.conf && mount --bind ${hosts} /etc/hosts &&
    mount -t tmpfs -o size=${DISK} tmpfs ${stateDir} && echo ready && exec cat`;
  const holder: ChildProcess = spawn('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const said = await Promise.race([
    once(holder.stdout ?? holder, 'data').then(() => true),
    once(holder, 'close').then(() => false),
    once(holder, 'error').then(() => false),
  ]);
  if (!said) return null;
  const inside = `/proc/${holder.pid ?? 0}/root${stateDir}`;
  const ballast = join(inside, 'ballast');
  return {
    prefix: ['nsenter', `--mount=/proc/${holder.pid ?? 0}/ns/mnt`],
    databaseHost: HOSTS.database,
    storageHost: HOSTS.storage,
    stateDir,
    setHosts: writeHosts,
    fillDisk: () => {
      const { bavail, bsize } = statfsSync(inside);
      execFileSync('fallocate', ['-l', String(bavail * bsize), ballast]);
    },
    freeDisk: () => {
      rmSync(ballast, { force: true });
    },
    close: async () => {
      const ended = once(holder, 'close');
      holder.stdin?.end();
      await ended;
    },
  };
}
