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
        problems.push(
          `${from}: Cannot read ${path}: ${cause instanceof Error ? cause.message : String(cause)}`,
        );
        return '';
      }
    },
  };
}
