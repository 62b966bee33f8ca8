/**
 * Limits how many tasks run at once, and how many begin in a second. The first limit is fixed. The second, the rate, is
 * unlimited until the other side refuses a task. Then the rate is halved after each refusal and grows a little with
 * each acceptance (additive increase, multiplicative decrease, as in TCP). Each refusal also causes a pause, which
 * doubles from refusal to refusal. If a refusal follows even the longest pause, all waiting tasks are sent away:
 * hundreds of tasks in a queue must not be tried one by one.
 *
 * A limit of running tasks is not enough: if an answer takes a millisecond, one task at a time is a thousand a second.
 */
export interface Limiter {
  /**
   * Waits for a place and its turn, runs the task and gives the place back.
   *
   * @throws {SentAway} or the signal's reason; in both cases, the task has not begun.
   */
  run<T>(task: () => Promise<T>, signal: AbortSignal): Promise<T>;
  /** Waits for one more turn, for a task that asks a second time. Rejects only with the signal's reason. */
  turn(signal: AbortSignal): Promise<void>;
  /**
   * Notes a refusal: the other side asked for less. Further refusals before the pause is over count as the same one.
   */
  refused(): void;
  /** Notes that a request was accepted, which raises the rate again. */
  accepted(): void;
  /** How many tasks may begin in a second; `Infinity` when there is no limit. */
  rate(): number;
}

/** The other side has been refusing for so long that the task was not begun. */
export class SentAway extends Error {
  override name = 'SentAway';
}

export interface LimiterOptions {
  /** How many tasks may run at once. */
  readonly max: number;
  /** The first pause after a refusal, in milliseconds; the pause doubles up to `longestPauseMs`. */
  readonly firstPauseMs: number;
  readonly longestPauseMs: number;
}

/** Rates, in tasks that begin in a second: after the first refusal, the least, and the one at which the limit ends. */
const FIRST_RATE = 128;
const LEAST_RATE = 1;
const FREE_RATE = 256;
/** How much the rate grows in a second in which every task that begins is accepted. */
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
  /** Tasks that run already and wait for one more turn. They come before the tasks in `outside`. */
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
      // A timer that fires a little late must not lower the rate.
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
        // If nobody waits any more, the timer must not keep a closing process alive.
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
