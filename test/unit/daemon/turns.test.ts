import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createTurns } from '../../../src/daemon/turns.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Runs that end when the test ends them. */
function runs() {
  const ends: ((value: number) => void)[] = [];
  const run = () => new Promise<number>((resolve) => ends.push(resolve));
  return { run, begun: () => ends.length, end: (index: number) => ends[index]?.(index) };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

test('the first begins at once; all that ask while one waits share it', async () => {
  const { run, begun, end } = runs();
  const turns = createTurns(run, { apartMs: 0 });
  const first = turns.next();
  await settled();
  expect(begun()).toBe(1);
  const shared = [turns.next(), turns.next(), turns.next()];
  await settled();
  expect(begun()).toBe(1);
  end(0);
  expect(await first).toBe(0);
  await settled();
  expect(begun()).toBe(2);
  end(1);
  expect(await Promise.all(shared)).toEqual([1, 1, 1]);
  expect(begun()).toBe(2);
});

test('one that fails keeps nobody from the next', async () => {
  let tries = 0;
  const turns = createTurns(
    () => {
      tries += 1;
      return tries === 1 ? Promise.reject(new Error('wrong')) : Promise.resolve(tries);
    },
    { apartMs: 0 },
  );
  await expect(turns.next()).rejects.toThrow('wrong');
  expect(await turns.next()).toBe(2);
});

test('the next waits until the time is over, and not when all is closed', async () => {
  const { run, begun, end } = runs();
  const turns = createTurns(run, { apartMs: 3_600_000 });
  const first = turns.next();
  await settled();
  end(0);
  await first;
  const second = turns.next();
  await settled();
  expect(begun()).toBe(1);
  const closed = turns.close();
  await settled();
  expect(begun()).toBe(2);
  end(1);
  expect(await second).toBe(1);
  await closed;
});

test('a time that is over is not waited for', async () => {
  const { run, begun, end } = runs();
  const turns = createTurns(run, { apartMs: 3_600_000 });
  const first = turns.next();
  await settled();
  end(0);
  await first;
  vi.advanceTimersByTime(3_600_000);
  const second = turns.next();
  await settled();
  expect(begun()).toBe(2);
  end(1);
  expect(await second).toBe(1);
});
