import { setImmediate as nextTurn } from 'node:timers/promises';

/** Lets other work run between the pieces of a long computation. */
export interface Pace {
  /** Call this between pieces: it yields to the event loop when the present turn has run for long enough. */
  rest(): Promise<void> | undefined;
  /**
   * Whether `rest` would wait. Check this first between thousands of small pieces, because each `await` costs objects.
   */
  isDue(): boolean;
}

/** How long one turn runs: much less than a scrape may wait, and long enough that the turns themselves cost nothing. */
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
