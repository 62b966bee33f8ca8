import type { ListedObject } from '../s3/client.ts';
import type { Unknown } from '../s3/failure.ts';
import { compareKeys } from '../s3/key-order.ts';
import type { Stores } from '../s3/stores.ts';
import { keyRangesOf } from './key-ranges.ts';
import type { Location } from './locations.ts';
import type { PendingOfRun } from './pending.ts';
import type { Step } from './planner.ts';
import { plan } from './planner.ts';

/** What S3 said of one item. */
export type Sighting = { readonly kind: 'present'; readonly bytes: number } | { readonly kind: 'missing' };

export interface LookUpOptions {
  readonly stores: Pick<Stores, 'of' | 'sent'>;
  /** Requests that may be sent, second attempts included. */
  readonly ceiling: number;
  /** Past this moment, on the clock of `performance.now()`, nothing is begun. */
  readonly until: number;
}

export interface LookedUp<Item> {
  readonly found: readonly { readonly item: Item; readonly finding: Sighting }[];
  /** Asked for, and not answered. */
  readonly unanswered: readonly { readonly item: Item; readonly unknown: Unknown }[];
  /** Not asked for: there were too many, or S3 had stopped answering. */
  readonly left: readonly Item[];
  /** Why it was given up: of several requests at once not one was answered. */
  readonly failure: Unknown | null;
  readonly answered: boolean;
}

/** Begun at once; what is known of S3's health is looked at between. */
export const TOGETHER = 32;

/** Requests that may be begun when so many may be sent: each may take two, and a missing object a look at its bucket. */
export function beginnable(requests: number): number {
  return requests < 2 ? 0 : Math.max(1, Math.floor((requests - 2) / 2));
}

