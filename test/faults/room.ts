import type { ChildProcess } from 'node:child_process';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The place in which the daemon runs. It has its own table of hosts and a small disk, and nothing else on the machine
 * sees them.
 */
export interface Room {
  /** The words to put before a command so that it runs in the room. */
  readonly prefix: readonly string[];
  /** The name by which the daemon calls the database's host; `storageHost` is S3's. */
  readonly databaseHost: string;
  readonly storageHost: string;
  readonly stateDir: string;
  /** Sets which of the two names resolve. */
  setHosts(known: { readonly database: boolean; readonly storage: boolean }): void;
  fillDisk(): void;
  freeDisk(): void;
  close(): Promise<void>;
}

// The names have no dot: the S3 server of the demo would take the part before a dot for a bucket.
const HOSTS = { database: 'xcom-database', storage: 'xcom-storage' } as const;
const DISK = '64m';

/** Gives null if no mount namespace can be made: that takes root, and Linux. */
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
    // The file is changed in place, because this very file is mounted.
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
