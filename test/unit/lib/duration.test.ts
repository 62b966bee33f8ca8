import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseDuration } from '../../../src/lib/duration.ts';

describe('parseDuration', () => {
  test.each([
    ['24h', 86_400_000],
    ['90m', 5_400_000],
    ['30s', 30_000],
    ['1d', 86_400_000],
    ['1h30m', 5_400_000],
    ['1d2h3m4s', 93_784_000],
    ['0h5m', 300_000],
  ])('%s', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  test.each([
    '',
    '24',
    'h',
    '0s',
    '-1h',
    '1.5h',
    '1h 30m',
    '30m1h',
    '1h1h',
    '24H',
    '24hours',
    ' 24h',
    '1e9d',
    '9'.repeat(20) + 'd',
  ])('refuses %j', (text) => {
    expect(() => parseDuration(text)).toThrow(RangeError);
  });

  test('any sum of units, largest first', () => {
    const count = fc.integer({ min: 1, max: 500 });
    fc.assert(
      fc.property(count, count, count, count, (days, hours, minutes, seconds) => {
        const ms = (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000;
        expect(parseDuration(`${days}d${hours}h${minutes}m${seconds}s`)).toBe(ms);
      }),
    );
  });
});
