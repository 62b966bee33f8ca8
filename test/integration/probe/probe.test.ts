import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { RequestKind } from '../../../src/demo/fault-proxy.ts';
import { falseHead, probe, sawObject } from '../../../src/probe/bucket.ts';
import { probeInForce } from '../../../src/probe/in-force.ts';
import { createWriteRefusals } from '../../../src/probe/write-refusal.ts';
import type { Tried, ProbeTarget } from '../../../src/probe/bucket.ts';
import { openObjectStore } from '../../../src/s3/client.ts';
import type { ObjectStore } from '../../../src/s3/client.ts';
import { unknown } from '../../../src/s3/failure.ts';
import { readConfig } from '../../../src/settings/read-config.ts';
import { startHttpFaultProxy } from '../../support/http-fault-proxy.ts';
import type { HttpFaultAnswer, HttpFaultProxy } from '../../support/http-fault-proxy.ts';
import { connectionTo, recordRequests, useS3 } from '../../support/s3.ts';

const log = pino({ level: 'silent' });
const server = useS3('xcom');
const never = new AbortController().signal;
const hourMs = 3_600_000;
const NOTHING: Tried = { steps: [], leftoversDeleted: 0 };
const refused = (reason: string) => expect.stringMatching(new RegExp(`^${reason}: `)) as unknown;

let proxy: HttpFaultProxy;
let store: ObjectStore;
let direct: ObjectStore;

beforeEach(async () => {
  proxy = await startHttpFaultProxy({ upstream: server() });
  const options = { observer: recordRequests(), log };
  store = openObjectStore(connectionTo(proxy.url, server()), options);
  direct = openObjectStore(connectionTo(server().endpoint, server()), options);
});

/** Opens a store that waits only for a moment, for tests in which nothing answers. */
function openImpatient(): void {
  store.close();
  const options = { observer: recordRequests(), log, requestTimeoutMs: 500 };
  store = openObjectStore(connectionTo(proxy.url, server()), options);
}

afterEach(async () => {
  for (const key of await keysLeft()) await direct.delete({ bucket: 'xcom', key }, never);
  store.close();
  direct.close();
  await proxy.stop();
});

function target(changes: Partial<ProbeTarget> = {}): ProbeTarget {
  return { bucket: 'xcom', prefix: 'base', write: true, now: Date.now(), id: 'p1', ...changes };
}

/** One text for each operation: `ok`, `skipped`, or the reason and the detail. */
function outline({ steps }: Tried): Record<string, string> {
  return Object.fromEntries(
    steps.map((step) => {
      if (step.ok === null) return [step.operation, 'skipped'];
      return [step.operation, step.ok ? 'ok' : `${step.reason}: ${step.detail}`];
    }),
  );
}

async function keysLeft(): Promise<string[]> {
  const answer = await direct.list({ bucket: 'xcom', prefix: '', after: null }, never);
  if (answer.kind === 'unknown') throw new Error(answer.detail);
  return answer.objects.map(({ key }) => key);
}

function breakOnly(kind: RequestKind, answer: HttpFaultAnswer): void {
  proxy.setFault({ match: (request) => request.kind === kind, answer });
}

test('all is well: five operations in order, timed, and nothing stays behind', async () => {
  const result = await probe(store, target(), never);
  expect(result.steps.map(({ operation }) => operation)).toEqual(['put', 'head', 'get', 'list', 'delete']);
  expect(outline(result)).toEqual({ put: 'ok', head: 'ok', get: 'ok', list: 'ok', delete: 'ok' });
  for (const step of result.steps) expect(step.ok === true && step.seconds).toBeGreaterThan(0);
  expect(await keysLeft()).toEqual([]);
  expect(proxy.requests).toEqual({ put: 1, head: 2, get: 1, list: 2, delete: 1, other: 0 });
});

test.each([
  ['base', 'base/.airflow-xcom-exporter/probe-p1'],
  ['base/', 'base/.airflow-xcom-exporter/probe-p1'],
  ['', '.airflow-xcom-exporter/probe-p1'],
])('under the prefix "%s" it writes %s', async (prefix, key) => {
  breakOnly('delete', 'deny');
  await probe(store, target({ prefix }), never);
  expect(await keysLeft()).toEqual([key]);
});

test('without writing it looks only', async () => {
  const result = await probe(store, target({ write: false }), never);
  expect(outline(result)).toEqual({
    put: 'skipped',
    head: 'ok',
    get: 'skipped',
    list: 'ok',
    delete: 'skipped',
  });
  expect(proxy.requests).toMatchObject({ put: 0, get: 0, delete: 0 });
});

