import { expect, test } from 'vitest';
import { createDigest } from '../../../src/settings/digest.ts';

interface Seen {
  readonly argv?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, string>>;
  readonly reads?: readonly string[];
}

function digestOf({ argv = [], env = {}, files = {}, reads = [] }: Seen): string {
  const { readFile, digest } = createDigest({
    argv,
    env,
    readFile: (path) => {
      const content = files[path];
      if (content === undefined) throw new Error('ENOENT');
      return content;
    },
  });
  for (const path of reads) readFile(path);
  return digest();
}

const keys = '/home/x/.aws/credentials';
const some: Seen = { argv: ['--window', '1h'], env: { A: '1', B: '2' }, files: { f: 'old' }, reads: ['f'] };

test('is the same for the same, in whatever order it comes', () => {
  expect(digestOf(some)).toBe(digestOf({ ...some, env: { B: '2', A: '1' } }));
  expect(digestOf({ ...some, files: { f: 'old', unread: 'x' } })).toBe(digestOf(some));
});

test.each<[string, Seen]>([
  ['a flag', { ...some, argv: ['--window', '2h'] }],
  ['a variable', { ...some, env: { A: '1', B: '3' } }],
  ['what a file holds', { ...some, files: { f: 'new' } }],
  [
    'the keys that only the SDK reads',
    { ...some, env: { A: '1', B: '2', HOME: '/home/x' }, files: { f: 'old', [keys]: 'k' } },
  ],
])('is another when %s is another', (_, other) => {
  expect(digestOf(other)).not.toBe(digestOf(some));
});

test('tells nothing of a secret', () => {
  const digest = digestOf({ env: { AIRFLOW_CONN_X: 'aws://key:hunter2@' } });
  expect(digest).toMatch(/^[0-9a-f]{64}$/);
});
