import { existsSync } from 'node:fs';
import { dirname, isAbsolute } from 'node:path';
import { denial } from '../lib/denial.ts';
import { messageOf } from '../lib/message-of.ts';

/** Collects what is wrong with the settings, so that all of it is told at once. */
export interface Attempts {
  readonly problems: string[];
  /** The result of `read`, or null after a RangeError, which becomes a problem of `from`. */
  readonly attempt: <T>(from: string, read: () => T) => T | null;
  /** The content of a file, or '' when it cannot be read. */
  readonly readText: (path: string, from: string) => string;
  /** The same for a file that is named in place of a value. The path that was given may be the value itself. */
  readonly readValue: (path: string, from: string) => string;
}

export function createAttempts(readFile: (path: string) => string): Attempts {
  const problems: string[] = [];
  const reader = (explain: (path: string, cause: unknown) => string) => (path: string, from: string) => {
    try {
      return readFile(path);
    } catch (cause) {
      problems.push(`${from}: ${explain(path, cause)}`);
      return '';
    }
  };
  return {
    problems,
    attempt: (from, read) => {
      try {
        return read();
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        problems.push(`${from}: ${error.message}`);
        return null;
      }
    },
    readText: reader(unreadable),
    readValue: reader(unreadableValue),
  };
}

/** A path of this form says only where a file lies. Any other text may be a secret. */
const PLAIN_PATH = /^\.{0,2}\/[\w./-]+$/;

export function unreadable(path: string, cause: unknown): string {
  return PLAIN_PATH.test(path) ? withPath(path, cause) : withoutPath(path, cause);
}

/** A secret may look like a path, so only the part of a path that exists is named. */
function unreadableValue(path: string, cause: unknown): string {
  return existsSync(path) ? withPath(path, cause) : withoutPath(path, cause);
}

function withPath(path: string, cause: unknown): string {
  return `Cannot read ${path}: ${denial(path, cause) ?? messageOf(cause)}`;
}

function withoutPath(path: string, cause: unknown): string {
  const denied = denial(path, cause);
  if (denied !== null) return `Cannot read the file that it names: ${denied}`;
  const [reason = ''] = messageOf(cause).replaceAll(path, '').split(', open', 1);
  const folder = nearestFolder(path);
  const where = folder === null ? '' : `, in ${folder}`;
  return `Cannot read the file that it names: ${reason}${where}. What is given there may be a secret, so it is not shown: give the path of a file that holds the value`;
}

/** The last folder of an absolute path that exists; null if only the root exists. */
function nearestFolder(path: string): string | null {
  const folder = dirname(path);
  if (!isAbsolute(path) || folder === dirname(folder)) return null;
  return existsSync(folder) ? folder : nearestFolder(folder);
}
