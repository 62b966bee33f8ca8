import { setImmediate as nextTurn } from 'node:timers/promises';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createCalls } from '../../../src/s3/calls.ts';

test('calls that come together begin in turns of their own, because the SDK computes before it sends', async () => {
  const calls = createCalls({
    observer: { request: () => undefined, failure: () => undefined },
    log: pino({ level: 'silent' }),
    requestTimeoutMs: 60_000,
    concurrency: 16,
  });
  let turn = 0;
  let isOver = false;
  const counting = (async () => {
    for (; !isOver; turn += 1) await nextTurn();
  })();
  const begun: number[] = [];
  const { signal } = new AbortController();
  const send = () => {
    begun.push(turn);
    return Promise.resolve('answer');
  };
  await Promise.all(Array.from({ length: 16 }, () => calls.run('head', { signal, send })));
  isOver = true;
  await counting;
  expect(new Set(begun).size).toBe(16);
});
