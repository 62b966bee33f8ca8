import { setImmediate as nextTurn } from 'node:timers/promises';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import type { Calls, Sending } from '../../../src/s3/calls.ts';
import { createCalls } from '../../../src/s3/calls.ts';

const COUNT = 16;

function openCalls(request: () => void = () => undefined): Calls {
  return createCalls({
    observer: { request, failure: () => undefined },
    log: pino({ level: 'silent' }),
    requestTimeoutMs: 60_000,
    concurrency: COUNT,
  });
}

test('calls that come together begin in turns of their own, because the SDK computes before it sends', async () => {
  const calls = openCalls();
  const loop = { turns: 0, isOver: false };
  const counting = (async () => {
    for (; !loop.isOver; loop.turns += 1) await nextTurn();
  })();
  const begun: number[] = [];
  const { signal } = new AbortController();
  const send = () => {
    begun.push(loop.turns);
    return Promise.resolve('answer');
  };
  await Promise.all(Array.from({ length: COUNT }, () => calls.run('head', { signal, send })));
  loop.isOver = true;
  await counting;
  expect(new Set(begun).size).toBe(COUNT);
});

test('a call whose turn comes after the end is not sent, and no request is counted', async () => {
  let requests = 0;
  let sent = 0;
  const calls = openCalls(() => (requests += 1));
  const controller = new AbortController();
  const send = ({ watchAttempt }: Sending) => {
    sent += 1;
    controller.abort();
    // As the SDK does when it has fetched credentials and signed.
    return nextTurn().then(() => watchAttempt(() => Promise.resolve('answer')));
  };
  const answers = await Promise.all(
    Array.from({ length: COUNT }, () => calls.run('head', { signal: controller.signal, send })),
  );
  expect([sent, requests]).toEqual([1, 0]);
  const details = answers.map((answer) => (answer.kind === 'unknown' ? answer.detail : answer.kind));
  expect(details.sort()).toEqual([
    ...Array<string>(COUNT - 1).fill('before it was sent'),
    'while it was under way',
  ]);
});

test('a call says that it is sent after its turn, once, and after the credentials', async () => {
  const events: string[] = [];
  const calls = openCalls(() => events.push('request'));
  const { signal } = new AbortController();
  await calls.run('head', {
    signal,
    onSent: () => events.push('sent'),
    send: async ({ watchAttempt }) => {
      events.push('turn');
      await nextTurn();
      await watchAttempt(() => Promise.reject(new Error('x'))).catch(() => null);
      return watchAttempt(() => Promise.resolve('answer'));
    },
  });
  expect(events).toEqual(['turn', 'sent', 'request', 'request']);
});
