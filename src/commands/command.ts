import { readFileSync } from 'node:fs';
import type { Config } from '../settings/config.ts';
import { readConfig } from '../settings/read-config.ts';

/** Everything that a command gets from its process. The command returns its exit code, or throws. */
export interface CommandIo {
  /** The arguments behind the command. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** True when standard output is a terminal. */
  readonly isTty: boolean;
  /** True when standard error is a terminal. */
  readonly stderrIsTty: boolean;
  /** Width of the terminal, 80 when there is none. */
  readonly columns: number;
  /** Aborted by SIGTERM and SIGINT. */
  readonly signal: AbortSignal;
  /** Calls the listener on every SIGHUP, until the function that it returns is called. */
  readonly onReload: (listener: () => void) => () => void;
  readonly version: string;
}

/**
 * The settings as the process has them.
 *
 * @throws {ConfigError} when one is wrong or unknown.
 */
export function loadConfig(
  io: Pick<CommandIo, 'argv' | 'env'>,
  /** The flags of the command itself, which it has taken out of `argv`. */
  ownFlags: readonly string[] = [],
): Config {
  return readConfig({ argv: io.argv, ownFlags, env: io.env, readFile });
}

export function readFile(path: string): string {
  return readFileSync(path, 'utf8');
}
