import type { Reference } from '../airflow/reference.ts';
import { createByPair } from '../lib/by-pair.ts';
import type { Unknown } from '../s3/failure.ts';
import type { S3Reason } from '../s3/reason.ts';
import type { Stores } from '../s3/stores.ts';

/** A bucket as one connection reaches it. */
export type Place = Pick<Reference, 'connection' | 'bucket'>;

/** The reply to one request; `unknown` is null when S3 answered. */
export interface Reply {
  readonly place: Place;
  readonly unknown: Unknown | null;
}

/** A place that was given up: of the requests sent to it together not one was answered. */
export interface Closure {
  readonly place: Place;
  readonly unknown: Unknown;
}

/** How many requests may still go to S3, and which places still answer. */
export interface Allowance {
  /** Requests that may still be sent. */
  left(): number;
  /** Requests that may begin now; none after the time limit or after an abort. */
  beginnable(): number;
  answered(): void;
  /** Closes each place that answered none of these requests, which were sent together: more would only harm S3. */
  judge(replies: readonly Reply[]): void;
  close(closure: Closure): void;
  isClosed(place: Place): boolean;
  /**
   * Opens the places again that refused. S3 refuses by object, so a refusal for some says little about the others. A
   * place that gave no answer stays closed.
   */
  reopen(): void;
  /** All places that were closed so far, in that order; some may be open again. */
  closures(): readonly Closure[];
  /** Whether S3 answered any request. */
  hasAnswer(): boolean;
}

/** How many requests begin at once; the places are judged between two such batches. */
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
  let hasAnswer = false;
  let closed = createByPair<true>();
  const closures: Closure[] = [];
  const left = () => limits.requests - (stores.sent() - sentBefore);
  const isClosed = ({ connection, bucket }: Place) => closed.get(connection, bucket) === true;

  function close(closure: Closure): void {
    closed.set(closure.place.connection, closure.place.bucket, true);
    closures.push(closure);
  }

  return {
    left,
    beginnable() {
      const isOver = limits.signal.aborted || performance.now() > limits.until;
      const requests = left();
      // Each request may need a second attempt, and a missing object needs a look at its bucket.
      return isOver || requests < 2 ? 0 : Math.max(1, Math.floor((requests - 2) / 2));
    },
    answered() {
      hasAnswer = true;
    },
    judge(replies) {
      const answering = createByPair<true>();
      for (const { place, unknown } of replies)
        if (unknown === null) answering.set(place.connection, place.bucket, true);
      for (const { place, unknown } of replies)
        if (unknown !== null && answering.get(place.connection, place.bucket) !== true && !isClosed(place))
          close({ place, unknown });
    },
    close,
    isClosed,
    reopen() {
      closed = createByPair();
      for (const { place, unknown } of closures)
        if (!isRefusal(unknown)) closed.set(place.connection, place.bucket, true);
    },
    closures: () => closures,
    hasAnswer: () => hasAnswer,
  };
}

/** Whether S3 itself answered that this request is not allowed, or that what it names is not there. */
function isRefusal(unknown: Unknown): boolean {
  return unknown.said.by === 's3' && REFUSALS.has(unknown.reason);
}

const REFUSALS: ReadonlySet<S3Reason> = new Set(['denied', 'no_such_bucket', 'wrong_region']);
