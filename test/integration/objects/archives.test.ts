import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Verified } from '../../../src/objects/verify.ts';
import { verify } from '../../../src/objects/verify.ts';
import type { ObjectStore } from '../../../src/s3/client.ts';
import { openObjectStore } from '../../../src/s3/client.ts';
import * as is from '../../../src/window/flags.ts';
import { emptyState } from '../../../src/window/ledger-state.ts';
import { createLedger } from '../../../src/window/ledger.ts';
import type { Ledger } from '../../../src/window/ledger.ts';
import { newRun } from '../../../src/window/run.ts';
import { startArchiveDoor } from '../../support/archive-door.ts';
import type { Archived, ArchiveDoor } from '../../support/archive-door.ts';
import type { HttpFaultProxy } from '../../support/http-fault-proxy.ts';
import { startHttpFaultProxy } from '../../support/http-fault-proxy.ts';
import { connectionTo, recordRequests, storesOf, useS3 } from '../../support/s3.ts';

const server = useS3('xcom');
const never = new AbortController().signal;
const HOUR = 3_600_000;

let door: ArchiveDoor;
let proxy: HttpFaultProxy;
let store: ObjectStore;
let seen: ReturnType<typeof recordRequests>;
let worlds = 0;

beforeEach(async () => {
  door = await startArchiveDoor(server());
  proxy = await startHttpFaultProxy({ upstream: door });
  seen = recordRequests();
  const options = { observer: seen, log: pino({ level: 'silent' }), requestTimeoutMs: 20_000 };
  store = openObjectStore(connectionTo(proxy.url, server()), options);
});

afterEach(async () => {
  store.close();
  await proxy.stop();
  await door.stop();
});

/**
 * A ledger with one reference to each object, all in one run, and every object exists. Null: an object without a
 * storage class of its own.
 */
async function world(objects: readonly (Archived | null)[], { live = true } = {}): Promise<Ledger> {
  worlds += 1;
  const state = emptyState();
  const at = Date.now() - HOUR;
  const dagId = `dag_${worlds}`;
  const run = newRun(state.runSlots.take(), {
    ...{ id: 1, dagId, runId: 'r', live, readAt: at, horizon: '7', expired: 0, gone: false },
    ...{ activeAt: at, listed: null },
  });
  state.runSlots.put(run);
  state.runs.set(run.id, run);
  for (const [mapIndex, archived] of objects.entries()) {
    const key = `base/${dagId}/r/task/${randomUUID()}`;
    await fetch(`${server().endpoint}/xcom/${key}`, { method: 'PUT', body: 'value' });
    if (archived !== null) door.archived.set(key, archived);
    const row = {
      ...{ table: 'xcom' as const, dagRunId: run.id, dagId, runId: 'r', taskId: 'task', mapIndex },
      ...{ key: 'return_value', taskInstanceId: null, version: '3', at, isNull: false },
      ...{ stored: 100, bytes: 100, leastBytes: 100, text: null },
    };
    const reference = { scheme: 's3', connection: '', bucket: 'xcom', key, prefix: 'base', suffix: '' };
    const placement = { storage: 's3' as const, reference, leaked: false, bytes: 100 };
    state.rows.link(run, state.rows.write(run, row, { placement, baseline: false }));
  }
  return createLedger(state);
}

async function look(ledger: Ledger, requests = 500): Promise<Verified> {
  const stores = storesOf(store, seen);
  const control = { connection: '', bucket: 'xcom' };
  const options = {
    stores,
    bases: [],
    control,
    unfinished: new WeakMap(),
    isCurrent: true,
    requests,
    now: Date.now(),
    from: Date.now() - 24 * 3_600_000,
    random: () => 0.5,
  };
  const verified = await verify(ledger, options, never);
  for (const { slot, object, bytes } of verified.answers)
    ledger.rows().setObject(ledger.runOf(slot), slot, { object, bytes });
  return verified;
}

/** The objects as the ledger knows them, in the order of the rows. */
function known(ledger: Ledger): string[] {
  const rows = ledger.rows();
  const [run] = ledger.runs().values();
  if (run === undefined) return [];
  return [...rows.slotsOf(run)].sort((a, b) => a - b).map((slot) => is.objectOf(rows.flagsOf(slot)));
}

const GLACIER: Archived = { storageClass: 'GLACIER' };
const STANDARD = null;
const many = <Item>(count: number, item: Item): Item[] => new Array<Item>(count).fill(item);

