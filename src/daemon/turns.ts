import { setTimeout as delay } from 'node:timers/promises';

/** Runs one function, never twice at the same time and never at short intervals. */
export interface Turns<T> {
  /** Asks for a turn. A caller that asks while another waits shares its turn, which begins after both have asked. */
  next(): Promise<T>;
  /** Lets the current turn end, and the waiting one begin at once. */
  close(): Promise<void>;
}

export function createTurns<T>(run: () => Promise<T>, { apartMs }: { readonly apartMs: number }): Turns<T> {
  const closing = new AbortController();
  let last: Promise<unknown> = Promise.resolve();
  let waiting: Promise<T> | null = null;
  let notBefore = -Infinity;

  async function turn(before: Promise<unknown>): Promise<T> {
    await before;
    const ms = notBefore - performance.now();
    if (ms > 0) await delay(ms, undefined, { signal: closing.signal }).catch(() => undefined);
    waiting = null;
    try {
      return await run();
    } finally {
      notBefore = performance.now() + apartMs;
    }
  }

  return {
    next() {
      if (waiting !== null) return waiting;
      waiting = turn(last);
      last = waiting.catch(() => undefined);
      return waiting;
    },
    async close() {
      closing.abort();
      await last;
    },
  };
}
