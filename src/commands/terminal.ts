import type { CommandIo } from './command.ts';

/** Work that is done sooner needs no progress line. */
const quietMs = 1_000;
const everyMs = 250;

/**
 * Renews one line on standard error while something takes long, if standard error is a terminal. `stop` leaves an empty
 * line to write on.
 */
export function startProgress(
  io: Pick<CommandIo, 'stderr' | 'stderrIsTty'>,
  words: () => string,
): { stop(): void } {
  if (!io.stderrIsTty) return { stop: () => undefined };
  const start = performance.now();
  let isShown = false;
  const timer = setInterval(() => {
    const seconds = (performance.now() - start) / 1_000;
    if (seconds * 1_000 < quietMs) return;
    isShown = true;
    io.stderr(`\r\u001b[K${words()} (${Math.floor(seconds)} s)`);
  }, everyMs);
  return {
    stop: () => {
      clearInterval(timer);
      if (isShown) io.stderr('\r\u001b[K');
      isShown = false;
    },
  };
}

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
