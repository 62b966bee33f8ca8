import { cpSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const folder = new URL('../fixtures/deployments/', import.meta.url);

/** A deployment of Airflow as one of its pods sees it, and what the exporter must say of it. */
export interface Deployment {
  readonly name: string;
  readonly env: Readonly<Record<string, string>>;
  readonly expected: ExpectedDeployment;
}

export interface ExpectedDeployment {
  /** The deployment that its environment and files were compared with; absent when they follow its own documents. */
  readonly like?: string;
  /** Each setting's value and its source; for a setting that is not known, the line to give. */
  readonly found: Readonly<Record<string, readonly [value: string, from: string]>>;
  readonly warnings: readonly string[];
  /** The reasons why the exporter does not start. */
  readonly refused: readonly string[];
  /** The base to which its workers write. */
  readonly writes: string;
  /** The result of `check` over a window without problems. */
  readonly check: {
    readonly code: number;
    readonly title?: string;
    readonly problems?: readonly string[];
    readonly notes?: readonly string[];
  };
  readonly probe_only: { readonly code: number; readonly title: string; readonly wrong: readonly string[] };
  /** The text of its database's address, which a test replaces by its own. */
  readonly database_at?: string;
}

export function listDeployments(): readonly string[] {
  return readdirSync(folder);
}

export function readDeployment(name: string): Deployment {
  const read = (file: string) => readFileSync(new URL(`${name}/${file}`, folder), 'utf8');
  const lines = read('environment').trimEnd().split('\n');
  return {
    name,
    env: Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    ),
    expected: JSON.parse(read('expected.json')) as ExpectedDeployment,
  };
}

/**
 * Copies the files of a deployment into a folder that stands for a container's file system. Replaces every text of
 * `places` in the files and in the environment. Gives the environment with the paths of that folder.
 */
export function layDeployment(
  { name, env }: Deployment,
  { at, places }: { readonly at: string; readonly places: ReadonlyMap<string, string> },
): Record<string, string> {
  const root = new URL(`${name}/root/`, folder);
  const tops = statSync(root, { throwIfNoEntry: false }) === undefined ? [] : readdirSync(root);
  const put = (text: string) => [...places].reduce((all, [from, to]) => all.replaceAll(from, to), text);
  if (tops.length > 0) cpSync(root, at, { recursive: true });
  for (const entry of tops.length === 0 ? [] : readdirSync(at, { recursive: true, withFileTypes: true })) {
    const file = join(entry.parentPath, entry.name);
    if (entry.isFile()) writeFileSync(file, put(readFileSync(file, 'utf8')));
  }
  const inRoot = (text: string) =>
    tops.reduce((all, top) => all.replaceAll(new RegExp(`^/${top}/`, 'g'), `${at}/${top}/`), text);
  return Object.fromEntries(Object.entries(env).map(([variable, text]) => [variable, inRoot(put(text))]));
}
