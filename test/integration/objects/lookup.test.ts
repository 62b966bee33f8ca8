import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import fc from 'fast-check';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { lookUp } from '../../../src/objects/look-up.ts';
import type { LookedUp } from '../../../src/objects/look-up.ts';
import type { PendingOfRun } from '../../../src/objects/pending.ts';
import { openObjectStore } from '../../../src/s3/client.ts';
import type { ObjectStore } from '../../../src/s3/client.ts';
import { startHttpFaultProxy } from '../../support/http-fault-proxy.ts';
import type { HttpFaultProxy } from '../../support/http-fault-proxy.ts';
import { connectionTo, recordRequests, storesOf, useS3 } from '../../support/s3.ts';

const server = useS3('xcom');
const log = pino({ level: 'silent' });
const never = new AbortController().signal;

let proxy: HttpFaultProxy;
let store: ObjectStore | null = null;
let seen: ReturnType<typeof recordRequests>;
let worlds = 0;

beforeAll(async () => {
  proxy = await startHttpFaultProxy({ upstream: server() });
});

beforeEach(() => {
  proxy.setFault(null);
  openWith(20_000);
});

function openWith(requestTimeoutMs: number): void {
  seen = recordRequests();
  store?.close();
  store = openObjectStore(connectionTo(proxy.url, server()), { observer: seen, log, requestTimeoutMs });
}

afterAll(async () => {
  store?.close();
  await proxy.stop();
});

/** A run as the bucket holds it and as the rows describe it. */
interface TestRun {
  readonly dag: string;
  readonly id: string;
  /**
   * Numbers of objects: of waiting rows (present, missing), of settled rows, and those that no row knows of
   * (orphans).
   */
  readonly present: number;
  readonly missing: number;
  readonly settled: number;
  readonly orphans: number;
  /** Whether the run is outside of the window: the exporter knows nothing of it. */
  readonly unknown: boolean;
  readonly tasks: readonly string[];
}

function run(dag: string, id: string, changes: Partial<TestRun> = {}): TestRun {
  return {
    dag,
    id,
    present: 0,
    missing: 0,
    settled: 0,
    orphans: 0,
    unknown: false,
    tasks: ['task'],
    ...changes,
  };
}

/**
 * Puts the objects into the bucket, and gives what the rows say. Items are keys; those that end with `missing` have
 * no object.
 */
async function plant(runs: readonly TestRun[]): Promise<PendingOfRun<string>[]> {
  worlds += 1;
  const base = `world${worlds}`;
  const planted: string[] = [];
  let serial = 0;
  const told = runs.map((one): PendingOfRun<string> => {
    const prefix = `${base}/${one.dag}/${one.id}/`;
    // The keys spread over the run as UUIDs do: missing objects lie among existing ones.
    const keys = (count: number, kind: string) =>
      Array.from({ length: count }, () => {
        serial += 1;
        return `${prefix}${one.tasks[serial % one.tasks.length] ?? ''}/${((serial * 7_919) % 100_003).toString(16).padStart(5, '0')}-${kind}`;
      });
    const waiting = [...keys(one.present, 'there'), ...keys(one.missing, 'missing')];
    const settled = keys(one.settled, 'settled');
    planted.push(...keys(one.orphans, 'orphan'), ...settled);
    planted.push(...waiting.filter((key) => !key.endsWith('missing')));
    return {
      location: { connection: '', bucket: 'xcom', prefix: base, folder: prefix },
      runId: one.id,
      waiting: waiting.map((key) => ({ item: key, key, at: serial, asked: false })),
      settled,
      others: 0,
    };
  });
  for (let at = 0; at < planted.length; at += 200) {
    await Promise.all(
      planted
        .slice(at, at + 200)
        .map((key) => fetch(`${server().endpoint}/xcom/${key}`, { method: 'PUT', body: 'x' })),
    );
  }
  return told.filter((_, index) => runs[index]?.unknown === false);
}

function ask(runs: readonly PendingOfRun<string>[], ceiling = 500): Promise<LookedUp<string>> {
  if (store === null) throw new Error('No store');
  const until = performance.now() + 120_000;
  return lookUp(runs, { stores: storesOf(store, seen), ceiling, until, now: Date.now() }, never);
}

function hours(count: number): string[] {
  return Array.from({ length: count }, (_, hour) => {
    const at = new Date(Date.UTC(2026, 0, 1, hour));
    return `scheduled__${at.toISOString().replace('.000Z', '+00:00')}`;
  });
}

