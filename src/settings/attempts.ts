/** Collects what is wrong with the settings, so that all of it is told at once. */
export interface Attempts {
  readonly problems: string[];
  /** The result of `read`, or null after a RangeError, which becomes a problem of `from`. */
  readonly attempt: <T>(from: string, read: () => T) => T | null;
  /** The content of a file, or '' when it cannot be read. */
  readonly readText: (path: string, from: string) => string;
}

export function createAttempts(readFile: (path: string) => string): Attempts {
  const problems: string[] = [];
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
    readText: (path, from) => {
      try {
        return readFile(path);
      } catch (cause) {
        problems.push(`${from}: ${unreadable(path, cause)}`);
        return '';
      }
    },
  };
}

/** The name of a file says nothing but where it lies. Anything else may be the secret itself, given in place of its file. */
const PLAIN_PATH = /^\.{0,2}\/[\w./-]+$/;

export function unreadable(path: string, cause: unknown): string {
  const message = cause instanceof Error ? cause.message : String(cause);
  if (PLAIN_PATH.test(path)) return `Cannot read ${path}: ${message}`;
  const [reason = ''] = message.replaceAll(path, '').split(', open', 1);
  return `Cannot read the file that it names: ${reason}. What is given there is not shown, for it does not look like a path: give the path of a file that holds the value`;
}
