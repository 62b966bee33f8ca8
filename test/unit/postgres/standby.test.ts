import { describe, expect, test } from 'vitest';
import type { Database, Query } from '../../../src/postgres/client.ts';
import { databaseError } from '../../../src/postgres/failure.ts';
import type { Look } from '../../../src/postgres/standby.ts';
import { ageOf, doubtOfAge, knownUpTo, readUpTo, worseAge } from '../../../src/postgres/standby.ts';

const HOUR = 3_600_000;
const NOW = 1_800_000_000_000;

/** The primary has been idle for an hour, and the standby has everything and heard so this moment. */
const IDLE: Look = {
  now: NOW,
  isThrough: true,
  heardAt: NOW,
  position: '0/3000060',
  replayedTo: NOW - HOUR,
  isPaused: false,
};
const later = (changes: Partial<Look> = {}): Look => ({
  ...IDLE,
  now: NOW + 250,
  heardAt: NOW + 250,
  ...changes,
});

describe('up to when a standby has all', () => {
  test.each<[string, Look, Look, number | null]>([
    ['of an idle primary: until just now', IDLE, later(), NOW],
    ['whose primary is silent: until it was heard', IDLE, later({ heardAt: NOW - 30_000 }), NOW - 30_000],
    [
      'whose primary fell silent after a transaction: that one',
      IDLE,
      later({ heardAt: NOW - 30_000, replayedTo: NOW - 20_000 }),
      NOW - 20_000,
    ],
    ['whose receiver waits for ever: its last transaction', IDLE, later({ heardAt: null }), NOW - HOUR],
    [
      'that has heard of its primary but replayed no transaction since it started: until it was heard',
      IDLE,
      later({ replayedTo: null }),
      NOW,
    ],
    ['paused before anything came in: until just now', IDLE, later({ isPaused: true }), NOW],
    [
      'of a busy primary: its last transaction',
      IDLE,
      later({ position: '0/3000090', replayedTo: NOW + 200 }),
      NOW + 200,
    ],
    [
      'catching up as fast as the network lets it: its last transaction',
      IDLE,
      later({ position: '0/3900000', replayedTo: NOW - HOUR + 9_000 }),
      NOW - HOUR + 9_000,
    ],
    ['with more to replay: its last transaction', IDLE, later({ isThrough: false }), NOW - HOUR],
    ['whose receiver came back just now', later({ now: NOW, isThrough: false }), later(), NOW - HOUR],
    [
      'without a receiver that has replayed no transaction since it started',
      { ...IDLE, isThrough: false, replayedTo: null },
      later({ isThrough: false, replayedTo: null }),
      null,
    ],
  ])('%s', (_, before, after, expected) => {
    expect(knownUpTo(before, after)).toBe(expected);
  });
});

test.each<[number | null, boolean, string | null]>([
  [0, false, null],
  [60, false, null],
  [60.2, false, 'the standby is 61 s behind'],
  [0.2, true, 'the standby is 1 s behind, its replay is paused'],
  [null, false, 'the standby does not say how far it is behind'],
])('%s s behind, paused: %s', (lagSeconds, isPaused, doubt) => {
  expect(doubtOfAge({ lagSeconds, isPaused })).toBe(doubt);
});

describe('a server that lacks the functions for positions, as Aurora does', () => {
  const signal = new AbortController().signal;

  /** A database whose server notes each of its errors in its log. `code`: the SQLSTATE of these errors. */
  function refusing(code: string) {
    const server = { isStandby: false, server: '' };
    const log: string[] = [];
    function answer(name: string): unknown[] {
      if (name === 'role') return [{ now: NOW, mayAskWritten: true, ...server }];
      if (name !== 'written' && name !== 'replay') return [];
      log.push(name);
      const error = Object.assign(new Error('is currently not supported for Aurora'), { code });
      throw databaseError(error, { signal, tables: [] });
    }
    const query: Query = <Row>({ name }: { readonly name: string }) =>
      new Promise<Row[]>((resolve) => {
        resolve(answer(name) as Row[]);
      });
    const database: Pick<Database, 'read'> = { read: (read) => read(query) };
    return { server, log, database };
  }

  async function cycle(database: Pick<Database, 'read'>): Promise<void> {
    const age = await ageOf(database, { patienceMs: 0, signal });
    await readUpTo(database, { age, patienceMs: 0, signal }, () => Promise.resolve());
  }

  test.each<['written' | 'replay', boolean]>([
    ['written', false],
    ['replay', true],
  ])('is asked once for what is %s, until another server is there', async (name, isStandby) => {
    const { server, log, database } = refusing('0A000');
    Object.assign(server, { isStandby, server: `first, ${name}` });
    await cycle(database);
    await cycle(database);
    expect(log).toEqual([name]);
    server.server = `restarted, ${name}`;
    await cycle(database);
    expect(log).toEqual([name, name]);
  });

  test('is told from one that had another fault, which may pass', async () => {
    const { server, log, database } = refusing('53200');
    server.server = 'without memory';
    await cycle(database);
    expect(log).toEqual(['written', 'written']);
  });
});

test.each([
  [0, 20, 20],
  [20, 0, 20],
  [0, null, null],
  [null, 0, null],
])('of rows that were %s s and then %s s behind, the age is %s s', (first, second, lagSeconds) => {
  const age = { asOf: 0, isPaused: false, position: null };
  const worse = worseAge({ ...age, lagSeconds: first }, { ...age, lagSeconds: second });
  expect(worse.lagSeconds).toBe(lagSeconds);
});
