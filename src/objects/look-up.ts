import { mayBeArchived } from '../s3/archive.ts';
import type { Unknown } from '../s3/failure.ts';
import { compareKeys } from '../s3/key-order.ts';
import type { ListedObject } from '../s3/listing.ts';
import type { Stores } from '../s3/stores.ts';
import type { Closure, Place } from './allowance.ts';
import { createAllowance, isSamePlace, TOGETHER } from './allowance.ts';
import type { Sighting } from './findings.ts';
import { keyRangesOf } from './key-ranges.ts';
import type { Location } from './locations.ts';
import type { PendingOfRun } from './pending.ts';
import type { Step } from './planner.ts';
import { plan } from './planner.ts';
import { isNoListing } from './unlistable.ts';

export interface LookUpOptions {
  readonly stores: Pick<Stores, 'of' | 'sent'>;
  /** How many requests may be sent, second attempts included. */
  readonly ceiling: number;
  /** After this moment, on the clock of `performance.now()`, no request begins. */
  readonly until: number;
  /** Epoch ms. */
  readonly now: number;
}

export interface LookedUp<Item> {
  readonly found: readonly { readonly item: Item; readonly finding: Sighting }[];
  /** S3 was asked about these items and did not answer. */
  readonly unanswered: readonly { readonly item: Item; readonly unknown: Unknown }[];
  /** S3 was not asked about these items: there were too many, or their place had stopped answering. */
  readonly left: readonly Item[];
  readonly closures: readonly Closure[];
  /** The places in which S3 answered a request. */
  readonly answering: readonly Place[];
}

