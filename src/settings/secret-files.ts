import type { Secret } from '../lib/secret.ts';
import { secret } from '../lib/secret.ts';

/** The content of each file, by its path; null: it could not be read. */
export type SecretContents = ReadonlyMap<string, Secret | null>;

/** Half the default interval of a cycle; a few files of a few bytes. */
const CHECK_MS = 15_000;

export interface SecretFiles {
  /** From now on these are the ones, and this is what was read from them. */
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
 * Calls `changed` once each time that a file holds something else than what was read from it last. Compared by what they
 * hold: that a mounted secret was laid anew, which moves a link, is no change by itself.
 */
export function watchSecretFiles(
  first: SecretContents,
  options: { readonly readFile: (path: string) => string; readonly changed: () => void },
): SecretFiles {
  let seen = first;

  const timer = setInterval(() => {
    const found = new Map([...seen.keys()].map((path) => [path, readSecretFile(path, options.readFile)]));
    if ([...found].every(([path, content]) => content?.reveal() === seen.get(path)?.reveal())) return;
    seen = found;
    options.changed();
  }, CHECK_MS);
  timer.unref();

  return {
    follow(contents) {
      seen = contents;
    },
    stop() {
      clearInterval(timer);
    },
  };
}