function expectTruth({ found }: LookedUp<string>): void {
  for (const { item, finding } of found)
    expect([item, finding.kind]).toEqual([item, item.endsWith('missing') ? 'missing' : 'present']);
}

describe('what the plan makes of a bucket', () => {
  test('a mapped run is listed, page by page', async () => {
    const runs = await plant([run('mapped', 'manual__2026-01-01', { present: 1_090, missing: 10 })]);
    const answer = await ask(runs);
    expect(answer.found).toHaveLength(1_100);
    expectTruth(answer);
    // One HEAD for each object that a page lacks, all at once, and then one LIST to see whether the bucket exists.
    expect(seen.requests).toMatchObject({ list: 2 + 1, head: 10 });
  });

  test('what the pages of forty dags lack shares one look at the bucket', async () => {
    const dags = Array.from({ length: 40 }, (_, at) =>
      run(`dag${at + 10}`, 'manual__2026-01-01', { present: 20, missing: at % 2 }),
    );
    const answer = await ask(await plant(dags));
    expect(answer.found).toHaveLength(820);
    expectTruth(answer);
    expect(seen.requests).toMatchObject({ list: 40 + 1, head: 20 });
  });

  test('forty runs of an hour each share one page, whatever lies before and after them', async () => {
    const ids = hours(140);
    const runs = await plant(
      ids.map((id, index) =>
        run('hourly', id, index < 100 ? { orphans: 12, unknown: true } : { present: 3 }),
      ),
    );
    const answer = await ask(runs);
    expect(answer.found).toHaveLength(120);
    expectTruth(answer);
    expect(seen.requests).toMatchObject({ list: 1, head: 0 });
  });

  test('an old run that was cleared does not make years of others be listed', async () => {
    const ids = hours(120);
    const runs = await plant(
      ids.map((id, index) => {
        if (index === 0 || index >= 110) return run('hourly', id, { present: 3 });
        return run('hourly', id, { orphans: 12, unknown: true });
      }),
    );
    const answer = await ask(runs);
    expect(answer.found).toHaveLength(33);
    expectTruth(answer);
    // One page begins with the old run, and one serves the rest.
    expect(seen.requests.list).toBeLessThanOrEqual(2);
    expect(seen.requests.head).toBeLessThan(13);
  });

  test('a few are asked for one by one', async () => {
    const answer = await ask(await plant([run('small', 'manual__2026-01-01', { present: 9, missing: 3 })]));
    expectTruth(answer);
    expect(answer.found).toHaveLength(12);
    // The LIST is sent once, for the missing objects: it shows whether the bucket exists.
    expect(seen.requests).toMatchObject({ head: 12, list: 1 });
  });

  test('more objects than rows: what the page did not reach is asked for again', async () => {
    const answer = await ask(
      await plant([run('leaky', 'manual__2026-01-01', { present: 40, missing: 5, orphans: 300 })]),
    );
    expectTruth(answer);
    expect(answer.found).toHaveLength(45);
    expect(seen.requests.list + seen.requests.head).toBeLessThan(25);
  });
});

