import { setTimeout as sleep } from 'node:timers/promises';

/** Waits until so much more is due. */
export type Rate = (amount: number, signal: AbortSignal) => Promise<void>;

/** At most so much a second on average, without saving up what was not used. */
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
