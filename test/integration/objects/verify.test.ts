import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import type { Place } from '../../../src/objects/allowance.ts';
import type { Verified, VerifyOptions } from '../../../src/objects/verify.ts';
import { noteUnchecked } from '../../../src/objects/check-references.ts';
import { verify } from '../../../src/objects/verify.ts';
import type { ObjectStore } from '../../../src/s3/client.ts';
import { openObjectStore } from '../../../src/s3/client.ts';
import type { Unknown } from '../../../src/s3/failure.ts';
import { emptyState } from '../../../src/window/ledger-state.ts';
import * as is from '../../../src/window/flags.ts';
import type { Ledger } from '../../../src/window/ledger.ts';
import { createLedger } from '../../../src/window/ledger.ts';
import { orphans } from '../../../src/diagnosis/window-totals.ts';
import { newRun } from '../../../src/window/run.ts';
import { startHttpFaultProxy } from '../../support/http-fault-proxy.ts';
import { connectionTo, recordRequests, storesOf, useS3 } from '../../support/s3.ts';

const server = useS3('xcom');
const HOUR = 3_600_000;
const NOW = Date.UTC(2026, 5, 30);

let store: ObjectStore;
let seen: ReturnType<typeof recordRequests>;

beforeAll(() => {
  const observer = {
    request: (operation: Parameters<typeof seen.request>[0]) => {
      seen.request(operation);
    },
    failure: () => undefined,
  };
  const options = { observer, log: pino({ level: 'silent' }), requestTimeoutMs: 20_000 };
  store = openObjectStore(connectionTo(server().endpoint, server()), options);
});

beforeEach(() => {
  seen = recordRequests();
});

afterAll(() => {
  store.close();
});

interface TestRun {
  readonly dagId: string;
  readonly hoursAgo: number;
  readonly present: number;
  readonly missing?: number;
  /** The dag's id is too long for a key, and is cut as Airflow 3.4 cuts it. */
  readonly cut?: true;
  /** The place that the references name; by default the server's bucket without a connection, and the world's path. */
  readonly place?: Partial<Place>;
}

/** A ledger with these runs, and their objects in the bucket. */
async function world(path: string, runs: readonly TestRun[]): Promise<Ledger> {
  const state = emptyState();
  const keys: string[] = [];
  for (const [index, { dagId, hoursAgo, present, missing = 0, cut, place = {} }] of runs.entries()) {
    const { connection = '', bucket = 'xcom', prefix = path } = place;
    const at = NOW - hoursAgo * HOUR;
    const runId = `scheduled__${new Date(at).toISOString().replace('.000Z', '+00:00')}`;
    const run = newRun(state.runSlots.take(), {
      id: index,
      dagId,
      runId,
      live: true,
      readAt: NOW,
      horizon: '7',
      expired: 0,
      gone: false,
      activeAt: at,
      listed: null,
    });
    state.runSlots.put(run);
    state.runs.set(run.id, run);
    for (let mapIndex = 0; mapIndex < present + missing; mapIndex += 1) {
      const key =
        cut === true
          ? `${prefix}/${dagId.slice(0, -3)}/${runId}/task/ti-${randomUUID()}/return_value.json`
          : `${prefix}/${dagId}/${runId}/task/${randomUUID()}`;
      if (mapIndex < present) keys.push(key);
      const row = {
        table: 'xcom' as const,
        dagRunId: run.id,
        dagId,
        runId,
        taskId: 'task',
        mapIndex,
        key: 'return_value',
        taskInstanceId: null,
        version: '3',
        at,
        isNull: false,
        stored: 100,
        bytes: 100,
        leastBytes: 100,
        text: null,
      };
      const reference = { scheme: 's3', connection, bucket, key, prefix, suffix: '' };
      const placement = { storage: 's3' as const, reference, leaked: false, bytes: 100 };
      state.rows.link(run, state.rows.write(run, row, { placement, baseline: false }));
    }
  }
  for (let at = 0; at < keys.length; at += 100) {
    await Promise.all(
      keys.slice(at, at + 100).map((key) => {
        const path = key.split('/').map(encodeURIComponent).join('/');
        return fetch(`${server().endpoint}/xcom/${path}`, { method: 'PUT', body: 'value' });
      }),
    );
  }
  return createLedger(state);
}