describe('what S3 does not do', () => {
  test('it refuses to list: HEAD tells what is there', async () => {
    proxy.setFault({ match: ({ kind }) => kind === 'list', answer: 'deny' });
    const answer = await ask(await plant([run('denied', 'manual__2026-01-01', { present: 30, missing: 2 })]));
    expectTruth(answer);
    expect(answer.found.length).toBeGreaterThanOrEqual(30);
    expect(answer.closures).toEqual([]);
  });

  test.each([
    ['whether it is the last', /<IsTruncated>[^<]*<\/IsTruncated>/g],
    ['sizes', /<Size>[^<]*<\/Size>/g],
  ])('its pages do not say %s: HEADs tell what is there', async (_, lacking) => {
    const runs = await plant([run('partial', 'manual__2026-01-01', { present: 30, missing: 2 })]);
    const { host, port } = server();
    const front = createServer((incoming, outgoing) => {
      const { method, url: path, headers } = incoming;
      const onward = request({ host, port, method, path, headers, setHost: false }, (answer) => {
        void text(answer).then((body) => {
          const isList = path?.includes('list-type=2') === true;
          const sent = { ...answer.headers };
          if (isList) delete sent['content-length'];
          outgoing.writeHead(answer.statusCode ?? 502, sent);
          outgoing.end(isList ? body.replaceAll(lacking, '') : body);
        });
      });
      incoming.pipe(onward);
    });
    await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
    store?.close();
    const url = `http://127.0.0.1:${(front.address() as AddressInfo).port}`;
    store = openObjectStore(connectionTo(url, server()), { observer: seen, log });
    const answer = await ask(runs);
    expectTruth(answer);
    expect([answer.found.length, answer.closures]).toEqual([32, []]);
    front.closeAllConnections();
    front.close();
  });

  // The embedded server sorts as people do: both cases of a letter together, and an underscore before a slash.
  test.each([
    ['names of two tasks among each other', ['Load', 'load']],
    ['one task before the other', ['load', 'load_b']],
  ])('it lists in another order than that of the keys, %s: nothing is missing for that', async (_, tasks) => {
    const runs = await plant([run('odd', 'manual__2026-01-01', { present: 2_400, missing: 1, tasks })]);
    const answer = await ask(runs, 1_000);
    expectTruth(answer);
    expect(answer.found.length).toBeGreaterThan(1_000);
    expect(answer.closures).toEqual([]);
  });

  test.each(['slow_down', 'cut', 'stall', 'server_error', 'garbage'] as const)(
    'it meets all with %s: given up soon, and nothing is missing',
    async (fault) => {
      const runs = await plant([
        run('a', 'manual__2026-01-01', { present: 30, missing: 2 }),
        ...hours(9).map((id) => run('b', id, { present: 1 })),
      ]);
      openWith(1_000);
      proxy.setFault({ answer: fault });
      const answer = await ask(runs);
      expect(answer.found).toEqual([]);
      expect(answer.closures).not.toEqual([]);
      expect(answer.unanswered.length + answer.left.length).toBe(41);
    },
  );
});

test('for any bucket and ceiling: the truth, each once, and no more requests than allowed', async () => {
  const ids = hours(12);
  const anyRun = fc.record({
    dag: fc.constantFrom('a', 'b'),
    id: fc.constantFrom(...ids, 'manual__2026-01-01T00:00:00+00:00', 'by hand', 'manual__x'),
    present: fc.oneof(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 40 })),
    missing: fc.integer({ min: 0, max: 3 }),
    settled: fc.integer({ min: 0, max: 10 }),
    orphans: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 60 })),
    unknown: fc.boolean(),
    tasks: fc.constant(['task']),
  });
  const anyRuns = fc.uniqueArray(anyRun, { maxLength: 12, selector: ({ dag, id }) => `${dag}/${id}` });
  await fc.assert(
    fc.asyncProperty(anyRuns, fc.integer({ min: 0, max: 60 }), async (runs, ceiling) => {
      const told = await plant(runs);
      const before = seen.requests.head + seen.requests.list;
      const answer = await ask(told, ceiling);
      expectTruth(answer);
      expect(seen.requests.head + seen.requests.list - before).toBeLessThanOrEqual(ceiling);
      const all = told.flatMap(({ waiting }) => waiting.map(({ item }) => item));
      expect([...answer.found.map(({ item }) => item), ...answer.left].sort()).toEqual(all.sort());
      // Every request may take two, so that less than two requests are left over.
      if (answer.left.length > 0) {
        expect(ceiling - (seen.requests.head + seen.requests.list - before)).toBeLessThan(4);
      }
    }),
    { seed: 4, numRuns: 15 },
  );
}, 300_000);

test('an object that a listing calls empty is as large as a HEAD says', async () => {
  const runs = await plant([run('dag', 'r', { present: 30 })]);
  const sound = store;
  if (sound === null) throw new Error('No store');
  const lying: ObjectStore = {
    ...sound,
    list: async (target, signal) => {
      const answer = await sound.list(target, signal);
      if (answer.kind === 'unknown') return answer;
      return { ...answer, objects: answer.objects.map((object) => ({ ...object, bytes: 0 })) };
    },
  };
  const until = performance.now() + 120_000;
  const { found } = await lookUp(
    runs,
    { stores: storesOf(lying, seen), ceiling: 500, until, now: Date.now() },
    never,
  );
  expect(seen.requests.list).toBeGreaterThan(0);
  expect(found).toHaveLength(30);
  expect(found.every(({ finding }) => finding.kind === 'present' && finding.bytes === 1)).toBe(true);
});
