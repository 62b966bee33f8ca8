import type { Secret } from '../lib/secret.ts';
import { secret } from '../lib/secret.ts';

/** The content of each file, by its path; null: it could not be read. */
export type SecretContents = ReadonlyMap<string, Secret | null>;

/** Half the default interval of a cycle. A check reads only a few files of a few bytes. */
const CHECK_MS = 15_000;

export interface SecretFiles {
  /** Watches these files from now on. `contents` is what is in force of them. */
  follow(contents: SecretContents): void;
  stop(): void;
}

export function readSecretFile(path: string, readFile: (path: string) => string): Secret | null {
  try {
    return secret(readFile(path));
  } catch {
    return null;
  }
}

/**
 * Calls `changed` each time that a file holds something else than before, and `refused` at each later check until
 * what it holds is in force. The contents are compared: a mounted secret that is laid anew moves a link, which is no
 * change by itself.
 */
export function watchSecretFiles(
  first: SecretContents,
  options: {
    readonly readFile: (path: string) => string;
    readonly changed: () => void;
    readonly refused: () => void;
  },
): SecretFiles {
  let inForce = first;
  let seen = first;

  const timer = setInterval(() => {
    const found = new Map([...seen.keys()].map((path) => [path, readSecretFile(path, options.readFile)]));
    const isIn = (contents: SecretContents) =>
      [...found].every(([path, content]) => content?.reveal() === contents.get(path)?.reveal());
    if (!isIn(seen)) {
      seen = found;
      options.changed();
    } else if (!isIn(inForce)) options.refused();
  }, CHECK_MS);
  timer.unref();

  return {
    follow(contents) {
      inForce = contents;
      seen = contents;
    },
    stop() {
      clearInterval(timer);
    },
  };
}