/** Looks up the waiting references in the cheapest way that the ceiling allows. Never throws. */
export async function lookUp<Item>(
  runs: readonly PendingOfRun<Item>[],
  options: LookUpOptions,
  signal: AbortSignal,
): Promise<LookedUp<Item>> {
  const { stores, ceiling, until, now } = options;
  const found: { item: Item; finding: Sighting }[] = [];
  const unanswered: { item: Item; unknown: Unknown }[] = [];
  const allowance = createAllowance(stores, { requests: ceiling, until, signal });
  const keys = new Map(runs.flatMap(({ waiting }) => waiting.map(({ item, key }) => [item, key] as const)));
  const open = new Set(keys.keys());
  const lessons = { unlistable: new Array<Place>(), apart: new Set<string>() };
  /**
   * Items that a page leaves undecided: keys that it should hold but lacks, and objects that may be in an archive or
   * are empty.
   */
  const undecided: { location: Location; item: Item; isListed: boolean }[] = [];

  while (allowance.beginnable() > 0) {
    const waiting = runs
      .filter(({ location }) => !allowance.isClosed(location))
      .map((run) => ({ ...run, waiting: run.waiting.filter(({ item }) => open.has(item)) }));
    if (waiting.every((run) => run.waiting.length === 0)) break;
    await follow(plan(await keyRangesOf(waiting, lessons), allowance.left()).steps);
  }
  return {
    found,
    unanswered,
    left: [...open],
    closures: allowance.closures(),
    answering: allowance.answering(),
  };

  async function follow(steps: readonly Step<Item, Location>[]): Promise<void> {
    for (let turn = allowance.next(steps, placeOf); turn.batch.length > 0;) {
      const replies = await Promise.all(
        turn.batch.map(async (step) => ({
          place: step.location,
          unknown: await (step.kind === 'head' ? head(step) : list(step)),
        })),
      );
      allowance.judge(replies);
      // Items asked for together share one look at their bucket, which costs more than ten of their requests.
      const isTight = allowance.beginnable() < 2 * TOGETHER;
      if (undecided.length >= TOGETHER || isTight) await settleUndecided();
      turn = allowance.next(turn.later, placeOf);
    }
    await settleUndecided();
  }

  /**
   * A listing alone never decides that an object is missing. Servers list in another order than that of the keys, by
   * folders for example, fold keys, or lose some between two pages. A listing does not show either that an archived
   * object was restored. So a HEAD decides for each object. When no request is left, the rest waits.
   */
  async function settleUndecided(): Promise<void> {
    const all = undecided.splice(0);
    for (let turn = allowance.next(all, placeOf); turn.batch.length > 0;) {
      const replies = await Promise.all(
        turn.batch.map(async ({ location, item, isListed }) => {
          const answer = await sighting(location, item);
          if (!isListed && answer.kind === 'present') noteUnlistable(location);
          return { place: location, unknown: answer.kind === 'unknown' ? answer : null };
        }),
      );
      allowance.judge(replies);
      turn = allowance.next(turn.later, placeOf);
    }
  }

  async function sighting(location: Location, item: Item): Promise<Sighting | Unknown> {
    const { connection, bucket, prefix } = location;
    const target = { bucket, key: keys.get(item) ?? '', prefix };
    const answer = await stores.of(connection).head(target, signal);
    if (answer.kind === 'unknown') {
      giveUpOn([item], answer);
      return answer;
    }
    allowance.answered(location);
    note(item, answer);
    return answer;
  }

  function noteUnlistable(place: Place): void {
    if (!lessons.unlistable.some((one) => isSamePlace(one, place))) lessons.unlistable.push(place);
  }

  function note(item: Item, finding: Sighting): void {
    if (open.delete(item)) found.push({ item, finding });
  }

  async function head({
    location,
    item,
  }: Extract<Step<Item, Location>, { kind: 'head' }>): Promise<Unknown | null> {
    const answer = await sighting(location, item);
    return answer.kind === 'unknown' ? answer : null;
  }

  function giveUpOn(items: readonly Item[], unknown: Unknown): void {
    // We ended the request ourselves, so the failure says nothing about S3.
    if (unknown.reason === 'aborted') return;
    for (const item of items) if (open.delete(item)) unanswered.push({ item, unknown });
  }

  async function list(step: Extract<Step<Item, Location>, { kind: 'list' }>): Promise<Unknown | null> {
    const { location, prefix, startAfter, items } = step;
    const { connection, bucket } = location;
    const target = { bucket, prefix, after: null, startAfter };
    const answer = await stores.of(connection).list(target, signal);
    if (answer.kind === 'unknown') {
      if (answer.reason !== 'denied' && !isNoListing(answer)) {
        giveUpOn(items, answer);
        return answer;
      }
      // Without permission to list, HEAD still works and shows which objects exist.
      noteUnlistable(location);
      return null;
    }
    allowance.answered(location);
    const {
      lacks,
      beyond,
      open: unread,
    } = judge(items, answer.objects, { complete: answer.next === null, startAfter });
    const [first] = beyond;
    const inOrder = isInOrder(answer.objects);
    if (inOrder) for (const item of lacks) undecided.push({ location, item, isListed: false });
    for (const item of unread) undecided.push({ location, item, isListed: true });
    // More keys lie here than expected. When a page answers for none of its items, its server does not know where to
    // begin.
    if (beyond.length === items.length || !inOrder) noteUnlistable(location);
    else if (first !== undefined) lessons.apart.add(keys.get(first) ?? '');
    return null;
  }

  /**
   * A page is in the order of keys. A key that is missing before the page's last key is lacking; a key after the last
   * one is beyond the page. An object on the page that is empty or may be in an archive is open.
   */
  function judge(
    items: readonly Item[],
    objects: readonly ListedObject[],
    page: { readonly complete: boolean; readonly startAfter: string },
  ): Readonly<Record<'lacks' | 'beyond' | 'open', readonly Item[]>> {
    const listed = new Map(objects.map((object) => [object.key, object]));
    const last = objects.at(-1)?.key ?? '';
    const lacks: Item[] = [];
    const beyond: Item[] = [];
    const unread: Item[] = [];
    for (const item of items) {
      const key = keys.get(item) ?? '';
      const object = listed.get(key);
      // A lost value is a critical problem, so a listing alone does not decide that a present object is empty either.
      if (object !== undefined && (object.bytes === 0 || mayBeArchived(object, now))) unread.push(item);
      else if (object !== undefined) note(item, { kind: 'present', bytes: object.bytes, archive: null });
      else if (compareKeys(key, page.startAfter) > 0 && (page.complete || compareKeys(key, last) < 0))
        lacks.push(item);
      else beyond.push(item);
    }
    return { lacks, beyond, open: unread };
  }
}

function placeOf({ location }: { readonly location: Location }): Location {
  return location;
}

/** Whether a page is in S3's listing order. */
function isInOrder(objects: readonly ListedObject[]): boolean {
  return objects.every(({ key }, at) => at === 0 || compareKeys(objects[at - 1]?.key ?? '', key) < 0);
}