describe('the place where Airflow is to write', () => {
  const go = (bucket: string) =>
    probeInForce(readConfig({ argv: [`--xcom.path=s3://${bucket}/base`], env: {}, readFile: () => '' }), {
      stores: { of: () => store, connectionOf: () => connectionTo(proxy.url, server()) },
      refusals: createWriteRefusals(),
      id: 'p1',
      mayErase: true,
      signal: never,
    });

  test('is looked for by one request each time', async () => {
    expect(outline((await go('xcom')) ?? NOTHING)).toMatchObject({ put: 'ok', head: 'ok', delete: 'ok' });
    const { head } = proxy.requests;
    await go('xcom');
    // One HEAD of the bucket, one of the object, and one of an object that does not exist.
    expect([head, proxy.requests]).toMatchObject([3, { put: 2, head: 6 }]);
  });

  test('is not written to where there is no such bucket', async () => {
    expect(outline((await go('no-such-bucket')) ?? NOTHING)).toEqual({
      put: 'no_such_bucket: NoSuchBucket (404)',
      head: refused('no_such_bucket'),
      get: 'skipped',
      list: refused('no_such_bucket'),
      delete: 'skipped',
    });
    expect(proxy.requests).toMatchObject({ put: 0, delete: 0 });
  });

  /**
   * Behaves as versitygw with a sidecar: an object written under the key of a deleted one is not found. Run on 1.8.0.
   */
  function forgetful(): ObjectStore {
    const spent = new Set<string>();
    const hides = (key: string) => spent.has(key);
    return {
      ...store,
      delete: async (address, signal) => {
        const answer = await store.delete(address, signal);
        spent.add(address.key);
        return answer;
      },
      head: (address, signal) =>
        hides(address.key) ? Promise.resolve({ kind: 'missing' }) : store.head(address, signal),
      get: (address, signal) =>
        hides(address.key) ? Promise.resolve({ kind: 'missing' }) : store.get(address, signal),
    };
  }

  test('is written under a new key where the old one is lost', async () => {
    const forgets = forgetful();
    const config = readConfig({ argv: ['--xcom.path=s3://xcom/base'], env: {}, readFile: () => '' });
    const again = (of: ObjectStore) =>
      probeInForce(config, {
        stores: { of: () => of, connectionOf: () => connectionTo(proxy.url, server()) },
        refusals: createWriteRefusals(),
        ...{ id: 'p1', mayErase: true, signal: never },
      });
    expect(await again(forgets)).toMatchObject({ isKeySpent: false });
    const second = await again(forgets);
    expect(second?.isKeySpent).toBe(true);
    expect(outline(second ?? NOTHING)).toMatchObject({ put: 'ok', head: 'ok', get: 'ok', delete: 'ok' });
    // The probe fails on a storage that loses a new key as well.
    const losing: ObjectStore = {
      ...store,
      head: () => Promise.resolve({ kind: 'missing' }),
      get: () => Promise.resolve({ kind: 'missing' }),
    };
    const lost = await again(losing);
    expect(lost?.isKeySpent).toBe(false);
    expect(outline(lost ?? NOTHING)).toMatchObject({ head: refused('content_mismatch') });
    expect(await keysLeft()).toEqual([]);
  });

  test('is not said to be missing by a proxy that answers 404 in place of S3', async () => {
    const error = { status: 404, code: '', message: 'nginx', html: true };
    proxy.setFault({ match: () => true, answer: { error } });
    const { steps = [] } = (await go('xcom')) ?? {};
    const [put] = steps;
    expect(put?.ok === false ? [put.reason, put.said?.by] : put).toEqual(['server_error', 'proxy']);
  });

  test.each([
    ['s3://xcom/base', 'exporter'],
    ['s3://aws@xcom/base', 'workers'],
  ] as const)('of %s is asked with the credentials of %s', async (path, asker) => {
    const config = readConfig({ argv: [`--xcom.path=${path}`], env: {}, readFile: () => '' });
    const probed = await probeInForce(config, {
      // The keys in AWS's variables serve a path without a connection.
      stores: { of: () => store, connectionOf: () => connectionTo(proxy.url, server()) },
      refusals: createWriteRefusals(),
      id: 'p1',
      mayErase: true,
      signal: never,
    });
    expect(probed?.asker).toBe(asker);
  });

  test('tells from when on the test write is refused', async () => {
    const refusals = createWriteRefusals();
    const path = ['--xcom.path=s3://aws@xcom/base'];
    const again = () =>
      probeInForce(readConfig({ argv: path, env: {}, readFile: () => '' }), {
        stores: { of: () => store, connectionOf: () => connectionTo(proxy.url, server()) },
        refusals,
        ...{ id: 'p1', mayErase: true, signal: never },
      });
    expect((await again())?.othersWriteFrom).toBeNull();
    proxy.setFault({ match: ({ kind }) => kind === 'put', answer: 'deny' });
    const begun = Date.now();
    const from = (await again())?.othersWriteFrom ?? 0;
    expect(from).toBeGreaterThanOrEqual(begun);
    expect((await again())?.othersWriteFrom).toBe(from);
    proxy.setFault(null);
    expect((await again())?.othersWriteFrom).toBeNull();
  });

  test('tells from when on nothing is reached, and a refusal is an answer', async () => {
    const refusals = createWriteRefusals();
    const args = ['--xcom.path=s3://aws@xcom/base', '--probe.write=false'];
    const again = () =>
      probeInForce(readConfig({ argv: args, env: {}, readFile: () => '' }), {
        stores: { of: () => store, connectionOf: () => connectionTo(proxy.url, server()) },
        refusals,
        ...{ id: 'p1', mayErase: true, signal: never },
      });
    proxy.setFault({ answer: 'deny' });
    expect((await again())?.othersReachFrom).toBeNull();
    proxy.setFault({ answer: 'server_error' });
    const begun = Date.now();
    const from = (await again())?.othersReachFrom ?? 0;
    expect(from).toBeGreaterThanOrEqual(begun);
    expect((await again())?.othersReachFrom).toBe(from);
    proxy.setFault(null);
    expect((await again())?.othersReachFrom).toBeNull();
  });

  test.each(['deny', 'server_error', 'slow_down'] as const)(
    'is written to where %s says nothing of it',
    async (answer) => {
      proxy.setFault({
        match: ({ path, method }) => method === 'HEAD' && /^\/xcom\/?(\?|$)/.test(path),
        answer,
      });
      expect(outline((await go('xcom')) ?? NOTHING)).toMatchObject({ put: 'ok', delete: 'ok' });
    },
  );
});

