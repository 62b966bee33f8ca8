import { setTimeout as sleep } from 'node:timers/promises';

/** Waits until the rate allows `amount` more. */
export type Rate = (amount: number, signal: AbortSignal) => Promise<void>;

/** Allows at most `perSecond` a second on average; an amount that was not used is not saved up. */
export function createRate(perSecond: number): Rate {
  let free = performance.now();
  return async (amount, signal) => {
    const now = performance.now();
    const mine = Math.max(free, now);
    free = mine + (amount / perSecond) * 1_000;
    if (mine > now) await sleep(mine - now, undefined, { signal });
    else signal.throwIfAborted();
  };
}
