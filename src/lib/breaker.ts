/**
 * Leaves out turns of something that does harm when it fails: after the first failure one, then twice as many
 * after each, `most` at the most. Then one turn is tried, and decides.
 */
export interface Breaker {
  /** Takes one turn: whether it may be used. */
  turn(): boolean;
  /** The turn did harm. Gives how many are left out now. */
  trip(): number;
  /** The turn went well: none is left out any more. Whether that is a change. */
  reset(): boolean;
}

export function createBreaker({ most }: { readonly most: number }): Breaker {
  let failures = 0;
  let leftOut = 0;
  return {
    turn: () => {
      if (leftOut === 0) return true;
      leftOut -= 1;
      return false;
    },
    trip: () => {
      leftOut = Math.min(most, 2 ** failures);
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
