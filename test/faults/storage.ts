import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startS3 } from '../support/s3.ts';

export interface Storage {
  readonly name: string;
  readonly port: number;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
  createBucket(name: string): Promise<void>;
  stop(): Promise<void>;
}

const host = '127.0.0.1';
const GATEWAYS = ['.cache/airflow-xcom-exporter/bin/versitygw', 'go/bin/versitygw'];

/**
 * Starts versitygw if it is installed (`go install github.com/versity/versitygw/cmd/versitygw@latest`): it checks
 * signatures and their time. Otherwise starts the demo's server, which checks neither.
 */
export async function startStorage(dir: string, port: number): Promise<Storage> {
  const gateway = GATEWAYS.map((path) => join(homedir(), path)).find((path) => existsSync(path));
  if (gateway === undefined) {
    const server = await startS3();
    return { ...server, name: 'fauxqs' };
  }
  const root = join(dir, 'buckets');
  await mkdir(root, { recursive: true });
  const accessKeyId = 'AKIAFAULTS';
  const secretAccessKey = 'secret-of-the-faults';
  // prettier-ignore
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', gateway, '--access', accessKeyId, '--secret', secretAccessKey,
    '--port', `${host}:${port}`, '--keep-alive', '--quiet', 'posix', root], { stdio: 'ignore' });
  for (let attempt = 0; ; attempt += 1) {
    const answer = await fetch(`http://${host}:${port}/`).catch(() => null);
    if (answer !== null) break;
    if (attempt > 200 || child.exitCode !== null) throw new Error('versitygw did not start');
    await delay(50);
  }
  return {
    name: 'versitygw',
    port,
    accessKeyId,
    secretAccessKey,
    region: 'us-east-1',
    // In versitygw a folder is a bucket.
    createBucket: async (name) => {
      await mkdir(join(root, name), { recursive: true });
    },
    stop: async () => {
      const ended = once(child, 'close');
      child.kill('SIGKILL');
      await ended;
      await rm(root, { recursive: true, force: true });
    },
  };
}