function look(
  ledger: Ledger,
  requests = 500,
  {
    objects = store,
    control = null,
    now = NOW,
  }: { objects?: ObjectStore; control?: VerifyOptions['control']; now?: number } = {},
): Promise<Verified> {
  const stores = storesOf(objects, seen);
  const options = {
    stores,
    bases: [],
    control,
    unfinished: new WeakMap(),
    isCurrent: true,
    requests,
    now,
    from: now - 24 * HOUR,
    random: () => 0.5,
  };
  return verify(ledger, options, new AbortController().signal);
}

/** Keeps the answers, and why there is none, as a cycle does. */
async function keep(ledger: Ledger, { answers, ...verified }: Verified): Promise<void> {
  for (const { slot, object, bytes } of answers)
    ledger.rows().setObject(ledger.runOf(slot), slot, { object, bytes });
  await noteUnchecked(ledger, verified);
}

function said({ answers }: Verified): { present: number; missing: number } {
  const count = (object: string) => answers.filter((answer) => answer.object === object).length;
  return { present: count('present'), missing: count('missing') };
}

test('a day of small runs is one page for each dag, and what is missing among them is found', async () => {
  const hours = Array.from({ length: 24 }, (_, hour) => hour);
  const ledger = await world('small', [
    ...hours.map((hoursAgo) => ({ dagId: 'a', hoursAgo, present: 3, missing: hoursAgo === 5 ? 1 : 0 })),
    ...hours.map((hoursAgo) => ({ dagId: 'b', hoursAgo, present: 2 })),
  ]);
  const first = await look(ledger);
  expect(said(first)).toEqual({ present: 120, missing: 1 });
  // One more of each: a HEAD to see whether the object that a page lacks is missing, and a LIST to see whether the
  // bucket exists.
  expect(seen.requests).toMatchObject({ list: 3, head: 1 });
  await keep(ledger, first);

  // The next cycle finds nothing new: it looks again at fifty objects, and at the missing one.
  await look(ledger);
  expect(seen.requests.head).toBe(1 + 51);
});

test('a large run is listed, a small one beside it is not', async () => {
  const ledger = await world('mixed', [
    { dagId: 'mapped', hoursAgo: 1, present: 290, missing: 10 },
    { dagId: 'small', hoursAgo: 1, present: 4 },
  ]);
  expect(said(await look(ledger))).toEqual({ present: 294, missing: 10 });
  expect(seen.requests).toMatchObject({ list: 1 + 1, head: 10 + 4 });
});

test('what the ceiling leaves is unchecked for the budget, and looked up in the cycles after', async () => {
  // Each dag has five references: six HEADs would cost more requests than a page. No two dags share a page.
  const dags = Array.from({ length: 30 }, (_, index) => ({
    dagId: `dag_${index}`,
    hoursAgo: index,
    present: 5,
  }));
  const ledger = await world('ceiling', dags);
  const newest = await look(ledger, 20);
  const { list, head } = seen.requests;
  expect(list + head).toBeLessThanOrEqual(20);
  expect(newest.rest({ connection: '', bucket: 'xcom', prefix: 'ceiling' })).toBe('budget');
  const looked = new Set(newest.answers.map(({ slot }) => ledger.runOf(slot).dagId));
  // The newest come first, and the oldest has had its turn too.
  expect(looked).toContain('dag_0');
  expect(looked).toContain('dag_29');
  expect(looked.size).toBeLessThan(30);

  await keep(ledger, newest);
  let cycles = 1;
  for (; cycles < 10 && [...ledger.runs().values()].some((run) => run.unverified > 0); cycles += 1)
    await keep(ledger, await look(ledger, 20));
  expect([...ledger.runs().values()].reduce((sum, run) => sum + run.unverified, 0)).toBe(0);
  expect(seen.requests.list + seen.requests.head).toBeLessThanOrEqual(20 * cycles);
});

