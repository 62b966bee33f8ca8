import { expect, test } from 'vitest';
import { seeListing } from '../../../src/probe/server-ways.ts';
import type { ObjectStore } from '../../../src/s3/client.ts';
import { unknown } from '../../../src/s3/failure.ts';
import { compareKeys } from '../../../src/s3/key-order.ts';

const never = new AbortController().signal;
const place = { bucket: 'xcom', prefix: 'base', id: 'p1' };

/** A server that lists in this order; with `skips`, each further page begins one key too late. */
function serverThat(compare: (a: string, b: string) => number, skips = false): [ObjectStore, Set<string>] {
  const keys = new Set<string>();
  const store: ObjectStore = {
    put: ({ key }) => {
      keys.add(key);
      return Promise.resolve({ kind: 'done', version: null, attempts: 1 });
    },
    list: ({ after, maxKeys = 1_000 }) => {
      const from = Number(after ?? 0);
      const sorted = [...keys].sort(compare);
      const next = from + maxKeys + (skips ? 1 : 0);
      const objects = sorted
        .slice(from, from + maxKeys)
        .map((key) => ({ key, bytes: 1, lastModified: 0, storageClass: 'STANDARD' }));
      return Promise.resolve({ kind: 'listed', objects, next: next < sorted.length ? String(next) : null });
    },
    delete: ({ key }) => {
      keys.delete(key);
      return Promise.resolve({ kind: 'done', version: null });
    },
    head: ({ key }) =>
      Promise.resolve(
        keys.has(key)
          ? { kind: 'present', bytes: 1, archive: null, lastModified: null }
          : { kind: 'missing' },
      ),
    get: () => Promise.resolve({ kind: 'missing' }),
    peek: () => Promise.resolve({ kind: 'missing' }),
    seeBucket: () => Promise.resolve({ kind: 'seen', by: 'HeadBucket' as const }),
    clockSkewSeconds: () => null,
    close: () => undefined,
  };
  return [store, keys];
}

const byUnits = (a: string, b: string) => (a < b ? -1 : 1);

test.each([
  ['by the bytes of UTF-8, as AWS', compareKeys, false, 'whole'],
  ['by UTF-16, as S3Mock', byUnits, false, 'unordered'],
  ['by the rules of a language', (a: string, b: string) => a.localeCompare(b, 'en'), false, 'unordered'],
  ['and loses keys between pages', compareKeys, true, 'lacking'],
] as const)('a server that lists %s', async (_, compare, skips, listing) => {
  const [store, keys] = serverThat(compare, skips);
  expect(await seeListing(store, place, never)).toBe(listing);
  expect([...keys]).toEqual([]);
});

test('a server that loses what was written says nothing of its listings', async () => {
  const [store] = serverThat(compareKeys);
  const losing: ObjectStore = {
    ...store,
    put: () => Promise.resolve({ kind: 'done', version: null, attempts: 1 }),
  };
  expect(await seeListing(losing, place, never)).toBeNull();
});

test.each(['timeout', 'aborted'] as const)(
  'an object whose PUT ended in %s is deleted as well',
  async (reason) => {
    const [store, keys] = serverThat(compareKeys);
    let puts = 0;
    const losing: ObjectStore = {
      ...store,
      put: async (target, signal) => {
        puts += 1;
        const answer = await store.put(target, signal);
        return puts === 3 ? unknown(reason, 'no answer', 'network') : answer;
      },
    };
    expect(await seeListing(losing, place, never)).toBeNull();
    expect(puts).toBe(3);
    expect([...keys]).toEqual([]);
  },
);
