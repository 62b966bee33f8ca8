/**
 * Leaves out turns of an action that does harm when it fails. The first failure leaves out one turn, and each further
 * failure twice as many, up to `most` as it is then. After those, one turn is tried, and its result decides.
 */
export interface Breaker {
  /** Takes one turn; true: the action may be tried in this turn. */
  turn(): boolean;
  /** Notes that the turn did harm. Gives how many turns are left out now. */
  trip(): number;
  /** Notes that the turn went well: no turn is left out any more. True: there were failures before. */
  reset(): boolean;
}

export function createBreaker({ most }: { readonly most: () => number }): Breaker {
  let failures = 0;
  let leftOut = 0;
  return {
    turn: () => {
      if (leftOut === 0) return true;
      leftOut -= 1;
      return false;
    },
    trip: () => {
      leftOut = Math.min(most(), 2 ** failures);
      failures += 1;
      return leftOut;
    },
    reset: () => {
      const tripped = failures > 0;
      failures = leftOut = 0;
      return tripped;
    },
  };
}