test('a run whose ids are cut in its keys is not listed, and that is no figure of 0', async () => {
  const long = 'd'.repeat(250);
  const cut = await world('cut', [{ dagId: long, hoursAgo: 3, present: 2, cut: true }]);
  const both = await world('both', [
    { dagId: long, hoursAgo: 3, present: 2, cut: true },
    { dagId: 'plain', hoursAgo: 3, present: 2 },
  ]);
  for (const ledger of [cut, both]) {
    for (const run of ledger.runs().values()) run.live = false;
    expect(said(await look(ledger))).toMatchObject({ missing: 0 });
  }
  const unlistable = { runs: 0, paths: [] };
  expect(orphans(cut)).toEqual({ orphanObjects: null, orphanBytes: null, unseenRuns: 1, unlistable });
  expect(orphans(both)).toEqual({ orphanObjects: 0, orphanBytes: 0, unseenRuns: 1, unlistable });
});

/** The server's store, but for one bucket, of which every request gets this answer. */
function except(bucket: string, answer: Unknown): ObjectStore {
  return {
    ...store,
    head: (target, signal) =>
      target.bucket === bucket ? Promise.resolve(answer) : store.head(target, signal),
    list: (target, signal) =>
      target.bucket === bucket ? Promise.resolve(answer) : store.list(target, signal),
  };
}

const by = { by: 's3', cause: null, action: null, policy: null } as const;
const denied: Unknown = {
  kind: 'unknown',
  reason: 'denied',
  detail: 'AccessDenied (403)',
  said: { ...by, code: 'AccessDenied', status: 403 },
};
const noBucket: Unknown = {
  kind: 'unknown',
  reason: 'no_such_bucket',
  detail: 'NoSuchBucket (404)',
  said: { ...by, code: 'NoSuchBucket', status: 404 },
};
const timeout: Unknown = {
  kind: 'unknown',
  reason: 'timeout',
  detail: 'no answer in 20000 ms',
  said: { ...by, by: 'network', code: null, status: null },
};

test.each([
  // Those that it was asked about say so for themselves.
  ['refuses', denied, 'not_asked', ', path other_denied'],
  ['is gone', noBucket, 'unreachable', ''],
  ['does not answer', timeout, 'timeout', ''],
])('another bucket that %s hides no loss in this one', async (_, answer, unchecked, path) => {
  const prefix = `other_${answer.reason}`;
  const place = { connection: '', bucket: 'old', prefix };
  const ledger = await world(prefix, [
    { dagId: 'a', hoursAgo: 1, present: 0, missing: 60 },
    { dagId: 'b', hoursAgo: 1, present: 0, missing: 80, place },
  ]);
  const control = { connection: '', bucket: 'xcom', prefix };
  const first = await look(ledger, 500, { objects: except('old', answer), control });
  // They were found before, and are not there any more.
  for (const { slot } of first.answers)
    ledger.rows().setObject(ledger.runOf(slot), slot, { object: 'present', bytes: 5 });
  const second = await look(ledger, 500, { objects: except('old', answer), control });
  expect(said(second).missing).toBeGreaterThan(0);
  expect(second.failure).toMatchObject({
    reason: answer.reason,
    detail: `bucket old${path}: ${answer.detail}`,
  });
  expect([second.rest(place), second.rest(control)]).toEqual([unchecked, 'budget']);
});

