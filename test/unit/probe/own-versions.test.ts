import { describe, expect, test } from 'vitest';
import { probe } from '../../../src/probe/bucket.ts';
import { noteVersions } from '../../../src/probe/own-versions.ts';
import { probeId } from '../../../src/probe/probe-id.ts';
import type { ObjectStore } from '../../../src/s3/client.ts';
import type { Unknown } from '../../../src/s3/failure.ts';
import { unknown } from '../../../src/s3/failure.ts';

const never = new AbortController().signal;
const target = { bucket: 'xcom', prefix: 'base', write: true, now: 0, id: 'p1' };
const key = 'base/.airflow-xcom-exporter/probe-p1';
const denied: Unknown = unknown('denied', 'AccessDenied (403)', 's3');

interface Version {
  readonly key: string;
  readonly version: string;
  /** Null for a delete marker. */
  readonly body: Uint8Array | null;
}

/** A bucket that keeps versions by the rules of AWS. In `npm run test:s3` each of seven servers does the same. */
function versionedBucket(mayErase: boolean): { store: ObjectStore; kept: Version[] } {
  const kept: Version[] = [];
  let count = 0;
  const add = (of: string, body: Uint8Array | null) => {
    count += 1;
    const version = `v${count}`;
    kept.push({ key: of, version, body });
    return { kind: 'done', version } as const;
  };
  const current = (of: string) => kept.findLast((each) => each.key === of)?.body ?? null;
  const store: ObjectStore = {
    put: (to) => Promise.resolve({ ...add(to.key, to.body), attempts: 1 }),
    head: (to) => {
      const body = current(to.key);
      return Promise.resolve(
        body === null
          ? { kind: 'missing' }
          : { kind: 'present', bytes: body.length, archive: null, lastModified: null },
      );
    },
    get: (to) => {
      const shown = kept.findLast((each) => each.key === to.key);
      if (shown === undefined || shown.body === null) return Promise.resolve({ kind: 'missing' });
      return Promise.resolve({ kind: 'got', body: shown.body, version: shown.version });
    },
    peek: () => Promise.resolve({ kind: 'readable' }),
    list: ({ prefix }) => {
      const keys = [...new Set(kept.map((each) => each.key))].filter((each) => each.startsWith(prefix));
      const objects = keys.flatMap((each) => {
        const body = current(each);
        return body === null
          ? []
          : [{ key: each, bytes: body.length, lastModified: 0, storageClass: 'STANDARD' }];
      });
      return Promise.resolve({ kind: 'listed', objects, next: null });
    },
    delete: (to) => {
      if (to.version === undefined) return Promise.resolve(add(to.key, null));
      if (!mayErase) return Promise.resolve(denied);
      kept.splice(
        kept.findIndex((each) => each.version === to.version),
        1,
      );
      return Promise.resolve({ kind: 'done', version: to.version });
    },
    seeBucket: () => Promise.resolve({ kind: 'seen', by: 'HeadBucket' as const }),
    clockSkewSeconds: () => null,
    close: () => undefined,
  };
  return { store, kept };
}

