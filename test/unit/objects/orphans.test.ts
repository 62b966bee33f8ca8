import { randomUUID } from 'node:crypto';
import { beforeEach, expect, test } from 'vitest';
import { isListed } from '../../../src/daemon/orphan-growth.ts';
import { orphans } from '../../../src/diagnosis/window-totals.ts';
import type { Place } from '../../../src/objects/allowance.ts';
import type { UnfinishedListings } from '../../../src/objects/orphans.ts';
import type { Verified } from '../../../src/objects/verify.ts';
import { verify } from '../../../src/objects/verify.ts';
import type { ListTarget, ObjectStore } from '../../../src/s3/client.ts';
import { compareKeys } from '../../../src/s3/key-order.ts';
import type { ListAnswer } from '../../../src/s3/listing.ts';
import type { Unknown } from '../../../src/s3/failure.ts';
import { NO_ANSWER_OF_S3, unknown } from '../../../src/s3/failure.ts';
import { standIn } from '../../../src/s3/stand-in.ts';
import type { LedgerState } from '../../../src/window/ledger-state.ts';
import { emptyState } from '../../../src/window/ledger-state.ts';
import type { Ledger } from '../../../src/window/ledger.ts';
import { createLedger } from '../../../src/window/ledger.ts';
import type { Run } from '../../../src/window/run.ts';
import { listAgain } from '../../../src/window/run.ts';
import { openLiveRun } from '../../support/live-run.ts';

const HOUR = 3_600_000;
const START = Date.UTC(2026, 5, 30);
const PAGE_KEYS = 4;
let now = START;
let unfinished: UnfinishedListings = new WeakMap();

beforeEach(() => {
  now = START;
  unfinished = new WeakMap();
});

/**
 * A server in memory with pages of four keys, in order. It counts the pages of each DAG. `listedBytes`: the size of each
 * object, as a page says; a HEAD says 5.
 */
function openServer(keys: readonly string[], { listedBytes = 5 }: { readonly listedBytes?: number } = {}) {
  const pages: Record<string, number> = {};
  let sent = 0;
  let refusal: ListAnswer | null = null;
  let refusesAll = false;
  const store = {
    list: ({ prefix, after, startAfter = '' }: ListTarget): Promise<ListAnswer> => {
      sent += 1;
      const dagId = prefix.split('/')[1] ?? '';
      pages[dagId] = (pages[dagId] ?? 0) + 1;
      if (refusal !== null && (after !== null || refusesAll)) return Promise.resolve(refusal);
      const from = Number(after ?? 0);
      const below = keys
        .filter((key) => key.startsWith(prefix) && compareKeys(key, startAfter) > 0)
        .sort(compareKeys);
      const to = from + PAGE_KEYS;
      const at = { bytes: listedBytes, lastModified: now - 2 * HOUR, storageClass: 'STANDARD' };
      const objects = below.slice(from, to).map((key) => ({ key, ...at }));
      return Promise.resolve({ kind: 'listed', objects, next: to < below.length ? String(to) : null });
    },
    head: ({ key }: { key: string }) => {
      sent += 1;
      return Promise.resolve(
        keys.includes(key)
          ? { kind: 'present', bytes: 5, archive: null, lastModified: now }
          : { kind: 'missing' },
      );
    },
  } as unknown as ObjectStore;
  return {
    store,
    pages,
    sent: () => sent,
    /** Refuses to go on with a listing that has begun, or to list at all. */
    refuse: (answer: ListAnswer | null, { isAll = false }: { readonly isAll?: boolean } = {}) => {
      refusal = answer;
      refusesAll = isAll;
    },
  };
}

type Server = ReturnType<typeof openServer>;

function endedRun(state: LedgerState, dagId: string): Run {
  const run = openLiveRun(state, { id: state.runs.size + 1, dagId, runId: 'manual__1' });
  run.live = false;
  run.activeAt = START - HOUR;
  return run;
}

const keyOf = (dagId: string) => `base/${dagId}/manual__1/task/${randomUUID()}`;
const someKeys = (dagId: string, count: number) => Array.from({ length: count }, () => keyOf(dagId));

async function oneCycle(
  ledger: Ledger,
  servers: Readonly<Record<string, Server>>,
  {
    requests,
    base,
    others = [],
    knows = () => true,
  }: {
    readonly requests: number;
    readonly base: Place;
    readonly others?: readonly Place[];
    readonly knows?: (connection: string) => boolean;
  },
): Promise<Verified> {
  const stores = {
    of: (connection: string) => {
      const server = servers[connection];
      if (server === undefined) throw new Error(`No connection ${connection}`);
      return server.store;
    },
    knows,
    sent: () => [...new Set(Object.values(servers))].reduce((sum, server) => sum + server.sent(), 0),
  };
  const options = { stores, bases: [base, ...others], control: null, unfinished, isCurrent: true, requests };
  const random = () => 0.5;
  const { signal } = new AbortController();
  const verified = await verify(ledger, { ...options, now, from: now - 24 * HOUR, random }, signal);
  now += 30_000;
  return verified;
}

