import { setTimeout as sleep } from 'node:timers/promises';
import type { ObjectStore } from '../s3/client.ts';
import type { Unknown } from '../s3/failure.ts';
import type { S3Reason } from '../s3/reason.ts';
import { compareKeys } from '../s3/key-order.ts';
import type { ListedObject } from '../s3/listing.ts';
import type { Duck } from './duck.ts';
import { below, startOf } from './key-sql.ts';
import type { Lane } from './lanes.ts';
import { areInOrder, lanesOf, outermost } from './lanes.ts';
import { createBuffer } from './listing-buffer.ts';
import type { Base } from './named-object.ts';
import type { NoAnswer } from './no-answer.ts';
import { noAnswer, wordsOf } from './no-answer.ts';
import type { Rate } from './rate.ts';
import { text } from './sql-text.ts';
import { NO_OBJECTS, progressOf, setProgress } from './store.ts';

export interface ListObjectsOptions {
  readonly storeOf: (connection: string) => Pick<ObjectStore, 'list'>;
  readonly duck: Duck;
  /** The places that Airflow is configured to write to; the audit fails if one of them cannot be listed. */
  readonly configured: readonly Base[];
  /**
   * Other places that Airflow wrote to, as rows say. All places in a bucket are on one server. If one of them cannot be
   * listed, it is not judged.
   */
  readonly seen: readonly Base[];
  /** Limits the requests to storage. */
  readonly pace: Rate;
  readonly concurrency: number;
  readonly signal: AbortSignal;
  readonly report: (listed: { objects: number; lanes: number; done: number }) => void;
}

/** A place that was not listed, and why. */
export interface Unlisted extends Base, NoAnswer {}

export interface ObjectsListed {
  /** The places that were listed to their end. */
  readonly places: readonly Base[];
  readonly unlisted: readonly Unlisted[];
}

interface LaneState {
  /** The last key that is kept; null: none yet. */
  readonly last: string | null;
  readonly isDone: boolean;
}
interface Plan {
  readonly lanes: readonly Lane[];
  /** Other places that Airflow wrote to, as rows say, without those that cannot be listed. */
  readonly seen: readonly Base[];
  readonly unlisted: readonly Unlisted[];
  /** False when the server lists in an order of its own, so that each place has to be one lane. */
  readonly isOrdered: boolean;
}

const TRIES = 7;
const FIRST_PAUSE_MS = 250;
/** Failures that a retry a moment later cannot mend. */
const LASTING: readonly S3Reason[] = ['denied', 'no_such_bucket', 'wrong_region', 'clock_skew', 'aborted'];

/** A server with an order of its own may list an object twice. */
const ONCE = `CREATE OR REPLACE TABLE objects AS
  SELECT location, max(bytes) AS bytes, max(at_ms) AS at_ms, any_value(class) AS class FROM objects GROUP BY location`;

class OutOfOrder extends Error {}
class NotListed extends Error {
  readonly lane: Lane;
  readonly failure: Unknown;
  constructor(lane: Lane, failure: Unknown) {
    const why = wordsOf(noAnswer(lane.connection, failure), 's3:ListBucket');
    super(`Cannot list s3://${lane.bucket}/${lane.prefix}: ${why}`);
    this.lane = lane;
    this.failure = failure;
  }
}

/** @throws {Error} when a configured place cannot be listed. */
export async function listObjects(options: ListObjectsOptions): Promise<ObjectsListed> {
  const { duck, configured } = options;
  let plan =
    (await progressOf<Plan>(duck, 'lanes')) ??
    (await newPlan({ seen: options.seen, unlisted: [], isOrdered: true }, options));
  for (;;) {
    try {
      const refused = await listAll(plan, options);
      if (refused.length > 0) {
        plan = await without(refused, plan, options);
        continue;
      }
      if (!plan.isOrdered) await duck.run(ONCE);
      return { places: outermost([...configured, ...plan.seen]), unlisted: plan.unlisted };
    } catch (error) {
      if (!(error instanceof OutOfOrder)) throw error;
      plan = await newPlan({ ...plan, isOrdered: false }, options);
    }
  }
}

/** The place that the failure rules out as a whole. @throws the error when the audit cannot do without it. */
function refusedPlace(error: unknown, { seen }: Plan, configured: readonly Base[]): Unlisted {
  if (!(error instanceof NotListed)) throw error;
  const isIt = (base: Base) => startOf(base) === startOfLane(error.lane);
  const place = seen.find(isIt);
  if (place === undefined || configured.some(isIt)) throw error;
  return { ...place, ...noAnswer(place.connection, error.failure) };
}

/** Leaves out places, with what their lanes brought. Places within them are now listed by themselves. */
async function without(refused: readonly Unlisted[], plan: Plan, options: ListObjectsOptions): Promise<Plan> {
  const starts = new Set(refused.map(startOf));
  const seen = plan.seen.filter((base) => !starts.has(startOf(base)));
  const kept = plan.lanes.filter((lane) => !starts.has(startOfLane(lane)));
  const listed = new Set(kept.map(startOfLane));
  const more = outermost([...options.configured, ...seen]).filter((base) => !listed.has(startOf(base)));
  const lanes = [...kept, ...(await lanesFor(more, plan, options))];
  const next: Plan = { ...plan, lanes, seen, unlisted: [...plan.unlisted, ...refused] };
  // After a kill, the plan is the one before and all objects are there, or both have changed.
  await options.duck.run(`BEGIN;
    DELETE FROM objects WHERE ${below(refused)};
    INSERT OR REPLACE INTO progress VALUES ('lanes', ${text(JSON.stringify(next))});
    COMMIT`);
  return next;
}

