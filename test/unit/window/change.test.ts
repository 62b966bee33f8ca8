import { describe, expect, test } from 'vitest';
import { isBehind } from '../../../src/window/change.ts';
import type { LedgerState } from '../../../src/window/ledger-state.ts';
import { emptyState } from '../../../src/window/ledger-state.ts';

const READ_AT = 1_800_000_000_000;
const MINUTE = 60_000;
const origin = { tables: '7: 1, 2', files: '3, 4', timeline: 2 };
const read: LedgerState = {
  ...emptyState(),
  origin,
  lastReading: { at: READ_AT, horizon: '700', from: 0, position: '0/50' },
};
const behind: Parameters<typeof isBehind>[1] = {
  origin,
  isStandby: true,
  position: '0/40',
  replayedTo: READ_AT - 1_000,
};

describe('a server that shows less than the last reading saw', () => {
  test('is behind if it is a standby of the same cluster', () => {
    expect(isBehind(read, behind)).toBe(true);
    expect(isBehind(read, { ...behind, origin: { ...origin, files: 'before a rewrite' } })).toBe(true);
    expect(isBehind(read, { ...behind, origin: { ...origin, timeline: 1 } })).toBe(true);
    expect(isBehind(read, { ...behind, origin: { ...origin, timeline: null } })).toBe(true);
    expect(isBehind(read, { ...behind, replayedTo: null })).toBe(true);
    // The clock of its primary is ahead.
    expect(isBehind(read, { ...behind, replayedTo: READ_AT + MINUTE })).toBe(true);
  });

  test.each<[string, Partial<typeof behind>]>([
    ['a primary, which was put back from a copy', { isStandby: false }],
    ['a standby of such a primary', { origin: { ...origin, timeline: 3 } }],
    [
      'a standby of a primary put back from a copy of its volume, which keeps the timeline',
      { replayedTo: READ_AT + 3 * MINUTE },
    ],
    [
      'a standby of a primary put back, whose timeline the role may not read',
      { origin: { ...origin, timeline: null }, replayedTo: READ_AT + 3 * MINUTE },
    ],
    ['a standby in another cluster', { origin: { ...origin, tables: '8: 1, 2' } }],
  ])('is read if it is %s', (_, changes) => {
    expect(isBehind(read, { ...behind, ...changes })).toBe(false);
  });

  test('is not known while a position is not told', () => {
    expect(isBehind(read, { ...behind, position: null })).toBe(false);
    expect(isBehind(emptyState(), behind)).toBe(false);
    const untold = { ...read, lastReading: { at: 0, horizon: '700', from: 0 } };
    expect(isBehind(untold, behind)).toBe(false);
  });

  test('is read once it has come to the last reading', () => {
    expect(isBehind(read, { ...behind, position: '0/50' })).toBe(false);
  });
});