/** The server's store as a policy leaves it that allows nothing below these paths. Counts what is asked. */
function refusing(paths: readonly string[]): { objects: ObjectStore; refused: () => number } {
  let refused = 0;
  const isRefused = (key: string) => paths.some((path) => key.startsWith(`${path}/`));
  const refuse = (operation: 'head' | 'list') => {
    refused += 1;
    seen.request(operation);
    return Promise.resolve(denied);
  };
  const objects: ObjectStore = {
    ...store,
    head: (target, signal) => (isRefused(target.key) ? refuse('head') : store.head(target, signal)),
    list: (target, signal) => (isRefused(target.prefix) ? refuse('list') : store.list(target, signal)),
  };
  return { objects, refused: () => refused };
}

/** How many references of the path wait, by the reason. */
function waiting(ledger: Ledger, path: string): Partial<Record<string, number>> {
  const rows = ledger.rows();
  const counts: Partial<Record<string, number>> = {};
  for (const run of ledger.runs().values())
    for (const slot of rows.slotsOf(run)) {
      const flags = rows.flagsOf(slot);
      if (!is.isUnverified(flags) || rows.referenceOf(run, slot)?.prefix !== path) continue;
      const reason = is.uncheckedOf(flags) ?? 'none';
      counts[reason] = (counts[reason] ?? 0) + 1;
    }
  return counts;
}

const control = { connection: '', bucket: 'xcom' };

test('a path that is refused hides no loss below another path of its bucket, and only who was asked is refused', async () => {
  const theirs = { prefix: 'team/theirs' };
  const ledger = await world('team/mine', [
    { dagId: 'mine', hoursAgo: 2, present: 1, missing: 5 },
    ...Array.from({ length: 40 }, (_, index) => ({
      dagId: `theirs_${index}`,
      hoursAgo: 1,
      present: 0,
      missing: 2,
      place: theirs,
    })),
  ]);
  const { objects, refused } = refusing(['team/theirs']);
  const first = await look(ledger, 500, { objects, control });
  expect(said(first)).toEqual({ present: 1, missing: 5 });
  expect(first.failure?.detail).toBe('bucket xcom, path team/theirs: AccessDenied (403)');
  await keep(ledger, first);
  expect(waiting(ledger, 'team/theirs')).toEqual({ denied: 32, not_asked: 48 });
  expect(refused()).toBe(32);

  // The next cycle asks about others, and no more of them.
  await keep(ledger, await look(ledger, 500, { objects, control }));
  expect(waiting(ledger, 'team/theirs')).toEqual({ denied: 64, not_asked: 16 });
  expect(refused()).toBe(64);
});

test('a reference that is refused in each cycle is counted once as unchecked', async () => {
  const ledger = await world('counted', [{ dagId: 'a', hoursAgo: 1, present: 0, missing: 2 }]);
  const { objects, refused } = refusing(['counted']);
  const count = async () => noteUnchecked(ledger, await look(ledger, 500, { objects, control }));
  expect(await count()).toEqual([{ metric: 'references_unchecked_total', reason: 'denied', by: 2 }]);
  const before = refused();
  expect(await count()).toEqual([]);
  // They were asked about again.
  expect(refused()).toBeGreaterThan(before);
});

test('a path that may not be listed hides no loss below another one, where HEAD tells of both', async () => {
  const ledger = await world('looked/open', [
    { dagId: 'pii', hoursAgo: 1, present: 0, missing: 1, place: { prefix: 'looked/pii' } },
    ...Array.from({ length: 10 }, (_, index) => ({
      dagId: `open_${index}`,
      hoursAgo: 2,
      present: 0,
      missing: 1,
    })),
  ]);
  const proxy = await startHttpFaultProxy({ upstream: server() });
  proxy.setFault({ match: ({ kind, path }) => kind === 'list' && path.includes('pii'), answer: 'deny' });
  const objects = openObjectStore(connectionTo(proxy.url, server()), {
    observer: recordRequests(),
    log: pino({ level: 'silent' }),
  });
  const { answers, unchecked, failure } = await look(ledger, 500, { objects, control });
  objects.close();
  await proxy.stop();
  expect(answers.map(({ object }) => object)).toEqual(Array.from({ length: 10 }, () => 'missing'));
  expect([...unchecked.values()]).toEqual(['denied']);
  expect(failure?.detail).toBe('bucket xcom, path looked/pii: AccessDenied (403)');
  // One look at the bucket for each path.
  expect(proxy.requests).toMatchObject({ head: 11, list: 2 });
});

