import { expect, test, vi } from 'vitest';
import { probe } from '../../../src/probe/bucket.ts';
import type { ObjectStore } from '../../../src/s3/client.ts';
import { unknown } from '../../../src/s3/failure.ts';

test('the wait for a turn behind requests of our own is no latency of the storage', async () => {
  let now = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now);
  /** Waits four seconds for its turn and a tenth of a second for the answer. */
  const answer = ({ onSent }: { readonly onSent?: () => void }) => {
    now += 4_000;
    onSent?.();
    now += 100;
    return Promise.resolve(unknown('denied', 'AccessDenied (403)', 's3'));
  };
  const store = { put: answer, head: answer, list: answer, delete: answer } as unknown as ObjectStore;
  const target = { bucket: 'b', prefix: '', write: true, now: 0, id: 'a' };
  const { steps } = await probe(store, target, new AbortController().signal);
  clock.mockRestore();
  const taken = steps.map((step) => (step.ok === null ? null : step.seconds));
  expect(taken).toEqual([0.1, 0.1, null, 0.1, null]);
});
