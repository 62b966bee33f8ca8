import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The folder with everything that the servers need, installed once. */
export const CACHE = join(homedir(), '.cache', 'airflow-xcom-exporter', 's3');

/** Installs a Python environment with exactly these packages; gives its folder of programs. */
export async function installPython(name: string, packages: readonly string[]): Promise<string> {
  const folder = join(CACHE, name);
  const programs = join(folder, 'bin');
  await once(join(folder, 'installed'), async (done) => {
    await run('python3', ['-m', 'venv', folder]);
    await run(join(programs, 'pip'), ['install', '--quiet', ...packages]);
    await writeFile(done, packages.join('\n'));
  });
  return programs;
}

/** Installs a program that Go builds from `module@version`; gives its path. */
export async function installGo(name: string, module: string): Promise<string> {
  const path = join(CACHE, 'bin', name);
  await once(path, async () => {
    // The build takes twenty minutes and more on a small machine, once.
    await run('go', ['install', module], { env: { ...process.env, GOBIN: join(CACHE, 'bin') } });
  });
  return path;
}

/** Installs a program that Cargo builds from a crate of its name; gives its path. */
export async function installCargo(name: string, version: string): Promise<string> {
  const path = join(CACHE, 'bin', name);
  await once(path, async () => {
    // Without optimisation the build takes half an hour instead of more.
    const crate = `${name}@${version}`;
    await run('cargo', ['install', '--quiet', '--debug', '--locked', '--root', CACHE, crate], {
      maxBuffer: 2 ** 26,
    });
  });
  return path;
}

/** Downloads a Maven artifact, as `group:name:version:jar:classifier`; gives the path of its file. */
export async function installMaven(artifact: string): Promise<string> {
  const [, name = '', version = '', type = '', classifier = ''] = artifact.split(':');
  const file = join(CACHE, `${name}-${version}-${classifier}.${type}`);
  await once(file, async () => {
    const part = join(CACHE, 'maven.part');
    const copy = 'org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy';
    await run('mvn', ['-q', '-B', copy, `-Dartifact=${artifact}`, `-DoutputDirectory=${part}`]);
    await rename(join(part, basename(file)), file);
    await rm(part, { recursive: true });
  });
  return file;
}

/** Unpacks Debian packages with all their dependencies, without installing them; gives the folder of their files. */
export async function installDebian(name: string, packages: readonly string[]): Promise<string> {
  const folder = join(CACHE, name);
  const root = join(folder, 'root');
  await once(join(folder, 'installed'), async (done) => {
    const archives = join(folder, 'debs');
    await mkdir(join(archives, 'partial'), { recursive: true });
    const cache = ['-o', `Dir::Cache::archives=${archives}`];
    await run('apt-get', [
      'install',
      '-y',
      '--download-only',
      '--no-install-recommends',
      ...cache,
      ...packages,
    ]);
    await run('sh', ['-c', 'for each in "$1"/*.deb; do dpkg -x "$each" "$2"; done', 'sh', archives, root]);
    await rm(archives, { recursive: true });
    await writeFile(done, packages.join('\n'));
  });
  return root;
}

/** Installs once. `install` is given the file whose existence says that the installation is done. */
async function once(done: string, install: (done: string) => Promise<void>): Promise<void> {
  if (existsSync(done)) return;
  await mkdir(join(CACHE, 'bin'), { recursive: true });
  console.log(`installing ${done} (once)`);
  await install(done);
}
