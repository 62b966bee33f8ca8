/**
 * How many things may go on at once, found out by doing: one more for every full round that went well, half as
 * many after a refusal (additive increase, multiplicative decrease, as in TCP), and a pause that doubles from
 * refusal to refusal. When even the longest pause is followed by a refusal, all who wait are sent away: a queue
 * of hundreds must not be tried one by one.
 */
export interface Limiter {
  /**
   * Waits for a place, runs the task in it and gives the place back.
   *
   * @throws {SentAway} or the signal's reason, in both cases before the task has begun.
   */
  run<T>(task: () => Promise<T>, signal: AbortSignal): Promise<T>;
  /** The other side asked for less. Refusals of what was already under way at the last one count as the same one. */
  refused(): void;
  /** A task was accepted: the way back up. */
  accepted(): void;
  /** Places now, from 1 to `max`. */
  limit(): number;
}

/** The other side has been refusing for so long that the task was not begun. */
export class SentAway extends Error {
  override name = 'SentAway';
}

export interface LimiterOptions {
  readonly max: number;
  /** The first pause after a refusal, in milliseconds; the pause doubles up to `longestPauseMs`. */
  readonly firstPauseMs: number;
  readonly longestPauseMs: number;
}

interface Waiter {
  enter(): void;
  leave(reason: Error): void;
}

export function createLimiter(options: LimiterOptions): Limiter {
  const { max, firstPauseMs, longestPauseMs } = options;
  let places = max;
  let running = 0;
  let pauseMs = firstPauseMs;
  let pausedUntil = 0;
  let timer: NodeJS.Timeout | null = null;
  const waiting = new Set<Waiter>();

  function admit(): void {
    const left = pausedUntil - performance.now();
    if (left > 0) {
      timer ??= setTimeout(() => {
        timer = null;
        admit();
      }, left);
      return;
    }
    for (const waiter of waiting) {
      if (running >= Math.floor(places)) return;
      running += 1;
      waiter.enter();
    }
  }

  function place(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        enter: () => {
          forget();
          resolve();
        },
        leave: (reason) => {
          forget();
          reject(reason);
        },
      };
      function abort(): void {
        waiter.leave(signal.reason as Error);
      }
      function forget(): void {
        waiting.delete(waiter);
        signal.removeEventListener('abort', abort);
        // Nobody left to be let in: the timer must not hold a process that is closing.
        if (waiting.size === 0 && timer !== null) {
          clearTimeout(timer);
          timer = null;
        }
      }
      waiting.add(waiter);
      signal.addEventListener('abort', abort, { once: true });
      if (signal.aborted) abort();
      else admit();
    });
  }

  return {
    run: async (task, signal) => {
      await place(signal);
      try {
        return await task();
      } finally {
        running -= 1;
        admit();
      }
    },
    refused: () => {
      const now = performance.now();
      if (now < pausedUntil) return;
      places = Math.max(1, places / 2);
      pausedUntil = now + pauseMs;
      if (pauseMs === longestPauseMs) for (const waiter of waiting) waiter.leave(new SentAway());
      pauseMs = Math.min(longestPauseMs, pauseMs * 2);
    },
    accepted: () => {
      places = Math.min(max, places + 1 / places);
      if (performance.now() >= pausedUntil) pauseMs = firstPauseMs;
    },
    limit: () => Math.floor(places),
  };
}
