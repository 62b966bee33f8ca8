import { createHash } from 'node:crypto';
import { readAwsFiles } from './aws-files.ts';

interface Read {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly readFile: (path: string) => string;
}

/** Records everything that the settings are read from, and makes a short text from it that reveals none of it. */
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
      // The SDK reads these files by itself when a client is opened, and a reload opens one.
      readAwsFiles(env, readAndSee);
      const seen = [argv, Object.entries(env).sort(byName), [...contents].sort(byName)];
      return createHash('sha256').update(JSON.stringify(seen)).digest('hex');
    },
  };
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : Number(a > b);
}
