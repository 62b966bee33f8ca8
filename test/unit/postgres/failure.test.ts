import { expect, test } from 'vitest';
import { databaseError } from '../../../src/postgres/failure.ts';
import type { DatabaseReason } from '../../../src/postgres/failure.ts';

test.each<[string, DatabaseReason]>([
  ['28000', 'denied'],
  ['28P01', 'denied'],
  ['42501', 'denied'],
  ['42703', 'query_failed'],
  ['22003', 'query_failed'],
  ['42883', 'query_failed'],
  // No row of the table names it.
  ['XX000', 'query_failed'],
  ['55P03', 'lock_timeout'],
  ['57014', 'statement_timeout'],
  ['25P04', 'statement_timeout'],
  ['40001', 'conflict'],
  ['40P01', 'conflict'],
  ['57P01', 'shutdown'],
  ['57P02', 'shutdown'],
  ['57P03', 'unreachable'],
  ['53300', 'unreachable'],
  ['3D000', 'unreachable'],
  ['08P01', 'unreachable'],
  ['ECONNREFUSED', 'unreachable'],
])('the code %s of a failed reading means %s', (code, reason) => {
  const error = Object.assign(new Error('(4711, geheim)'), { code });
  const options = { signal: new AbortController().signal, tables: [] };
  const failure = databaseError(error, options);
  expect(failure.reason).toBe(reason);
  expect(failure.message).toContain(code);
  expect(failure.message).not.toContain('geheim');
});
