import type { CommandIo } from './command.ts';

/** Work that is done sooner needs no line. */
const quietMs = 1_000;
const everyMs = 250;

/**
 * One line on standard error that renews itself while something takes long; none unless that is a terminal.
 * What `stop` leaves is an empty line to write on.
 */
export function startProgress(
  io: Pick<CommandIo, 'stderr' | 'stderrIsTty'>,
  words: () => string,
): { stop(): void } {
  if (io.stderrIsTty !== true) return { stop: () => undefined };
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
