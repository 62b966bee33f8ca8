import { pino } from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { HttpFaultProxy } from '../../../src/demo/fault-proxy.ts';
import { sayError, startHttpFaultProxy } from '../../../src/demo/fault-proxy.ts';
import type { ObjectStore } from '../../../src/s3/client.ts';
import { openObjectStore } from '../../../src/s3/client.ts';
import { connectionTo, recordRequests, useS3 } from '../../support/s3.ts';

const server = useS3('xcom');
const never = new AbortController().signal;
const now = Date.now.bind(Date);

let door: HttpFaultProxy;
let store: ObjectStore;
let warnings: string[];
let seen: ReturnType<typeof recordRequests>;

beforeEach(async () => {
  door = await startHttpFaultProxy({ upstream: server() });
  // A signature that is a quarter of an hour old, or that far ahead, is refused, as AWS does.
  door.setFault({
    match: () => true,
    answer: (exchange) => {
      const header = String(exchange.request.headers['x-amz-date']);
      const [, day = '', time = ''] = /^(\d{8})T(\d{6})Z$/.exec(header) ?? [];
      const signed = Date.parse(
        `${day.replace(/(\d{4})(\d\d)/, '$1-$2-')}T${time.replace(/(\d\d)(\d\d)/, '$1:$2:')}Z`,
      );
      if (Math.abs(signed - now()) < 15 * 60_000) exchange.forward();
      else
        sayError(exchange, { status: 403, code: 'RequestTimeTooSkewed', message: 'too large', headers: {} });
    },
  });
  seen = recordRequests();
  warnings = [];
  const log = pino(
    { level: 'warn' },
    { write: (line: string) => warnings.push((JSON.parse(line) as { msg: string }).msg) },
  );
  store = openObjectStore(connectionTo(door.url, server()), {
    observer: seen,
    log,
  });
  const body = new TextEncoder().encode('value');
  expect(await store.put({ bucket: 'xcom', key: 'there', body }, never)).toMatchObject({ kind: 'done' });
});

afterEach(async () => {
  vi.restoreAllMocks();
  store.close();
  await door.stop();
});

async function lookUp(...keys: string[]): Promise<string[]> {
  const kinds: string[] = [];
  for (const key of keys) kinds.push((await store.head({ bucket: 'xcom', key }, never)).kind);
  return kinds;
}

test.each([5, 20, -5, -20])('%i minutes off: what is not there is asked for once', async (minutes) => {
  vi.spyOn(Date, 'now').mockImplementation(() => now() + minutes * 60_000);
  expect(await lookUp('there')).toEqual(['present']);
  expect(await lookUp('a', 'b', 'c')).toEqual(['missing', 'missing', 'missing']);
  const seconds = [-1, 0, 1].map((more) => Math.abs(minutes) * 60 + more).join('|');
  const side = minutes > 0 ? 'ahead of' : 'behind';
  expect(warnings).toEqual([
    expect.stringMatching(new RegExp(`^the clock of this machine is (?:${seconds}) s ${side} that of`)),
  ]);
  const skew = store.clockSkewSeconds() ?? 0;
  expect(Math.abs(skew + minutes * 60)).toBeLessThanOrEqual(1);
  // The store took the time from the answer to the put, before the clock went wrong. If the first HEAD is refused,
  // the store signs it again.
  expect(seen.requests.head).toBe(4 + (Math.abs(minutes) > 15 ? 1 : 0));
  expect(seen.failures).toEqual(Math.abs(minutes) > 15 ? ['head clock_skew'] : []);
});

test('a refusal that another time would not change is asked for once', async () => {
  vi.spyOn(Date, 'now').mockImplementation(() => now() + 5 * 60_000);
  expect(await lookUp('there')).toEqual(['present']);
  door.setFault({
    match: () => true,
    answer: (exchange) => {
      sayError(exchange, { status: 403, code: 'AccessDenied', message: 'Access Denied', headers: {} });
    },
  });
  expect(await lookUp('there')).toEqual(['unknown']);
  expect(seen.requests.head).toBe(2);
});