describe('a bucket that keeps versions', () => {
  test('holds nothing of a probe that has ended', async () => {
    const { store, kept } = versionedBucket(true);
    await store.put({ bucket: 'xcom', key: 'base/dag/run/task/value', body: new Uint8Array(3) }, never);
    const own = noteVersions(store);
    const { steps } = await probe(own.store, target, never);
    expect(steps.map(({ ok }) => ok)).toEqual([true, true, true, true, true]);
    expect(kept.filter((each) => each.key === key)).toHaveLength(2);
    expect(await own.erase(never)).toEqual({ kind: 'erased' });
    expect(kept.map((each) => each.key)).toEqual(['base/dag/run/task/value']);
  });

  test('keeps both where they may not be deleted, and one refusal is enough', async () => {
    const { store, kept } = versionedBucket(false);
    let refused = 0;
    const counting: ObjectStore = {
      ...store,
      delete: (to, signal) => {
        if (to.version !== undefined) refused += 1;
        return store.delete(to, signal);
      },
    };
    const own = noteVersions(counting);
    await probe(own.store, target, never);
    expect(await own.erase(never)).toEqual({ kind: 'refused', failure: denied });
    expect([kept.length, refused]).toEqual([2, 1]);
  });

  test.each(['done', 'unknown'] as const)(
    'holds nothing of a PUT whose first answers were lost, and whose last is %s',
    async (last) => {
      const { store, kept } = versionedBucket(true);
      const own = noteVersions({
        ...store,
        put: async (to, signal) => {
          await store.put(to, signal);
          await store.put(to, signal);
          if (last === 'unknown') return unknown('timeout', 'no answer in 7000 ms', 'network');
          return { ...(await store.put(to, signal)), attempts: 3 } as Awaited<ReturnType<typeof store.put>>;
        },
      });
      await probe(own.store, target, never);
      expect(await own.erase(never)).toEqual({ kind: 'erased' });
      expect(kept).toEqual([]);
    },
  );

  test('is not said to hold nothing where what was lost cannot be looked at, and shows none', async () => {
    const { store } = versionedBucket(true);
    let isWriting = true;
    const own = noteVersions({
      ...store,
      put: async (to, signal) => {
        await store.put(to, signal);
        return unknown('timeout', 'no answer in 7000 ms', 'network');
      },
      get: (to, signal) => (isWriting ? store.get(to, signal) : Promise.resolve(denied)),
    });
    await probe(own.store, target, never);
    isWriting = false;
    expect(await own.erase(never)).toEqual({ kind: 'left', failure: denied });
    expect(await store.head({ bucket: 'xcom', key }, never)).toEqual({ kind: 'missing' });
  });

  test('holds no marker of what was refused', async () => {
    const { store, kept } = versionedBucket(true);
    const own = noteVersions({ ...store, put: () => Promise.resolve(denied) });
    await own.store.put({ bucket: 'xcom', key, body: new Uint8Array(3) }, never);
    await own.store.delete({ bucket: 'xcom', key }, never);
    expect(await own.erase(never)).toEqual({ kind: 'erased' });
    expect(kept).toEqual([]);
  });

  test('keeps the versions of what was not written here', async () => {
    const { store, kept } = versionedBucket(true);
    await store.put({ bucket: 'xcom', key, body: new Uint8Array(3) }, never);
    const own = noteVersions(store);
    await own.store.delete({ bucket: 'xcom', key }, never);
    expect(await own.erase(never)).toEqual({ kind: 'none' });
    expect(kept).toHaveLength(2);
  });
});

describe('a bucket whose versioning is suspended', () => {
  /** A PUT names no version, and a deletion leaves a marker: run on versitygw. MinIO does not name the marker. */
  function suspendedBucket(): { store: ObjectStore; kept: Version[] } {
    const { store, kept } = versionedBucket(true);
    const replace = (key_: string, body: Uint8Array | null) => {
      const others = kept.filter((each) => each.key !== key_);
      kept.splice(0, kept.length, ...others, { key: key_, version: 'null', body });
    };
    return {
      kept,
      store: {
        ...store,
        put: (to) => {
          replace(to.key, to.body);
          return Promise.resolve({ kind: 'done', version: null, attempts: 1 });
        },
        delete: (to, signal) => {
          if (to.version !== undefined) return store.delete(to, signal);
          replace(to.key, null);
          return Promise.resolve({ kind: 'done', version: 'null' });
        },
      },
    };
  }

  test('holds no marker of a probe that has ended', async () => {
    const { store, kept } = suspendedBucket();
    const own = noteVersions(store);
    await probe(own.store, target, never);
    expect(kept).toHaveLength(1);
    expect(await own.erase(never)).toEqual({ kind: 'suspended' });
    expect(kept).toEqual([]);
  });
});

test('an exporter writes one key, and another one another', () => {
  const here = { host: '', port: 10_048 };
  expect(probeId(here)).toBe(probeId({ ...here }));
  expect(probeId(here)).toMatch(/^[0-9a-f]{16}$/);
  expect(probeId({ host: '', port: 10_049 })).not.toBe(probeId(here));
});
