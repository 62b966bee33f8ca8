import type { CommandIo } from '../../src/commands/command.ts';

export interface Called {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command in this process, as the program calls it, with what it printed. Not a terminal unless said so. */
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

/** The text of `check --json` without what differs from call to call: moments and durations. */
export function steadyJson(text: string): string {
  const steady = JSON.parse(text, (name, value: unknown) => {
    if (typeof value === 'number' && name.endsWith('seconds') && name !== 'seconds') return 0;
    if (name === 'seconds' && typeof value === 'number' && value < 60) return 0;
    if (typeof value === 'string' && /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(value)) return 'TIME';
    return value;
  }) as unknown;
  return `${JSON.stringify(steady, null, 2)}\n`;
}
