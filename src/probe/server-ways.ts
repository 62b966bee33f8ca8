import { withinGrace } from '../lib/grace.ts';
import type { ObjectStore } from '../s3/client.ts';
import { compareKeys } from '../s3/key-order.ts';
import { mayHaveArrived } from './bucket.ts';
import type { PreflightStep } from './preflight-step.ts';
import { good, idle, open } from './preflight-step.ts';

/** How the pages of a listing compare with the objects in the bucket. */
export const LISTINGS = ['whole', 'unordered', 'lacking'] as const;

export type Listing = (typeof LISTINGS)[number];

export interface SeenListing {
  readonly kind: Listing;
  /** The guarantee of the listing, and its consequence. */
  readonly words: string;
}

/** The server's answer when an unknown key id asks for an existing object. */
export type Strangers = 'refused' | 'not_found' | 'taken';

/** Null: not found out. */
export interface ServerWays {
  readonly listing: Listing | null;
  readonly strangers: Strangers | null;
}

/**
 * Their order differs by bytes, by UTF-16 and by the rules of a language. So do pages that continue after one of them.
 */
const NAMES = ['A', 'a', 'b', 'B', 'ｚ', '𐐀'];

interface Place {
  readonly bucket: string;
  readonly prefix: string;
  /** Names the objects that are written. Checks that may run at the same time need different ids. */
  readonly id: string;
}

interface Written {
  readonly bucket: string;
  readonly folder: string;
  readonly keys: readonly string[];
}

/**
 * Learns how a server behaves: writes a few objects, lists them two at a time, asks for one with an unknown key id, and
 * deletes them.
 */
export async function seeServerWays(
  { store, nobody }: { readonly store: ObjectStore; readonly nobody: Pick<ObjectStore, 'head'> },
  place: Place,
  signal: AbortSignal,
): Promise<ServerWays> {
  const ways = await withObjects(store, place, {
    signal,
    use: async (written) => ({
      listing: await listingOf(store, written, signal),
      strangers: strangersOf(await nobody.head({ bucket: place.bucket, key: `${written.folder}A` }, signal)),
    }),
  });
  return ways ?? { listing: null, strangers: null };
}

/** Checks only the listings. It sends no request with an unknown key id, because such a request may raise an alarm. */
export function seeListing(store: ObjectStore, place: Place, signal: AbortSignal): Promise<Listing | null> {
  return withObjects(store, place, { signal, use: (written) => listingOf(store, written, signal) });
}

/** Null: some objects could not be written. */
async function withObjects<T>(
  store: ObjectStore,
  { bucket, prefix, id }: Place,
  { signal, use }: { readonly signal: AbortSignal; readonly use: (written: Written) => Promise<T> },
): Promise<T | null> {
  // A later probe deletes leftovers with this prefix. It is not below the probe's own key, because some servers have
  // folders.
  const folder = `${prefix === '' ? '' : `${prefix}/`}.airflow-xcom-exporter/probe-${id}-list/`;
  const keys = NAMES.map((name) => folder + name);
  const body = new TextEncoder().encode(`airflow-xcom-exporter probe ${id}\n`);
  const written: string[] = [];
  try {
    for (const key of keys) {
      const answer = await store.put({ bucket, key, body }, signal);
      if (answer.kind === 'done' || mayHaveArrived(answer)) written.push(key);
      if (answer.kind !== 'done') return null;
    }
    return await use({ bucket, folder, keys });
  } finally {
    await withinGrace(signal, async (grace) => {
      for (const key of written) await store.delete({ bucket, key }, grace);
    });
  }
}

async function listingOf(
  store: ObjectStore,
  { bucket, folder, keys }: Written,
  signal: AbortSignal,
): Promise<Listing | null> {
  const listed: string[] = [];
  let after: string | null = null;
  for (let page = 0; page <= keys.length; page += 1) {
    const answer = await store.list({ bucket, prefix: folder, after, maxKeys: 2 }, signal);
    if (answer.kind === 'unknown') return null;
    for (const { key } of answer.objects) listed.push(key);
    after = answer.next;
    if (after === null) break;
  }
  const lacks = keys.filter((key) => !listed.includes(key));
  // Some servers lose an object written under a deleted object's key; then LIST is not to blame.
  if (lacks.length > 0) return (await isOneThere(store, { bucket, keys: lacks }, signal)) ? 'lacking' : null;
  if (listed.length !== keys.length) return 'lacking';
  const inOrder = listed.every((key, at) => at === 0 || compareKeys(listed[at - 1] ?? '', key) < 0);
  return inOrder ? 'whole' : 'unordered';
}

async function isOneThere(
  store: ObjectStore,
  { bucket, keys }: { readonly bucket: string; readonly keys: readonly string[] },
  signal: AbortSignal,
): Promise<boolean> {
  for (const key of keys) {
    const answer = await store.head({ bucket, key }, signal);
    if (answer.kind === 'present') return true;
  }
  return false;
}

function strangersOf(answer: Awaited<ReturnType<ObjectStore['head']>>): Strangers | null {
  if (answer.kind === 'present') return 'taken';
  if (answer.kind === 'missing') return 'not_found';
  if (answer.reason !== 'denied') return null;
  return answer.said.status === 404 ? 'not_found' : 'refused';
}

/** `untried`: why nothing was asked. */
export function waySteps(ways: ServerWays | { readonly untried: string }): readonly PreflightStep[] {
  if ('untried' in ways) return [idle('listing', ways.untried), idle('strangers', ways.untried)];
  return [listingStep(ways.listing), strangersStep(ways.strangers)];
}

function listingStep(listing: Listing | null): PreflightStep {
  return listing === null ? open('listing', 'no answer tells') : good('listing', listingWords(listing));
}

/** The guarantee of the listing, and its consequence. */
export function listingWords(listing: Listing): string {
  switch (listing) {
    case 'whole':
      return 'whole, and in the order of keys';
    case 'unordered':
      return 'not in the order of keys: a HEAD decides what a page lacks';
    case 'lacking':
      return 'LIST lacks keys that are there: a HEAD decides what a page lacks';
  }
}

function strangersStep(strangers: Strangers | null): PreflightStep {
  switch (strangers) {
    case 'refused':
      return good('strangers', 'a key id that nobody has is refused');
    case 'not_found':
      return good(
        'strangers',
        'a key id that nobody has is answered 404: an object is missing only while another is found',
      );
    case 'taken':
      return idle('strangers', 'the server takes any key id: that the credentials are accepted says nothing');
    case null:
      return open('strangers', 'no answer tells');
  }
}
