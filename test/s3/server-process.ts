import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export interface ServerProcess {
  readonly stop: () => Promise<void>;
}

/** A new folder for a server's files. */
export function newFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'xcom-s3-'));
}

/**
 * Starts a program in its own group of processes, waits until it answers HTTP at the endpoint, and deletes the folder
 * when it has stopped.
 */
export async function startProcess(
  command: readonly [string, ...string[]],
  options: { endpoint: string; folder: string; env?: Readonly<Record<string, string>> },
): Promise<ServerProcess> {
  const [program, ...args] = command;
  const log = join(options.folder, 'output.log');
  const child = spawn(program, args, {
    cwd: options.folder,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const output = createWriteStream(log);
  // Output that comes after the log is closed is dropped.
  output.on('error', () => undefined);
  child.stdout.pipe(output, { end: false });
  child.stderr.pipe(output, { end: false });
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => {
      resolve();
    });
    child.once('error', () => {
      resolve();
    });
  });
  const stop = async () => {
    endGroup(child);
    await ended;
    output.destroy();
    await rm(options.folder, { recursive: true, force: true, maxRetries: 10 });
  };
  for (let attempt = 0; attempt < 600 && child.exitCode === null; attempt += 1) {
    if (await answers(options.endpoint)) return { stop };
    await delay(200);
  }
  const words = await readFile(log, 'utf8').catch(() => '');
  await stop();
  throw new Error(`${program} does not answer at ${options.endpoint}: ${words.slice(-2_000)}`);
}

function endGroup({ pid, exitCode }: ChildProcess): void {
  if (pid !== undefined && exitCode === null) process.kill(-pid, 'SIGTERM');
}

async function answers(endpoint: string): Promise<boolean> {
  try {
    const answer = await fetch(endpoint, { signal: AbortSignal.timeout(2_000) });
    await answer.arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

/** A free port whose number plus 10,000 is free as well: SeaweedFS listens on both. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    if ((await isFree(port)) && (await isFree(port + 10_000))) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => {
      resolve(false);
    });
    server.listen(port, '127.0.0.1', () => {
      server.close(() => {
        resolve(true);
      });
    });
  });
}