test('a bucket that refuses below ten paths costs little more than one path', async () => {
  const paths = Array.from({ length: 10 }, (_, index) => `ten/path_${index}`);
  const ledger = await world(
    'ten',
    paths.flatMap((prefix, at) =>
      Array.from({ length: 20 }, (_, index) => ({
        dagId: `dag_${at}_${index}`,
        hoursAgo: 1 + at,
        present: 0,
        missing: 2,
        place: { prefix },
      })),
    ),
  );
  const { objects, refused } = refusing(paths);
  const { answers, answered } = await look(ledger, 500, { objects, control });
  expect([answers, answered]).toEqual([[], false]);
  expect(refused()).toBe(32 + 9 * 3);
});

test('a path that refuses everything is planned once, and what another path waits for is found all the same', async () => {
  const prefix = 'much/theirs';
  const ledger = await world('much/mine', [
    ...Array.from({ length: 200 }, (_, index) => ({
      dagId: `theirs_${index}`,
      hoursAgo: 1 + index / 100,
      present: 0,
      missing: 100,
      place: { prefix },
    })),
    { dagId: 'mine', hoursAgo: 2.005, present: 0, missing: 5 },
  ]);
  const built = vi.spyOn(ledger.rows(), 'referenceOf');
  const first = await look(ledger, 500, { objects: refusing([prefix]).objects, control });
  expect(said(first)).toEqual({ present: 0, missing: 5 });
  // A plan covers about 6,000 of the 20,000.
  expect(built.mock.calls.length).toBeLessThan(7_000);
});

test('known objects are looked at again below one path while another is refused', async () => {
  const ledger = await world('known/mine', [
    { dagId: 'theirs', hoursAgo: 1, present: 0, missing: 40, place: { prefix: 'known/theirs' } },
    { dagId: 'mine', hoursAgo: 2, present: 0, missing: 5 },
  ]);
  for (const run of ledger.runs().values())
    for (const slot of ledger.rows().slotsOf(run))
      ledger.rows().setObject(run, slot, { object: 'present', bytes: 5 });
  expect(said(await look(ledger, 500, { objects: refusing(['known/theirs']).objects, control }))).toEqual({
    present: 0,
    missing: 5,
  });
});

test.each([
  ['first', 3],
  ['last', 1],
])('a path that may not be listed and comes %s ends no search for orphans in another path', async (_, at) => {
  const theirs = `listed_${at}/theirs`;
  const planted = [
    { dagId: 'theirs', hoursAgo: at, present: 0, missing: 3, place: { prefix: theirs } },
    { dagId: 'theirs_too', hoursAgo: at, present: 0, missing: 3, place: { prefix: theirs } },
    { dagId: 'mine', hoursAgo: 2, present: 3 },
  ];
  const ledger = await world(
    `listed_${at}/mine`,
    planted.sort((a, b) => b.hoursAgo - a.hoursAgo),
  );
  for (const run of ledger.runs().values()) {
    run.live = false;
    for (const slot of ledger.rows().slotsOf(run))
      ledger.rows().setObject(run, slot, { object: 'present', bytes: 5 });
  }
  await look(ledger, 500, refusing([theirs]));
  const unlistable = { runs: 2, paths: [`s3://xcom/${theirs} (S3 refuses to list it)`] };
  expect(orphans(ledger)).toEqual({ orphanObjects: 0, orphanBytes: 0, unseenRuns: 2, unlistable });

  // They had their turn, and after some minutes one request asks about their path again.
  const { list } = seen.requests;
  await look(ledger, 500, refusing([theirs]));
  expect(seen.requests.list).toBe(list);
  await look(ledger, 500, { ...refusing([theirs]), now: NOW + 6 * 60_000 });
  expect(seen.requests.list).toBe(list + 1);
});