/** Makes a plan, and forgets everything that was listed by an earlier plan. */
async function newPlan(
  { seen, unlisted, isOrdered }: Omit<Plan, 'lanes'>,
  options: ListObjectsOptions,
): Promise<Plan> {
  const { duck, configured } = options;
  // The progress goes first: after a kill in between, objects without progress are forgotten by the next plan, but
  // progress without its objects would make the listing look whole.
  await duck.run(`DELETE FROM progress WHERE starts_with(step, 'lane')`);
  await duck.run(NO_OBJECTS);
  const lanes = await lanesFor(outermost([...configured, ...seen]), { isOrdered }, options);
  const plan = { lanes, seen, unlisted, isOrdered };
  await setProgress(duck, 'lanes', plan);
  return plan;
}

async function lanesFor(
  places: readonly Base[],
  { isOrdered }: Pick<Plan, 'isOrdered'>,
  { duck, concurrency }: ListObjectsOptions,
): Promise<Lane[]> {
  const lanes: Lane[] = [];
  // There are more lanes than are listed at once: a lane with more than its share of orphans does not hold up the end.
  for (const place of places)
    for (const lane of await lanesOf(duck, place, isOrdered ? 8 * concurrency : 1)) lanes.push(lane);
  return lanes;
}

/** Lists all lanes to their end, but for those of the places that it returns: these cannot be listed. */
async function listAll(plan: Plan, options: ListObjectsOptions): Promise<readonly Unlisted[]> {
  const { duck, concurrency, report } = options;
  // A worker that fails ends the others.
  const failed = new AbortController();
  const signal = AbortSignal.any([options.signal, failed.signal]);
  const buffer = createBuffer(duck);
  const refused = new Map<string, Unlisted>();
  let next = 0;
  let done = 0;
  async function list(lane: Lane): Promise<void> {
    try {
      await listLane(lane, {
        ...options,
        signal,
        isOrdered: plan.isOrdered,
        isWanted: () => !refused.has(startOfLane(lane)),
        keep: async (objects, progress) => {
          await buffer.add(lane.bucket, objects, progress);
          report({ objects: buffer.kept(), lanes: plan.lanes.length, done });
        },
      });
    } catch (error) {
      refused.set(startOfLane(lane), refusedPlace(error, plan, options.configured));
    }
  }
  async function work(): Promise<void> {
    for (let index = next++; index < plan.lanes.length; index = next++) {
      const lane = plan.lanes[index];
      if (lane !== undefined) await list(lane);
      done += 1;
    }
  }
  const workers = Array.from({ length: concurrency }, () =>
    work().catch((error: unknown) => {
      failed.abort(error);
      throw error;
    }),
  );
  const ended = await Promise.allSettled(workers);
  const reasons = ended.flatMap((one) => (one.status === 'rejected' ? [one.reason as Error] : []));
  options.signal.throwIfAborted();
  const [first] = reasons;
  if (first !== undefined) throw (failed.signal.reason as Error | undefined) ?? first;
  await buffer.flush();
  report({ objects: buffer.kept(), lanes: plan.lanes.length, done });
  return [...refused.values()];
}

interface LaneOptions extends ListObjectsOptions {
  readonly isOrdered: boolean;
  /** False as soon as another lane has shown that the place cannot be listed. */
  readonly isWanted: () => boolean;
  readonly keep: (
    objects: readonly ListedObject[],
    progress: readonly [step: string, state: string],
  ) => Promise<void>;
}

async function listLane(lane: Lane, options: LaneOptions): Promise<void> {
  const { isOrdered, isWanted, keep } = options;
  const step = `lane ${startOfLane(lane)} ${lane.after ?? ''}`;
  const state = (await progressOf<LaneState>(options.duck, step)) ?? { last: null, isDone: false };
  if (state.isDone) return;
  // Without an order, a lane cannot continue in the middle and starts anew; an object that comes twice counts once.
  let last = isOrdered ? (state.last ?? lane.after) : null;
  let token: string | null = null;
  while (isWanted()) {
    const page = await listPage(lane, { after: token, startAfter: last }, options);
    const { upTo } = lane;
    if (
      isOrdered &&
      !areInOrder(
        page.objects.map(({ key }) => key),
        last,
      )
    )
      throw new OutOfOrder();
    const objects =
      upTo === null ? page.objects : page.objects.filter(({ key }) => compareKeys(key, upTo) <= 0);
    const isDone = page.next === null || objects.length < page.objects.length;
    last = page.objects.at(-1)?.key ?? last;
    const reached: LaneState = { last: objects.at(-1)?.key ?? state.last, isDone };
    await keep(objects, [step, JSON.stringify(reached)]);
    if (isDone) return;
    token = page.next;
  }
}

function startOfLane({ bucket, prefix }: Lane): string {
  return `${bucket}/${prefix}`;
}

async function listPage(
  lane: Lane,
  from: { readonly after: string | null; readonly startAfter: string | null },
  { storeOf, pace, signal }: LaneOptions,
): Promise<{ objects: readonly ListedObject[]; next: string | null }> {
  const { bucket, prefix, connection } = lane;
  for (let tried = 1; ; tried += 1) {
    await pace(1, signal);
    const answer = await storeOf(connection).list(
      {
        bucket,
        prefix,
        after: from.after,
        ...(from.after !== null || from.startAfter === null ? {} : { startAfter: from.startAfter }),
      },
      signal,
    );
    if (answer.kind === 'listed') return answer;
    signal.throwIfAborted();
    if (tried === TRIES || LASTING.includes(answer.reason)) throw new NotListed(lane, answer);
    await sleep(FIRST_PAUSE_MS * 2 ** (tried - 1), undefined, { signal });
  }
}