const base = { connection: '', bucket: 'xcom', prefix: 'base' };

test('a run of more pages than a cycle lists goes on where it ended, and the others have their turn', async () => {
  const state = emptyState();
  const small = ['a', 'b', 'c'];
  for (const dagId of ['large', ...small]) endedRun(state, dagId);
  const ledger = createLedger(state);
  const server = openServer([...someKeys('large', 48), ...small.flatMap((dagId) => someKeys(dagId, 1))]);
  let cycles = 0;
  for (; cycles < 20 && !isListed(ledger, now); cycles += 1)
    await oneCycle(ledger, { '': server }, { requests: 20, base });
  expect([cycles, server.pages]).toEqual([3, { large: 12, a: 1, b: 1, c: 1 }]);
  expect(orphans(ledger)).toMatchObject({ orphanObjects: 51, orphanBytes: 255 });
});

test('a listing that S3 does not go on with begins again, and counts nothing twice', async () => {
  const state = emptyState();
  endedRun(state, 'large');
  const ledger = createLedger(state);
  const server = openServer(someKeys('large', 48));
  await oneCycle(ledger, { '': server }, { requests: 20, base });
  server.refuse(unknown('server_error', 'InvalidArgument (400)', 's3'));
  await oneCycle(ledger, { '': server }, { requests: 20, base });
  server.refuse(null);
  for (let cycle = 0; cycle < 3; cycle += 1) await oneCycle(ledger, { '': server }, { requests: 20, base });
  expect(server.pages).toEqual({ large: 5 + 1 + 12 });
  expect(orphans(ledger).orphanObjects).toBe(48);
});

test('a run that changes while it is listed is listed anew', async () => {
  const state = emptyState();
  const run = endedRun(state, 'large');
  const ledger = createLedger(state);
  const server = openServer(someKeys('large', 48));
  await oneCycle(ledger, { '': server }, { requests: 20, base });
  run.activeAt += 1;
  for (let cycle = 0; cycle < 3; cycle += 1) await oneCycle(ledger, { '': server }, { requests: 20, base });
  expect([server.pages['large'], orphans(ledger).orphanObjects]).toEqual([5 + 12, 48]);
});

/** Adds a reference that names this connection, and whose object has this key. Gives its slot. */
function refer(
  state: LedgerState,
  run: Run,
  { connection, key, prefix = 'base' }: { connection: string; key: string; prefix?: string },
): number {
  const ids = { dagId: run.dagId, runId: run.runId, taskId: 'task', mapIndex: run.rows, key: 'return_value' };
  const row = { table: 'xcom' as const, dagRunId: run.id, ...ids, taskInstanceId: null, version: '3' };
  const value = { at: START - 2 * HOUR, isNull: false, stored: 9, bytes: 9, leastBytes: 9, text: null };
  const reference = { scheme: 's3', connection, bucket: 'xcom', key, prefix, suffix: '' };
  const placement = { storage: 's3' as const, reference, leaked: false, bytes: 9 };
  return state.rows.link(run, state.rows.write(run, { ...row, ...value }, { placement, baseline: false }));
}

test.each([
  { servers: 'two servers, with copies of the objects', isOne: false },
  { servers: 'one server', isOne: true },
])('two connections to $servers: each object without a row counts once', async ({ isOne }) => {
  const state = emptyState();
  const run = endedRun(state, 'moved');
  const [ofOld, ofNew, lostOld, lostNew, copied] = someKeys('moved', 5) as [
    string,
    string,
    string,
    string,
    string,
  ];
  refer(state, run, { connection: 'old', key: ofOld });
  refer(state, run, { connection: 'new', key: ofNew });
  const ledger = createLedger(state);
  const all = openServer([ofOld, ofNew, lostOld, lostNew, copied]);
  const servers = isOne
    ? { old: all, new: all }
    : { old: openServer([ofOld, lostOld, copied]), new: openServer([ofOld, ofNew, lostNew, copied]) };
  await oneCycle(ledger, servers, { requests: 100, base: { ...base, connection: 'new' } });
  expect(orphans(ledger).orphanObjects).toBe(3);
});

