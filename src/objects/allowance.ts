import type { Unknown } from '../s3/failure.ts';
import type { Stores } from '../s3/stores.ts';

/** How much may still be asked of S3, and whether it is any use. */
export interface Allowance {
  /** Requests that may still be sent. */
  left(): number;
  /** Requests that may be begun now; none after the end of the time, an abort, or a failure of several at once. */
  beginnable(): number;
  answered(): void;
  /** Ends the asking: not one of several requests was answered, and more would only hurt S3 and hold up the cycle. */
  giveUp(failure: Unknown): void;
  readonly progress: { readonly failure: Unknown | null; readonly answered: boolean };
}

/** Begun at once; what is known of S3's health is looked at between. */
export const TOGETHER = 32;

export function createAllowance(
  stores: Pick<Stores, 'sent'>,
  limits: {
    /** Requests that may be sent, second attempts included. */
    readonly requests: number;
    /** Past this moment, on the clock of `performance.now()`, nothing is begun. */
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
      // Each may take two, and a missing object a look at its bucket.
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