/** Asks for what waits, by the cheapest way that the ceiling allows. Never throws. */
export async function lookUp<Item>(
  runs: readonly PendingOfRun<Item>[],
  options: LookUpOptions,
  signal: AbortSignal,
): Promise<LookedUp<Item>> {
  const { stores, ceiling, until } = options;
  const found: { item: Item; finding: Sighting }[] = [];
  const unanswered: { item: Item; unknown: Unknown }[] = [];
  const progress: { failure: Unknown | null; answered: boolean } = { failure: null, answered: false };
  const keys = new Map(runs.flatMap(({ waiting }) => waiting.map(({ item, key }) => [item, key] as const)));
  const open = new Set(keys.keys());
  const lessons = { unlistable: new Set<string>(), apart: new Set<string>() };
  /** What a page lacks where it should be. */
  const absent: { location: Location; items: readonly Item[] }[] = [];
  const sentBefore = stores.sent();
  const left = () => ceiling - (stores.sent() - sentBefore);
  const mayBegin = () =>
    signal.aborted || progress.failure !== null || performance.now() > until ? 0 : beginnable(left());

  while (open.size > 0 && mayBegin() > 0) {
    const waiting = runs.map((run) => ({
      ...run,
      waiting: run.waiting.filter(({ item }) => open.has(item)),
    }));
    await follow(plan(await keyRangesOf(waiting, lessons), left()).steps);
  }
  return { found, unanswered, left: [...open], ...progress };

  async function follow(steps: readonly Step<Item, Location>[]): Promise<void> {
    for (let at = 0; at < steps.length;) {
      const batch = steps.slice(at, at + Math.min(TOGETHER, mayBegin()));
      if (batch.length === 0) return;
      at += batch.length;
      const unknowns = await Promise.all(
        batch.map((step) => (step.kind === 'head' ? head(step) : list(step))),
      );
      // When not one of several was answered, asking on would only hurt S3 and hold up the cycle.
      if (unknowns.every((unknown) => unknown !== null)) progress.failure = unknowns[0] ?? null;
      await settleAbsent();
    }
  }

  /**
   * What a page lacks is missing when HEADs say so of some of it: some servers list in another order than that of the
   * keys, by folders for example. What there is no request left for is asked for again.
   */
  async function settleAbsent(): Promise<void> {
    for (const { location, items } of absent.splice(0)) {
      const { connection, bucket } = location;
      const answers = await Promise.all(
        witnesses(items, mayBegin()).map(async (item) => {
          const answer = await stores.of(connection).head({ bucket, key: keys.get(item) ?? '' }, signal);
          return { item, answer };
        }),
      );
      const known = answers.flatMap(({ item, answer }) =>
        answer.kind === 'unknown' ? [] : [{ item, finding: answer }],
      );
      const isThere = known.some(({ finding }) => finding.kind === 'present');
      for (const { item, finding } of known) note(item, finding);
      if (isThere) lessons.unlistable.add(`${connection}/${bucket}`);
      const [unknown] = answers.flatMap(({ answer }) => (answer.kind === 'unknown' ? [answer] : []));
      if (unknown !== undefined) giveUpOn(items, unknown);
      else if (known.length > 0 && !isThere) for (const item of items) note(item, { kind: 'missing' });
    }
  }

  function note(item: Item, finding: Sighting): void {
    progress.answered = true;
    if (open.delete(item)) found.push({ item, finding });
  }

  async function head({
    location,
    item,
  }: Extract<Step<Item, Location>, { kind: 'head' }>): Promise<Unknown | null> {
    const { connection, bucket } = location;
    const answer = await stores.of(connection).head({ bucket, key: keys.get(item) ?? '' }, signal);
    if (answer.kind !== 'unknown') {
      note(item, answer);
      return null;
    }
    giveUpOn([item], answer);
    return answer;
  }

  function giveUpOn(items: readonly Item[], unknown: Unknown): void {
    // Broken off by us, it says nothing of S3.
    if (unknown.reason === 'aborted') return;
    for (const item of items) if (open.delete(item)) unanswered.push({ item, unknown });
  }

  async function list(step: Extract<Step<Item, Location>, { kind: 'list' }>): Promise<Unknown | null> {
    const { prefix, startAfter, items } = step;
    const { connection, bucket } = step.location;
    const target = { bucket, prefix, after: null, startAfter };
    const answer = await stores.of(connection).list(target, signal);
    if (answer.kind === 'unknown') {
      if (answer.reason !== 'denied') {
        giveUpOn(items, answer);
        return answer;
      }
      // Without s3:ListBucket there is still HEAD, which tells what is there.
      lessons.unlistable.add(`${connection}/${bucket}`);
      return null;
    }
    progress.answered = true;
    const { lacks, beyond } = judge(items, answer.objects, { complete: answer.next === null, startAfter });
    const [first] = beyond;
    const inOrder = isInOrder(answer.objects);
    if (lacks.length > 0 && inOrder) absent.push({ location: step.location, items: lacks });
    // More lies here than was thought. Where a page answers nothing at all, its server does not know where to begin.
    if (beyond.length === items.length || !inOrder) lessons.unlistable.add(`${connection}/${bucket}`);
    else if (first !== undefined) lessons.apart.add(keys.get(first) ?? '');
    return null;
  }

  /** A page is in the order of keys: what is not there before its last key is lacking. What is after is beyond it. */
  function judge(
    items: readonly Item[],
    objects: readonly ListedObject[],
    page: { readonly complete: boolean; readonly startAfter: string },
  ): { readonly lacks: readonly Item[]; readonly beyond: readonly Item[] } {
    const sizes = new Map(objects.map(({ key, bytes }) => [key, bytes]));
    const last = objects.at(-1)?.key ?? '';
    const lacks: Item[] = [];
    const beyond: Item[] = [];
    for (const item of items) {
      const key = keys.get(item) ?? '';
      const bytes = sizes.get(key);
      if (bytes !== undefined) note(item, { kind: 'present', bytes });
      else if (compareKeys(key, page.startAfter) > 0 && (page.complete || compareKeys(key, last) < 0))
        lacks.push(item);
      else beyond.push(item);
    }
    return { lacks, beyond };
  }
}

/** The first, the last and one between: where a server lists in another order, what lies together is alike. */
function witnesses<Item>(items: readonly Item[], most: number): readonly Item[] {
  const some = new Set([items[0], items.at(-1), items[Math.floor(items.length / 2)]]);
  return [...some].flatMap((item) => (item === undefined ? [] : [item])).slice(0, most);
}

/** Whether a page is in the order in which S3 lists. */
function isInOrder(objects: readonly ListedObject[]): boolean {
  return objects.every(({ key }, at) => at === 0 || compareKeys(objects[at - 1]?.key ?? '', key) < 0);
}
