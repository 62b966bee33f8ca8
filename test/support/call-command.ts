import { examine } from '../../src/commands/check.ts';
import { loadConfig } from '../../src/commands/command.ts';
import type { CommandIo } from '../../src/commands/command.ts';
import type { Checked } from '../../src/status/check-document.ts';

export interface Called {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a command in this process as the program calls it, and gives what it printed. No terminal unless the test says
 * so.
 */
export async function callCommand(
  command: (io: CommandIo) => Promise<number>,
  { argv = [], env, ...changes }: Partial<CommandIo> & Pick<CommandIo, 'env'>,
): Promise<Called> {
  let stdout = '';
  let stderr = '';
  const code = await command({
    argv,
    env,
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
    },
    isTty: false,
    stderrIsTty: false,
    columns: 80,
    signal: new AbortController().signal,
    onReload: () => () => undefined,
    version: '0.0.0',
    ...changes,
  });
  return { code, stdout, stderr };
}

/** The result of `check` for somebody who has only the environment of a worker. */
export function examineAsWorker(env: Readonly<Record<string, string>>): Promise<Checked> {
  return examine(loadConfig({ argv: [], env }), {
    argv: [],
    env,
    stdout: () => undefined,
    stderr: () => undefined,
    isTty: false,
    stderrIsTty: false,
    columns: 80,
    signal: new AbortController().signal,
    onReload: () => () => undefined,
    version: 'test',
  });
}
