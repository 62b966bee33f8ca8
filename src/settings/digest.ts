import { createHash } from 'node:crypto';

interface Read {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly readFile: (path: string) => string;
}

/** Sees everything that the settings are read from, and makes one short text of it that tells none of it. */
export function createDigest({ argv, env, readFile }: Read): {
  readonly readFile: (path: string) => string;
  readonly digest: () => string;
} {
  const contents = new Map<string, string>();
  const readAndSee = (path: string): string => {
    const content = readFile(path);
    contents.set(path, content);
    return content;
  };
  return {
    readFile: readAndSee,
    digest() {
      for (const path of filesOfTheSdk(env))
        try {
          readAndSee(path);
        } catch {
          // As good as none: the SDK goes on to the next source of credentials.
        }
      const seen = [argv, Object.entries(env).sort(byName), [...contents].sort(byName)];
      return createHash('sha256').update(JSON.stringify(seen)).digest('hex');
    },
  };
}

/** The SDK reads them by itself when a client is opened, as a reload opens one. */
function filesOfTheSdk(env: Read['env']): string[] {
  const home = env['HOME'] ?? '';
  return [
    env['AWS_SHARED_CREDENTIALS_FILE'] ?? (home === '' ? '' : `${home}/.aws/credentials`),
    env['AWS_CONFIG_FILE'] ?? (home === '' ? '' : `${home}/.aws/config`),
  ].filter((path) => path !== '');
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : Number(a > b);
}
