import type { Reference } from '../airflow/reference.ts';
import { isOfPath, isOfS3 } from '../s3/failure.ts';
import type { Unknown } from '../s3/failure.ts';
import type { Stores } from '../s3/stores.ts';

/** A path of XComs as one connection reaches it. Policies are written for prefixes, so S3 may refuse one path alone. */
export type Place = Pick<Reference, 'connection' | 'bucket' | 'prefix'>;

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
  /** The items to ask about together next, none of them of a closed place, and the items for later. */
  next<Item>(
    items: readonly Item[],
    placeOf: (item: Item) => Place,
  ): { readonly batch: readonly Item[]; readonly later: readonly Item[] };
  answered(place: Place): void;
  /** Closes what answered none of these requests, which were sent together: more would only harm S3. */
  judge(replies: readonly Reply[]): void;
  close(closure: Closure): void;
  isClosed(place: Place): boolean;
  /** Whether the whole bucket of the place is closed. */
  isBucketClosed(place: Place): boolean;
  /**
   * Opens again what refused. S3 refuses by object, so a refusal for some says little about the others. A place that
   * gave no answer stays closed.
   */
  reopen(): void;
  /** All closures so far, in that order; some of the places may be open again. */
  closures(): readonly Closure[];
  /** The places in which S3 answered a request. */
  answering(): readonly Place[];
}

/** How many requests begin at once; the places are judged between two such batches. */
export const TOGETHER = 32;
/** How many of them go to a place next to a refused one: a bucket that refuses everywhere must not cost a batch a path. */
const FEW = 3;

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
  const answering: Place[] = [];
  let closed: Closure[] = [];
  const closures: Closure[] = [];
  const left = () => limits.requests - (stores.sent() - sentBefore);
  const isClosed = (place: Place) => closed.some((closure) => covers(closure, place));
  const hasAnswered = (place: Place) => answering.some((one) => isSamePlace(one, place));
  const isDoubtful = (place: Place) =>
    !hasAnswered(place) &&
    closures.some((one) => isOfPath(one.unknown) && isSameBucket(one.place, place) && !covers(one, place));

  function beginnable(): number {
    const isOver = limits.signal.aborted || performance.now() > limits.until;
    const requests = left();
    // Each request may need a second attempt, and a missing object needs a look at its bucket.
    return isOver || requests < 2 ? 0 : Math.max(1, Math.floor((requests - 2) / 2));
  }

  function close(closure: Closure): void {
    closed.push(closure);
    closures.push(closure);
  }

  return {
    left,
    beginnable,
    next<Item>(items: readonly Item[], placeOf: (item: Item) => Place) {
      const most = Math.min(TOGETHER, beginnable());
      const batch: Item[] = [];
      const later: Item[] = [];
      for (const [at, item] of items.entries()) {
        if (batch.length >= most) return { batch, later: [...later, ...items.slice(at)] };
        const place = placeOf(item);
        if (isClosed(place)) continue;
        const isEnough =
          isDoubtful(place) && batch.filter((one) => isSamePlace(placeOf(one), place)).length >= FEW;
        (isEnough ? later : batch).push(item);
      }
      return { batch, later };
    },
    answered(place) {
      if (!hasAnswered(place)) answering.push(place);
    },
    judge(replies) {
      for (const { place, unknown } of replies) {
        if (unknown === null || isClosed(place)) continue;
        const closure = { place, unknown };
        if (!replies.some((other) => other.unknown === null && covers(closure, other.place))) close(closure);
      }
    },
    close,
    isClosed,
    isBucketClosed: (place) => closed.some((one) => !isOfPath(one.unknown) && covers(one, place)),
    reopen() {
      closed = closures.filter(({ unknown }) => !isRefusal(unknown));
    },
    closures: () => closures,
    answering: () => answering,
  };
}

/** Whether the place is closed with it: it is the same path, or what failed there fails in the whole bucket. */
export function covers({ place, unknown }: Closure, other: Place): boolean {
  return isOfPath(unknown) ? isSamePlace(place, other) : isSameBucket(place, other);
}

export function isSamePlace(one: Place, other: Place): boolean {
  return isSameBucket(one, other) && one.prefix === other.prefix;
}

function isSameBucket(one: Place, other: Place): boolean {
  return one.connection === other.connection && one.bucket === other.bucket;
}

/** Whether S3 itself answered that this request is not allowed, or that what it names is not there. */
function isRefusal(unknown: Unknown): boolean {
  return isOfS3(unknown) && REFUSALS.has(unknown.reason);
}

const REFUSALS: ReadonlySet<Unknown['reason']> = new Set(['denied', 'no_such_bucket', 'wrong_region']);