test('a run whose rows go while it is listed is listed anew: their objects have no row now', async () => {
  const state = emptyState();
  const run = endedRun(state, 'large');
  const keys = someKeys('large', 24).sort();
  const slots = keys.map((key) => refer(state, run, { connection: '', key }));
  for (const slot of slots) state.rows.setObject(run, slot, { object: 'present', bytes: 5 });
  const ledger = createLedger(state);
  const server = openServer(keys);
  const cycle = () => oneCycle(ledger, { '': server }, { requests: 8, base });
  for (let count = 0; count < 20 && !isListed(ledger, now); count += 1) await cycle();
  expect(orphans(ledger).orphanObjects).toBe(0);
  now += HOUR + 1;
  await cycle();
  expect(unfinished.get(run)?.next).not.toBeNull();
  // Their objects were on the page that was read.
  state.rows.remove(run, (slot) => slot === slots[0] || slot === slots[1]);
  listAgain(run);
  for (let count = 0; count < 20 && (run.listed?.at ?? 0) === 0; count += 1) await cycle();
  expect(orphans(ledger).orphanObjects).toBe(2);
});

test('a listing alone does not say that an object is empty', async () => {
  const state = emptyState();
  const run = endedRun(state, 'etl');
  const key = keyOf('etl');
  state.rows.setObject(run, refer(state, run, { connection: '', key }), { object: 'present', bytes: 5 });
  const server = openServer([key], { listedBytes: 0 });
  const { answers } = await oneCycle(createLedger(state), { '': server }, { requests: 100, base });
  expect([server.pages, answers]).toEqual([{ etl: 1 }, []]);
});

test.each([
  [
    'whose connection is not known',
    { connection: 'given', bucket: 'xcom' },
    /its connection is not known here/,
  ],
  [
    'with an access point beside the name of its bucket',
    { connection: '', bucket: 'arn:aws:s3:eu-west-1:123456789012:accesspoint/x' },
    /an access point, so rows may name its objects by another name/,
  ],
])('a place %s has no object without a row that is known', async (_, place, why) => {
  const state = emptyState();
  const run = endedRun(state, 'moved');
  const [named, other] = someKeys('moved', 2) as [string, string];
  refer(state, run, { connection: '', key: named });
  const ledger = createLedger(state);
  const server = openServer([named, other]);
  const there = { ...base, ...place };
  const knows = (connection: string) => connection === '';
  await oneCycle(ledger, { '': server, given: server }, { requests: 100, base: there, knows });
  expect(orphans(ledger)).toMatchObject({ orphanObjects: null, unlistable: { runs: 1 } });
  expect(orphans(ledger).unlistable.paths.join()).toMatch(why);
  expect([server.pages, isListed(ledger, now)]).toEqual([{}, false]);
});

const answered = (failure: Unknown, status: number): Unknown => ({
  ...failure,
  said: { ...failure.said, status },
});

test.each([
  [
    'does not know the request',
    answered(unknown('server_error', 'NotImplemented (501)', 's3'), 501),
    'NotImplemented',
  ],
  ['answers it with something else', unknown('server_error', NO_ANSWER_OF_S3, 's3'), NO_ANSWER_OF_S3],
])('a storage that lists nothing and %s answers for its objects all the same', async (_, answer, why) => {
  const state = emptyState();
  const runs = ['a', 'b'].map((dagId) => endedRun(state, dagId));
  const keys = runs.map((run) => {
    const key = keyOf(run.dagId);
    refer(state, run, { connection: '', key });
    return key;
  });
  const ledger = createLedger(state);
  const server = openServer(keys);
  server.refuse(answer, { isAll: true });
  const { answers, failure } = await oneCycle(ledger, { '': server }, { requests: 100, base });
  expect([answers.length, failure]).toEqual([2, null]);
  expect(orphans(ledger).unlistable).toMatchObject({ runs: 2, paths: [expect.stringContaining(why)] });
});

test('what stands in for a connection asks for each object where the storage lists nothing', async () => {
  const state = emptyState();
  const run = endedRun(state, 'etl');
  const keys = someKeys('etl', 30);
  for (const key of keys) refer(state, run, { connection: '', key });
  const server = openServer(keys);
  server.refuse(unknown('server_error', NO_ANSWER_OF_S3, 's3'), { isAll: true });
  const other = { ...server, store: standIn(server.store, 'the connection c is not known here') };
  const options = { requests: 200, base, knows: () => false };
  const { answers } = await oneCycle(createLedger(state), { '': other }, options);
  expect([server.pages, answers.length]).toEqual([{ etl: 1 }, keys.length]);
});

