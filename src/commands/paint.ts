import type { CommandIo } from './command.ts';

const COLOURS = { green: 32, red: 31, yellow: 33, bold: 1 } as const;

export type Paint = (text: string, colour: keyof typeof COLOURS) => string;

/** Colours for a terminal that wants them, else none. Source: https://no-color.org */
export function painter({ isTty, env }: Pick<CommandIo, 'isTty' | 'env'>): Paint {
  const isPlain = !isTty || (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb';
  return (text, colour) => (isPlain ? text : `\u001b[${COLOURS[colour]}m${text}\u001b[0m`);
}

/** Names come from dags and may hold line ends or escape sequences: a terminal must not obey them. */
export function plain(text: string): string {
  return text.replace(/\p{C}/gu, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`);
}