test('writing denied: reading is still checked', async () => {
  breakOnly('put', 'deny');
  const result = await probe(store, target(), never);
  expect(outline(result)).toEqual({
    put: 'denied: AccessDenied (403)',
    head: 'ok',
    get: 'skipped',
    list: 'ok',
    delete: 'skipped',
  });
  expect(proxy.requests.delete).toBe(0);
});

test('listing denied: the rest goes on', async () => {
  breakOnly('list', 'deny');
  const result = await probe(store, target(), never);
  expect(outline(result)).toEqual({
    put: 'ok',
    head: 'ok',
    get: 'ok',
    list: 'denied: AccessDenied (403)',
    delete: 'ok',
  });
});

test.each([
  ['deny', 'denied'],
  ['slow_down', 'throttled'],
  ['server_error', 'server_error'],
  ['no_such_bucket', 'no_such_bucket'],
  ['wrong_region', 'wrong_region'],
  ['clock_skew', 'clock_skew'],
  ['garbage', 'server_error'],
  ['cut', 'unreachable'],
] as const)('everything meets %s: %s', async (answer, reason) => {
  proxy.setFault({ answer });
  const result = await probe(store, target(), never);
  expect(outline(result)).toEqual({
    put: refused(reason),
    head: refused(reason),
    get: 'skipped',
    list: refused(reason),
    delete: 'skipped',
  });
});

test('when neither put nor head is answered, the rest is not asked', async () => {
  openImpatient();
  proxy.setFault({ answer: 'stall' });
  expect(outline(await probe(store, target(), never))).toEqual({
    put: refused('timeout'),
    head: refused('timeout'),
    get: 'skipped',
    list: 'skipped',
    delete: 'skipped',
  });
  expect(proxy.requests).toMatchObject({ get: 0, list: 0, delete: 0 });
});

test('a put alone that is not answered stops nothing', async () => {
  openImpatient();
  breakOnly('put', 'stall');
  expect(outline(await probe(store, target(), never))).toEqual({
    put: refused('timeout'),
    head: 'ok',
    get: 'skipped',
    list: 'ok',
    delete: 'skipped',
  });
});

test('an object that is not what was put', async () => {
  const swapped: ObjectStore = {
    ...store,
    get: async (address, signal) => {
      await direct.put({ ...address, body: new TextEncoder().encode('something else') }, never);
      return store.get(address, signal);
    },
  };
  expect(outline(await probe(swapped, target(), never))).toMatchObject({
    put: 'ok',
    get: 'content_mismatch: other content than was put',
    delete: 'ok',
  });
});