test('a refusal of what stands in for a connection, below one path, is none for the whole bucket', async () => {
  const state = emptyState();
  const ledger = createLedger(state);
  for (const prefix of ['theirs', 'mine']) {
    const run = endedRun(state, prefix);
    const key = `${prefix}/${run.dagId}/manual__1/task/${randomUUID()}`;
    refer(state, run, { connection: '', key, prefix });
  }
  const denied = answered(unknown('denied', 'AccessDenied (403)', 's3'), 403);
  const own = {
    list: () => Promise.resolve(denied),
    head: ({ key }: { key: string }) =>
      Promise.resolve(
        key.startsWith('theirs') ? denied : { kind: 'present', bytes: 5, archive: null, lastModified: now },
      ),
  } as unknown as ObjectStore;
  const server = { ...openServer([]), store: standIn(own, 'the connection c is not known here') };
  const { failure } = await oneCycle(ledger, { '': server }, { requests: 100, base, knows: () => false });
  expect(failure?.detail).toMatch(/^bucket xcom, path theirs: /);
});

test('each path that workers write to is listed for a run, though none of its rows names it', async () => {
  const state = emptyState();
  endedRun(state, 'etl');
  const server = openServer(
    ['base', 'second'].map((prefix) => `${prefix}/etl/manual__1/task/${randomUUID()}`),
  );
  const others = [{ ...base, prefix: 'second' }];
  const ledger = createLedger(state);
  await oneCycle(ledger, { '': server }, { requests: 100, base, others });
  expect(orphans(ledger).orphanObjects).toBe(2);
});

const gone = unknown('no_such_bucket', 'NoSuchBucket (404)', 's3');

test.each([
  ['is gone', gone, 'second/base (a LIST of it gave NoSuchBucket (404))'],
  ['gives no answer', unknown('unreachable', 'ECONNREFUSED', 'network'), 'gave ECONNREFUSED'],
  [
    'may not be listed',
    answered(unknown('denied', 'AccessDenied (403)', 's3'), 403),
    'S3 refuses to list it',
  ],
])('a second path that no row names and that %s leaves the figure of the first', async (_, failed, why) => {
  const state = emptyState();
  const dagIds = ['etl', 'two', 'three'];
  for (const dagId of dagIds) endedRun(state, dagId);
  const ledger = createLedger(state);
  const lost = openServer([]);
  lost.refuse(failed, { isAll: true });
  const servers = { '': openServer(dagIds.flatMap((dagId) => someKeys(dagId, 9))), b: lost };
  const options = { requests: 100, base, others: [{ connection: 'b', bucket: 'second', prefix: 'base' }] };
  // The second time, each run is listed again.
  for (const asked of [1, 2]) {
    const { failure } = await oneCycle(ledger, servers, options);
    expect([failure, lost.sent()]).toEqual([null, asked]);
    expect(orphans(ledger)).toMatchObject({ orphanObjects: 27, unseenRuns: 3, unlistable: { runs: 3 } });
    expect(orphans(ledger).unlistable.paths.join()).toContain(why);
    expect(isListed(ledger, now)).toBe(false);
    now += 6 * 60_000;
  }
  lost.refuse(null);
  await oneCycle(ledger, servers, options);
  expect(orphans(ledger)).toMatchObject({ orphanObjects: 27, unseenRuns: 0 });
});

test('a run is unseen when none of its paths can be listed', async () => {
  const state = emptyState();
  endedRun(state, 'etl');
  const ledger = createLedger(state);
  const lost = openServer([]);
  lost.refuse(gone, { isAll: true });
  const others = [{ ...base, prefix: 'second' }];
  const { failure } = await oneCycle(ledger, { '': lost }, { requests: 100, base, others });
  expect([failure?.reason, orphans(ledger).orphanObjects]).toEqual(['no_such_bucket', null]);
});

test('a bucket that is gone for the rows of one run hides no orphan of another', async () => {
  const state = emptyState();
  const runs = ['moved', 'etl'].map((dagId) => endedRun(state, dagId));
  refer(state, runs[0] as Run, { connection: 'b', key: keyOf('moved') });
  const ledger = createLedger(state);
  const answer = () => Promise.resolve(gone);
  const lost = { ...openServer([]), store: { head: answer, list: answer } as unknown as ObjectStore };
  const others = [{ ...base, connection: 'b' }];
  const servers = { '': openServer(someKeys('etl', 1)), b: lost };
  const { failure } = await oneCycle(ledger, servers, { requests: 100, base, others });
  expect(failure?.reason).toBe('no_such_bucket');
  expect(runs.map(({ listed }) => listed)).toMatchObject([null, { unseen: false, orphans: 1 }]);
  expect(orphans(ledger).unlistable.paths.join()).toContain('no request to its bucket succeeded');
});
