import type { Unknown } from '../s3/failure.ts';
import type { Stores } from '../s3/stores.ts';

/** How many requests may still go to S3, and whether S3 still answers. */
export interface Allowance {
  /** Requests that may still be sent. */
  left(): number;
  /**
   * Requests that may begin now; none after the time limit, after an abort, or when several requests at once all
   * failed.
   */
  beginnable(): number;
  answered(): void;
  /** Ends the asking: of several requests none was answered, and more would only harm S3 and delay the cycle. */
  giveUp(failure: Unknown): void;
  readonly progress: { readonly failure: Unknown | null; readonly answered: boolean };
}

/** How many requests begin at once; S3's health is judged between two such batches. */
export const TOGETHER = 32;

export function createAllowance(
  stores: Pick<Stores, 'sent'>,
  limits: {
    /** Requests that may be sent, second attempts included. */
    readonly requests: number;
    /** After this moment, on the clock of `performance.now()`, no request begins. */
    readonly until: number;
    readonly signal: AbortSignal;
  },
): Allowance {
  const sentBefore = stores.sent();
  const progress: { failure: Unknown | null; answered: boolean } = { failure: null, answered: false };
  const left = () => limits.requests - (stores.sent() - sentBefore);
  return {
    left,
    beginnable() {
      const isOver = limits.signal.aborted || progress.failure !== null || performance.now() > limits.until;
      const requests = left();
      // Each request may need a second attempt, and a missing object needs a look at its bucket.
      return isOver || requests < 2 ? 0 : Math.max(1, Math.floor((requests - 2) / 2));
    },
    answered() {
      progress.answered = true;
    },
    giveUp(failure) {
      progress.failure = failure;
    },
    progress,
  };
}
