import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Verified } from '../../../src/objects/verify.ts';
import { verify } from '../../../src/objects/verify.ts';
import type { ObjectStore } from '../../../src/s3/client.ts';
import { openObjectStore } from '../../../src/s3/client.ts';
import { emptyState } from '../../../src/window/ledger-state.ts';
import type { Ledger } from '../../../src/window/ledger.ts';
import { createLedger } from '../../../src/window/ledger.ts';
import { orphans } from '../../../src/diagnosis/window-totals.ts';
import { newRun } from '../../../src/window/run.ts';
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
}

/** A ledger with these runs, and their objects in the bucket. */
async function world(prefix: string, runs: readonly TestRun[]): Promise<Ledger> {
  const state = emptyState();
  const keys: string[] = [];
  for (const [index, { dagId, hoursAgo, present, missing = 0, cut }] of runs.entries()) {
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
      const reference = { scheme: 's3', connection: '', bucket: 'xcom', key, prefix, suffix: '' };
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

function look(ledger: Ledger, requests = 500): Promise<Verified> {
  const stores = storesOf(store, seen);
  const options = {
    stores,
    base: null,
    control: null,
    isCurrent: true,
    requests,
    now: NOW,
    random: () => 0.5,
  };
  return verify(ledger, options, new AbortController().signal);
}

/** Keeps the answers, as a cycle does. */
function keep(ledger: Ledger, { answers }: Verified): void {
  for (const { slot, object, bytes } of answers)
    ledger.rows().setObject(ledger.runOf(slot), slot, { object, bytes });
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
  keep(ledger, first);

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
  expect(newest.rest).toBe('budget');
  const looked = new Set(newest.answers.map(({ slot }) => ledger.runOf(slot).dagId));
  // The newest come first, and the oldest has had its turn too.
  expect(looked).toContain('dag_0');
  expect(looked).toContain('dag_29');
  expect(looked.size).toBeLessThan(30);

  keep(ledger, newest);
  let cycles = 1;
  for (; cycles < 10 && [...ledger.runs().values()].some((run) => run.unverified > 0); cycles += 1)
    keep(ledger, await look(ledger, 20));
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
  expect(orphans(cut)).toEqual({ orphanObjects: null, orphanBytes: null, unseenRuns: 1 });
  expect(orphans(both)).toEqual({ orphanObjects: 0, orphanBytes: 0, unseenRuns: 1 });
});
