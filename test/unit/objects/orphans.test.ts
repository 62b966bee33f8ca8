import { randomUUID } from 'node:crypto';
import { beforeEach, expect, test } from 'vitest';
import { isListed } from '../../../src/daemon/orphan-growth.ts';
import { orphans } from '../../../src/diagnosis/window-totals.ts';
import type { Place } from '../../../src/objects/allowance.ts';
import type { UnfinishedListings } from '../../../src/objects/orphans.ts';
import { verify } from '../../../src/objects/verify.ts';
import type { ListTarget, ObjectStore } from '../../../src/s3/client.ts';
import type { ListAnswer } from '../../../src/s3/listing.ts';
import { unknown } from '../../../src/s3/failure.ts';
import type { LedgerState } from '../../../src/window/ledger-state.ts';
import { emptyState } from '../../../src/window/ledger-state.ts';
import type { Ledger } from '../../../src/window/ledger.ts';
import { createLedger } from '../../../src/window/ledger.ts';
import type { Run } from '../../../src/window/run.ts';
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

/** A server in memory with pages of four keys, in order. It counts the pages of each DAG. */
function openServer(keys: readonly string[]) {
  const pages: Record<string, number> = {};
  let sent = 0;
  let refusal: ListAnswer | null = null;
  const store = {
    list: ({ prefix, after }: ListTarget): Promise<ListAnswer> => {
      sent += 1;
      const dagId = prefix.split('/')[1] ?? '';
      pages[dagId] = (pages[dagId] ?? 0) + 1;
      if (refusal !== null && after !== null) return Promise.resolve(refusal);
      const from = Number(after ?? 0);
      const below = keys.filter((key) => key.startsWith(prefix)).sort();
      const to = from + PAGE_KEYS;
      const at = { bytes: 5, lastModified: now - 2 * HOUR, storageClass: 'STANDARD' };
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
    /** Refuses to go on with a listing that has begun. */
    refuse: (answer: ListAnswer | null) => {
      refusal = answer;
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
  { requests, base }: { readonly requests: number; readonly base: Place },
): Promise<void> {
  const stores = {
    of: (connection: string) => {
      const server = servers[connection];
      if (server === undefined) throw new Error(`No connection ${connection}`);
      return server.store;
    },
    knows: () => true,
    sent: () => [...new Set(Object.values(servers))].reduce((sum, server) => sum + server.sent(), 0),
  };
  const options = { stores, base, control: null, unfinished, isCurrent: true, requests };
  const random = () => 0.5;
  await verify(ledger, { ...options, now, from: now - 24 * HOUR, random }, new AbortController().signal);
  now += 30_000;
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

/** Adds a reference that names this connection, and whose object has this key. */
function refer(state: LedgerState, run: Run, { connection, key }: { connection: string; key: string }): void {
  const ids = { dagId: run.dagId, runId: run.runId, taskId: 'task', mapIndex: run.rows, key: 'return_value' };
  const row = { table: 'xcom' as const, dagRunId: run.id, ...ids, taskInstanceId: null, version: '3' };
  const value = { at: START - 2 * HOUR, isNull: false, stored: 9, bytes: 9, leastBytes: 9, text: null };
  const reference = { scheme: 's3', connection, bucket: 'xcom', key, prefix: 'base', suffix: '' };
  const placement = { storage: 's3' as const, reference, leaked: false, bytes: 9 };
  state.rows.link(run, state.rows.write(run, { ...row, ...value }, { placement, baseline: false }));
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
