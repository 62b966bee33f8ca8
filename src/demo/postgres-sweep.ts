import { execFile } from 'node:child_process';
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

export const serverDirPrefix = 'airflow-xcom-exporter-postgres-';

const hourMs = 3_600_000;

/**
 * Removes the leftovers of earlier runs in `parent`: folders of `uid` whose owner, the process that started the server,
 * is gone. A server ends with its owner by itself. One is still alive here only if all its guards were killed.
 */
export async function sweepStaleServers(parent: string, uid: number): Promise<void> {
  const names = (await readdir(parent)).filter((name) => name.startsWith(serverDirPrefix));
  for (const name of names) {
    const dir = join(parent, name);
    // Another run may be sweeping the same folder at this moment.
    await sweep(dir, uid).catch(() => undefined);
  }
}

async function sweep(dir: string, uid: number): Promise<void> {
  const { uid: owner, mtimeMs } = await stat(dir);
  if (owner !== uid) return;
  const starter = await readPid(join(dir, 'owner'));
  // A folder without the file belongs to a server that is being created, or whose creation was cut short.
  const stale = starter === null ? Date.now() - mtimeMs > hourMs : !(await isAlive(starter));
  if (!stale) return;

  const server = await readPid(join(dir, 'data', 'postmaster.pid'));
  if (server !== null && (await commandLine(server)).includes(dir)) await signal(server, '-QUIT');
  await rm(dir, { recursive: true, force: true });
}

async function readPid(path: string): Promise<string | null> {
  try {
    return /^\d+/.exec(await readFile(path, 'utf8'))?.[0] ?? null;
  } catch {
    return null;
  }
}

async function isAlive(pid: string): Promise<boolean> {
  return signal(pid, '-0').then(
    () => true,
    () => false,
  );
}

/** The pid in a left-over file may belong to another process by now. */
async function commandLine(pid: string): Promise<string> {
  const { stdout } = await shell(
    'ps -o args= -p "$1" 2>/dev/null || cat "/proc/$1/cmdline" 2>/dev/null || true',
    pid,
  );
  return stdout;
}

async function signal(pid: string, name: '-0' | '-QUIT'): Promise<void> {
  await shell('kill "$2" "$1"', pid, name);
}

/** Signals go through the shell, because only main.ts uses `process`. */
function shell(script: string, ...args: string[]): Promise<{ stdout: string }> {
  return promisify(execFile)('/bin/sh', ['-c', script, 'sh', ...args]);
}