test('a LIST that is refused once takes back no orphan that was counted before', async () => {
  const prefix = 'once';
  const ledger = await world(prefix, [
    { dagId: 'a', hoursAgo: 2, present: 3 },
    { dagId: 'b', hoursAgo: 3, present: 3 },
  ]);
  for (const run of ledger.runs().values()) {
    run.live = false;
    const key = `${prefix}/${run.dagId}/${encodeURIComponent(run.runId)}/task/${randomUUID()}`;
    await fetch(`${server().endpoint}/xcom/${key}`, { method: 'PUT', body: 'value' });
  }
  const found = { orphanObjects: 2, orphanBytes: 10 };
  const minutes = 60_000;
  const now = Date.now() + 20 * minutes;
  await keep(ledger, await look(ledger, 500, { now }));
  const listable = { runs: 0, paths: [] };
  expect(orphans(ledger)).toEqual({ ...found, unseenRuns: 0, unlistable: listable });

  const refusal = refusing([prefix]);
  await look(ledger, 500, { ...refusal, now: now + 61 * minutes });
  const unlistable = { runs: 2, paths: [`s3://xcom/${prefix} (S3 refuses to list it)`] };
  expect(orphans(ledger)).toEqual({ ...found, unseenRuns: 2, unlistable });

  await look(ledger, 500, { now: now + 67 * minutes });
  expect(orphans(ledger)).toEqual({ ...found, unseenRuns: 0, unlistable: listable });
});

test('a key that S3 does not know refuses the whole bucket', async () => {
  const unknownKey: Unknown = {
    ...denied,
    detail: 'InvalidAccessKeyId (403)',
    said: { ...denied.said, code: 'InvalidAccessKeyId', cause: 'identity' },
  };
  const ledger = await world('key', [
    { dagId: 'a', hoursAgo: 1, present: 0, missing: 60, place: { prefix: 'key/one' } },
    { dagId: 'b', hoursAgo: 2, present: 0, missing: 60, place: { prefix: 'key/two' } },
  ]);
  const { rest } = await look(ledger, 500, { objects: except('xcom', unknownKey), control });
  expect(rest({ connection: '', bucket: 'xcom', prefix: 'key/two' })).toBe('denied');
});

test('a bucket of a few old references that is gone is heard of in each cycle', async () => {
  const ledger = await world('few', [
    { dagId: 'a', hoursAgo: 1, present: 300 },
    { dagId: 'b', hoursAgo: 1, present: 0, missing: 2, place: { connection: '', bucket: 'second' } },
  ]);
  for (const run of ledger.runs().values())
    for (const slot of ledger.rows().slotsOf(run))
      ledger.rows().setObject(run, slot, { object: 'present', bytes: 5 });
  for (let cycle = 0; cycle < 3; cycle += 1) {
    const { failure, answered } = await look(ledger, 500, { objects: except('second', noBucket) });
    expect([failure?.detail, answered]).toEqual(['bucket second: NoSuchBucket (404)', true]);
  }
});

test('what one connection sees in a bucket makes nothing missing for another connection', async () => {
  const ledger = await world('named', [
    { dagId: 'a', hoursAgo: 1, present: 0, missing: 3, place: { connection: 'old_minio', bucket: 'xcom' } },
  ]);
  const unsure = await look(ledger, 500, { control: { connection: 'aws', bucket: 'xcom' } });
  expect([said(unsure), [...unsure.unchecked.values()]]).toEqual([
    { present: 0, missing: 0 },
    ['unconfirmed', 'unconfirmed', 'unconfirmed'],
  ]);
  const sure = await look(ledger, 500, { control: { connection: 'old_minio', bucket: 'xcom' } });
  expect(said(sure)).toEqual({ present: 0, missing: 3 });
});
