import { expect, test } from 'vitest';
import { reasonFor, StateConflict, StateFileError } from '../../../src/state/failure.ts';

const ofSystem = (code: string) => Object.assign(new Error(code), { code });

test.each([
  ['EACCES', 'denied'],
  ['EPERM', 'denied'],
  ['EROFS', 'denied'],
  // The quota of a user or of a volume.
  ['EDQUOT', 'no_space'],
  ['ENOSPC', 'no_space'],
  ['EIO', 'write_failed'],
])('a state that %s keeps from being written: %s', (code, reason) => {
  expect(reasonFor(ofSystem(code))).toBe(reason);
  expect(reasonFor(new StateFileError('Cannot read', { cause: ofSystem(code) }))).toBe(reason);
});

test('a state that another exporter has written is a conflict', () => {
  expect(reasonFor(new StateConflict('another'))).toBe('conflict');
});
