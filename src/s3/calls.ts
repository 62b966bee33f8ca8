import { setMaxListeners } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Deadline } from '../lib/deadline.ts';
import { runWithin } from '../lib/deadline.ts';
import { createLimiter, SentAway } from '../lib/limiter.ts';
import type { Unknown } from './failure.ts';
import type { S3Reason } from './reason.ts';
import { explainFailure, isNoSuchKey, NO_ANSWER_OF_S3, noAnswerIn, unasked, unknown } from './failure.ts';

export type S3Operation = 'put' | 'head' | 'get' | 'list' | 'delete';

/** Hears of every HTTP request sent, retries and looks at the bucket included, and of every request that failed. */
export interface S3Observer {
  request(operation: S3Operation): void;
  failure(operation: S3Operation, reason: S3Reason): void;
}

/** `missing`: the storage answered that the key does not exist. For a HEAD the bucket may be missing instead. */
export type Outcome<Answer> =
  | { readonly kind: 'answered'; readonly answer: Answer }
  | { readonly kind: 'missing' }
  | Unknown;

/** The arguments for sending a call. */
export interface Sending {
  readonly abortSignal: AbortSignal;
  /** Wraps each attempt, inside the SDK's retries. */
  readonly watchAttempt: <T>(attempt: () => Promise<T>) => Promise<T>;
}

export interface CallOptions<Answer> {
  readonly signal: AbortSignal;
  /** Called when the first attempt is sent. */
  readonly onSent?: (() => void) | undefined;
  /** Sends the request and reads the whole answer; null when the answer does not come from S3. */
  readonly send: (sending: Sending) => Promise<Answer | null>;
}

export interface Calls {
  /** Sends when its turn comes. Never throws, and from its turn on takes no longer than the timeout. */
  run<Answer>(operation: S3Operation, options: CallOptions<Answer>): Promise<Outcome<Answer>>;
}

/** A call, and whether its current step can still fail without a report. */
interface Call {
  readonly operation: S3Operation;
  readonly onSent: (() => void) | undefined;
  readonly deadline: Deadline;
  attempts: number;
  unreported: boolean;
  /** Why the latest attempt failed; null while an attempt is under way. */
  failed: Unknown | null;
}

const unreadable = unknown('server_error', NO_ANSWER_OF_S3, 's3');

/** Queues the calls to one storage, limits their time, counts them and names their failures. */
export function createCalls(options: {
  readonly observer: S3Observer;
  readonly log: Logger;
  readonly requestTimeoutMs: number;
  readonly concurrency: number;
}): Calls {
  const { observer, log, requestTimeoutMs, concurrency } = options;
  const limiter = createLimiter({ max: concurrency, firstPauseMs: 100, longestPauseMs: 5_000 });
  let lastTurn: Promise<void> = Promise.resolve();

  /** The SDK computes for a millisecond or two before it sends: calls that begin together would be one long turn. */
  function ownTurn(): Promise<void> {
    lastTurn = lastTurn.then(() => nextTurn());
    return lastTurn;
  }

  /** A failed attempt is reported once: the end of its call does not report it again. */
  function report(call: Call, failure: Unknown): void {
    if (!call.unreported) return;
    call.unreported = false;
    call.failed = failure;
    // A request that was never sent is no request that failed.
    if (call.attempts > 0) observer.failure(call.operation, failure.reason);
    if (failure.reason !== 'throttled') return;
    limiter.refused();
    log.debug({ operation: call.operation, perSecond: limiter.rate() }, 'S3 asks for less: slowing down');
  }

  async function watchAttempt<T>(call: Call, attempt: () => Promise<T>): Promise<T> {
    // The call may have ended while the SDK fetched credentials. Nothing is sent then.
    call.deadline.signal.throwIfAborted();
    // The SDK's own pause ignores what other calls have met, so a retry waits for the limiter too.
    if (call.attempts > 0) await limiter.turn(call.deadline.signal);
    call.attempts += 1;
    if (call.attempts === 1) call.onSent?.();
    call.unreported = true;
    call.failed = null;
    observer.request(call.operation);
    try {
      const result = await attempt();
      limiter.accepted();
      return result;
    } catch (error) {
      if (isNoSuchKey(error, call.operation)) limiter.accepted();
      else report(call, explain(error, { ...call, requestTimeoutMs, sent: true }));
      throw error;
    }
  }

  return {
    run: async (operation, { signal, onSent, send }) => {
      // Hundreds of calls listen to a cycle's one signal. This is no leak, although Node warns from the eleventh on.
      setMaxListeners(0, signal);
      // Boxed, because the compiler does not see that the callback below assigns it.
      const started: { call: Call | null } = { call: null };
      try {
        const answer = await limiter.run(async () => {
          await ownTurn();
          signal.throwIfAborted();
          return runWithin({ ms: requestTimeoutMs, signal }, (deadline) => {
            const call: Call = { operation, onSent, deadline, attempts: 0, unreported: true, failed: null };
            started.call = call;
            return send({
              abortSignal: deadline.signal,
              watchAttempt: (attempt) => watchAttempt(call, attempt),
            });
          });
        }, signal);
        if (answer !== null) return { kind: 'answered', answer };
        if (started.call !== null) report(started.call, unreadable);
        return unreadable;
      } catch (error) {
        if (started.call === null) {
          const reason = error instanceof SentAway ? 'throttled' : 'aborted';
          return unasked(unknown(reason, 'before it was sent', 'exporter'));
        }
        if (isNoSuchKey(error, operation) && started.call.deadline.ended() === null)
          return { kind: 'missing' };
        const ending = explain(error, {
          ...started.call,
          requestTimeoutMs,
          sent: started.call.attempts > 0,
        });
        // The time ran out in the pause before the next attempt: an answer to the last attempt says more than the timeout.
        const { failed } = started.call;
        const failure =
          ending.reason === 'timeout' && failed?.said.by !== 'exporter' ? (failed ?? ending) : ending;
        report(started.call, failure);
        return failure;
      }
    },
  };
}

/** Asks the deadline first: an error from a request that was cut off is only an effect of the cut. */
function explain(
  error: unknown,
  call: { deadline: Deadline; requestTimeoutMs: number; sent: boolean; operation: S3Operation },
): Unknown {
  const ended = call.deadline.ended();
  if (ended === 'aborted') return unknown('aborted', 'while it was under way', 'exporter');
  if (ended === 'timeout' && !call.sent)
    return unasked(unknown('timeout', `no credentials in ${call.requestTimeoutMs} ms`, 'credentials'));
  if (ended === 'timeout') return unknown('timeout', noAnswerIn(call.requestTimeoutMs), 'exporter');
  return explainFailure(error, { now: Date.now(), sent: call.sent, hasBody: call.operation !== 'head' });
}

/** For requests that name no key that could be missing. */
export function answerOf<Answer>(outcome: Outcome<Answer>): Answer | Unknown {
  return outcome.kind === 'answered' ? outcome.answer : unknownOf(outcome);
}

export function unknownOf(outcome: Unknown | { readonly kind: 'missing' }): Unknown {
  return outcome.kind === 'unknown' ? outcome : unknown('server_error', 'NoSuchKey (404)', 's3');
}

/** For a HEAD of a bucket: it names no key that could be missing. */
export function unknownOfBucket(outcome: Unknown | { readonly kind: 'missing' }): Unknown {
  return outcome.kind === 'unknown' ? outcome : unknown('no_such_bucket', 'no code (404)', 's3');
}