describe.each([
  ['by HEAD', 3],
  // This number of objects is looked up by listing.
  ['by LIST', 40],
] as const)('what is in an archive is unreadable, looked up %s', (_, count) => {
  test.each<readonly [words: string, object: Archived | null, state: string]>([
    ['in no class of its own', STANDARD, 'present'],
    ['in GLACIER', GLACIER, 'unreadable'],
    ['in GLACIER, being restored', { ...GLACIER, restoring: true }, 'unreadable'],
    ['in GLACIER, restored', { ...GLACIER, restoring: false }, 'present'],
    ['in DEEP_ARCHIVE', { storageClass: 'DEEP_ARCHIVE' }, 'unreadable'],
    ['in DEEP_ARCHIVE, restored', { storageClass: 'DEEP_ARCHIVE', restoring: false }, 'present'],
    ['in GLACIER_IR', { storageClass: 'GLACIER_IR' }, 'present'],
    ['in STANDARD_IA', { storageClass: 'STANDARD_IA' }, 'present'],
    ['in INTELLIGENT_TIERING', { storageClass: 'INTELLIGENT_TIERING' }, 'present'],
    ['in INTELLIGENT_TIERING, old', { storageClass: 'INTELLIGENT_TIERING', agoDays: 120 }, 'present'],
    [
      'in an archive tier',
      { storageClass: 'INTELLIGENT_TIERING', agoDays: 120, tier: 'ARCHIVE_ACCESS' },
      'unreadable',
    ],
    [
      'in the deepest tier',
      { storageClass: 'INTELLIGENT_TIERING', agoDays: 200, tier: 'DEEP_ARCHIVE_ACCESS', restoring: true },
      'unreadable',
    ],
    // A pool of Ceph may have this name: its administrator chooses it.
    ['in what is only called GLACIER', { ...GLACIER, isGivenOut: true }, 'present'],
  ])('%s', async (_words, object, state) => {
    const ledger = await world([...many(count, object), STANDARD]);
    await look(ledger);
    expect(known(ledger)).toEqual([...many(count, state), 'present']);
    expect(seen.requests.list > 0).toBe(count > 12);
  });
});

test('an ended run is listed, and what went into an archive since is unreadable', async () => {
  const ledger = await world(many(20, STANDARD), { live: false });
  await look(ledger);
  expect(known(ledger)).toEqual(many(20, 'present'));
  const [run] = ledger.runs().values();
  if (run === undefined) throw new Error('There is no run');
  // No object is drawn for another look: the listing shows the change.
  run.listed = null;
  for (const [slot] of [...ledger.rows().slotsOf(run)].entries()) {
    const key = ledger.rows().referenceOf(run, slot)?.key ?? '';
    door.archived.set(key, GLACIER);
  }
  await look(ledger, 9);
  await look(ledger, 200);
  expect(known(ledger)).toEqual(many(20, 'unreadable'));
});

test('what is restored can be read again a cycle later', async () => {
  const ledger = await world(many(5, GLACIER));
  await look(ledger);
  expect(known(ledger)).toEqual(many(5, 'unreadable'));
  for (const key of door.archived.keys()) door.archived.set(key, { ...GLACIER, restoring: false });
  await look(ledger);
  expect(known(ledger)).toEqual(many(5, 'present'));
});

describe('what it costs', () => {
  test('objects of a class that can be read cost a listing and nothing more', async () => {
    const ledger = await world(many(60, { storageClass: 'INTELLIGENT_TIERING' }));
    await look(ledger);
    expect(known(ledger)).toEqual(many(60, 'present'));
    expect(seen.requests).toMatchObject({ list: 1, head: 0, get: 0 });
  });

  test('each object in an archive costs a HEAD, and all of them together one try to read', async () => {
    const ledger = await world(many(60, GLACIER));
    await look(ledger);
    expect(seen.requests).toMatchObject({ list: 1, head: 60, get: 1 });
    // The read that was refused is not tried again.
    await look(ledger);
    expect(seen.requests).toMatchObject({ list: 1, head: 60 + 25, get: 1 });
  });

  test('what the allowance leaves is not known: neither present nor unreadable, and the next cycles go on with it', async () => {
    const ledger = await world(many(60, GLACIER));
    const first = await look(ledger, 30);
    const states = new Set(known(ledger));
    expect(states).toEqual(new Set(['unreadable', 'unverified']));
    expect(first.rest({ connection: '', bucket: 'xcom', prefix: '' })).toBe('budget');
    expect(seen.requests.list + seen.requests.head + seen.requests.get).toBeLessThanOrEqual(30);
    for (let cycle = 0; cycle < 8; cycle += 1) await look(ledger, 30);
    expect(known(ledger)).toEqual(many(60, 'unreadable'));
  });
});

test('where nobody may try to read, nothing is said', async () => {
  proxy.setFault({ match: ({ kind }) => kind === 'get', answer: 'deny' });
  const ledger = await world([...many(3, GLACIER), STANDARD]);
  const { unchecked } = await look(ledger);
  expect(known(ledger)).toEqual([...many(3, 'unverified'), 'present']);
  expect([...unchecked.values()]).toEqual(many(3, 'denied'));
});

test('one that is restored in this very moment does not speak for the others', async () => {
  const ledger = await world([{ ...GLACIER, isGivenOut: true }, ...many(4, GLACIER)]);
  const [run] = ledger.runs().values();
  const first = run === undefined ? '' : (ledger.rows().referenceOf(run, 0)?.key ?? '');
  // This object is the first that is known to be in an archive, and so the first that is tried.
  proxy.setFault({
    match: ({ kind, path }) => kind === 'head' && !path.includes(first),
    answer: { delayMs: 200 },
  });
  await look(ledger);
  expect(known(ledger)).toEqual(['present', ...many(4, 'unreadable')]);
});

test('an empty object is empty, wherever it is', async () => {
  const ledger = await world([STANDARD]);
  const [run] = ledger.runs().values();
  const key = run === undefined ? '' : (ledger.rows().referenceOf(run, 0)?.key ?? '');
  await fetch(`${server().endpoint}/xcom/${key}`, { method: 'PUT', body: '' });
  door.archived.set(key, GLACIER);
  await look(ledger);
  expect(known(ledger)).toEqual(['empty']);
});
