import { setImmediate as nextTurn } from 'node:timers/promises';

/** Lets other work in between the pieces of a long computation. */
export interface Pace {
  /** Call it between pieces: gives the event loop its turn when this one has run for long enough. */
  rest(): Promise<void> | undefined;
  /** Whether it would wait. Asked before it by who goes through thousands of small pieces: each `await` costs objects. */
  isDue(): boolean;
}

/** Well below what a scrape may wait, and long enough that the turns themselves cost nothing. */
const TURN_MS = 8;

export function createPace(): Pace {
  let since = performance.now();
  const isDue = () => performance.now() - since >= TURN_MS;
  return {
    isDue,
    rest() {
      if (!isDue()) return undefined;
      return nextTurn().then(() => {
        since = performance.now();
      });
    },
  };
}