test('an object that vanishes', async () => {
  const vanishing: ObjectStore = {
    ...store,
    put: async (object, signal) => {
      const answer = await store.put(object, signal);
      await direct.delete(object, never);
      return answer;
    },
  };
  expect(outline(await probe(vanishing, target(), never))).toEqual({
    put: 'ok',
    head: 'content_mismatch: missing right after it was put',
    get: 'content_mismatch: missing right after it was put',
    list: 'content_mismatch: not listed right after it was put',
    delete: 'ok',
  });
});

test('a page of the listing that is not the last one may lack the object', async () => {
  const crowded: ObjectStore = {
    ...store,
    list: () => Promise.resolve({ kind: 'listed', objects: [], next: 'x' }),
  };
  expect(outline(await probe(crowded, target(), never))).toMatchObject({ put: 'ok', list: 'ok' });
});

test('a HEAD that finds what was never written is not believed', async () => {
  const credulous: ObjectStore = {
    ...store,
    head: async (address, signal) => {
      const answer = await store.head(address, signal);
      return answer.kind === 'missing'
        ? { kind: 'present', bytes: 65, archive: null, lastModified: null }
        : answer;
    },
  };
  const probed = await probe(credulous, target(), never);
  expect(outline(probed)).toMatchObject({
    put: 'ok',
    head: 'content_mismatch: a key that was never written is said to be there',
    get: 'ok',
  });
  expect([sawObject(probed), falseHead(probed)]).toEqual([
    false,
    'a key that was never written is said to be there',
  ]);
  // The same holds without writing.
  expect(falseHead(await probe(credulous, target({ write: false }), never))).not.toBeNull();
  expect(falseHead(await probe(store, target({ write: false }), never))).toBeNull();
});

test.each([
  ['without a body', { 'content-type': 'text/plain' }, 'proxy'],
  ['in XML', { 'content-type': 'application/xml' }, 's3'],
] as const)('a HEAD is refused by whoever refuses the rest: 403 %s', async (_, headers, by) => {
  const front = createServer((incoming, outgoing) => {
    incoming.resume().once('end', () => outgoing.writeHead(403, headers).end());
  });
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
  const { port } = front.address() as AddressInfo;
  const far = openObjectStore(connectionTo(`http://127.0.0.1:${port}`, server()), {
    observer: recordRequests(),
    log,
  });
  try {
    const { steps } = await probe(far, target(), never);
    const failed = steps.filter((step) => step.ok === false);
    expect(failed.map(({ operation, said }) => [operation, said?.by])).toEqual([
      ['put', by],
      ['head', by],
      ['list', by],
    ]);
  } finally {
    far.close();
    front.close();
  }
});

test('aborted in the middle it waits for nothing and still deletes what it put', async () => {
  openImpatient();
  breakOnly('get', 'stall');
  const controller = new AbortController();
  const running = probe(store, target(), controller.signal);
  await expect.poll(() => proxy.requests.get, { interval: 10 }).toBe(1);
  controller.abort();
  expect(outline(await running)).toEqual({
    put: 'ok',
    head: 'ok',
    get: 'skipped',
    list: 'skipped',
    delete: 'ok',
  });
  expect(await keysLeft()).toEqual([]);
});

test('aborted while nothing answers it ends all the same', { timeout: 20_000 }, async () => {
  const controller = new AbortController();
  openImpatient();
  proxy.setFault({ answer: 'stall' });
  const running = probe(store, target(), controller.signal);
  controller.abort();
  expect(outline(await running)).toMatchObject({ put: 'skipped', delete: 'skipped' });
});

test('an object whose put was not answered is deleted all the same', async () => {
  const lost: ObjectStore = {
    ...store,
    put: async (object, signal) => {
      await store.put(object, signal);
      return unknown('timeout', 'no answer in 500 ms', 'network');
    },
  };
  expect(outline(await probe(lost, target(), never))).toMatchObject({
    put: refused('timeout'),
    delete: 'skipped',
  });
  expect(await keysLeft()).toEqual([]);
});

test('what dead probes left is deleted after an hour, ten at a time, and nothing else', async () => {
  const left = Array.from({ length: 12 }, (_, index) => `base/.airflow-xcom-exporter/probe-dead${index}`);
  const others = ['base/.airflow-xcom-exporter/note', 'base/dag/run/task/value'];
  for (const key of [...left, ...others]) {
    await direct.put({ bucket: 'xcom', key, body: new Uint8Array(1) }, never);
  }
  expect((await probe(store, target(), never)).leftoversDeleted).toBe(0);
  const later = { now: Date.now() + hourMs + 1_000 };
  expect((await probe(store, target({ ...later, write: false }), never)).leftoversDeleted).toBe(0);
  expect((await probe(store, target(later), never)).leftoversDeleted).toBe(10);
  expect((await probe(store, target(later), never)).leftoversDeleted).toBe(2);
  expect(await keysLeft()).toEqual(others);
});
