import { expect, test } from 'vitest';
import { createBreaker } from '../../../src/lib/breaker.ts';

/** Counts the turns that the breaker leaves out after a failure. */
function leftOut(breaker: ReturnType<typeof createBreaker>): number {
  let turns = 0;
  while (!breaker.turn()) turns += 1;
  return turns;
}

test('leaves out twice as many turns after each failure, up to the most, with one trial in between', () => {
  const breaker = createBreaker({ most: () => 10 });
  expect(breaker.turn()).toBe(true);
  const seen = Array.from({ length: 7 }, () => {
    const said = breaker.trip();
    const turns = leftOut(breaker);
    expect(turns).toBe(said);
    return turns;
  });
  expect(seen).toEqual([1, 2, 4, 8, 10, 10, 10]);
});

test('leaves out none after a success, and starts from one again', () => {
  const breaker = createBreaker({ most: () => 10 });
  expect(breaker.reset()).toBe(false);
  breaker.trip();
  breaker.trip();
  expect([breaker.reset(), breaker.reset()]).toEqual([true, false]);
  expect(leftOut(breaker)).toBe(0);
  expect(breaker.trip()).toBe(1);
});

test('goes on trying where a trial neither succeeds nor does harm, and remembers', () => {
  const breaker = createBreaker({ most: () => 10 });
  breaker.trip();
  expect([breaker.turn(), breaker.turn(), breaker.turn()]).toEqual([false, true, true]);
  expect(breaker.trip()).toBe(2);
});

test('outlives any number of failures', () => {
  const breaker = createBreaker({ most: () => 3 });
  for (let i = 0; i < 2_000; i += 1) breaker.trip();
  expect(leftOut(breaker)).toBe(3);
});
