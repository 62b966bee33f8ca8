/**
 * How many things may go on at once, and how many may begin in a second. The first is fixed. The second is free
 * until the other side refuses one, and is then found out by doing: half of it after a refusal, a little more
 * with every acceptance (additive increase, multiplicative decrease, as in TCP), and besides a pause that doubles
 * from refusal to refusal. When even the longest pause is followed by a refusal, all who wait are sent away: a
 * queue of hundreds must not be tried one by one.
 *
 * A rate and not a number of places: where an answer takes a millisecond, one place alone is a thousand a second.
 */
export interface Limiter {
  /**
   * Waits for a place and its turn, runs the task and gives the place back.
   *
   * @throws {SentAway} or the signal's reason, in both cases before the task has begun.
   */
  run<T>(task: () => Promise<T>, signal: AbortSignal): Promise<T>;
  /** For a task that asks a second time: waits for one more turn. Rejects with the signal's reason only. */
  turn(signal: AbortSignal): Promise<void>;
  /** The other side asked for less. Refusals of what was already under way at the last one count as the same one. */
  refused(): void;
  /** A request was accepted: the way back up. */
  accepted(): void;
  /** Beginnings a second; `Infinity` as long as nothing speaks against it. */
  rate(): number;
}

/** The other side has been refusing for so long that the task was not begun. */
export class SentAway extends Error {
  override name = 'SentAway';
}

export interface LimiterOptions {
  /** Tasks at once. */
  readonly max: number;
  /** The first pause after a refusal, in milliseconds; the pause doubles up to `longestPauseMs`. */
  readonly firstPauseMs: number;
  readonly longestPauseMs: number;
}

/** Beginnings a second: after the first refusal, at the least, and from where on there is no limit again. */
const FIRST_RATE = 128;
const LEAST_RATE = 1;
const FREE_RATE = 256;
/** By how much the rate grows in a second in which all that begins is accepted. */
const GROWTH = 8;

interface Waiter {
  enter(): void;
  leave(reason: Error): void;
}

export function createLimiter(options: LimiterOptions): Limiter {
  const { max, firstPauseMs, longestPauseMs } = options;
  let rate = Infinity;
  let running = 0;
  let pauseMs = firstPauseMs;
  let pausedUntil = 0;
  let nextTurn = 0;
  let timer: NodeJS.Timeout | null = null;
  /** Who is in already and only waits for a turn comes before who is not. */
  const again = new Set<Waiter>();
  const outside = new Set<Waiter>();

  function admit(): void {
    for (;;) {
      const [waiter] = again.size > 0 ? again : running < max ? outside : [];
      if (waiter === undefined) return;
      const now = performance.now();
      const at = Math.max(pausedUntil, nextTurn);
      if (at > now) {
        timer ??= setTimeout(() => {
          timer = null;
          admit();
        }, at - now);
        return;
      }
      // A timer that comes a little late must not make the rate lower than it is.
      nextTurn = Math.max(now, nextTurn + 1_000 / rate);
      waiter.enter();
    }
  }

  function wait(queue: Set<Waiter>, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        enter: () => {
          forget();
          if (queue === outside) running += 1;
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
        queue.delete(waiter);
        signal.removeEventListener('abort', abort);
        // Nobody left to be let in: the timer must not hold a process that is closing.
        if (again.size + outside.size === 0 && timer !== null) {
          clearTimeout(timer);
          timer = null;
        }
      }
      queue.add(waiter);
      signal.addEventListener('abort', abort, { once: true });
      if (signal.aborted) abort();
      else admit();
    });
  }

  return {
    run: async (task, signal) => {
      await wait(outside, signal);
      try {
        return await task();
      } finally {
        running -= 1;
        admit();
      }
    },
    turn: (signal) => wait(again, signal),
    refused: () => {
      const now = performance.now();
      if (now < pausedUntil) return;
      rate = rate === Infinity ? FIRST_RATE : Math.max(LEAST_RATE, rate / 2);
      pausedUntil = now + pauseMs;
      if (pauseMs === longestPauseMs) for (const waiter of outside) waiter.leave(new SentAway());
      pauseMs = Math.min(longestPauseMs, pauseMs * 2);
    },
    accepted: () => {
      if (performance.now() >= pausedUntil) pauseMs = firstPauseMs;
      if (rate === Infinity) return;
      rate += GROWTH / rate;
      if (rate >= FREE_RATE) rate = Infinity;
    },
    rate: () => rate,
  };
}
