import { expect, test } from 'vitest';
import { createBucketLooks } from '../../../src/s3/bucket-looks.ts';
import { unknown } from '../../../src/s3/failure.ts';
import type { Unknown } from '../../../src/s3/failure.ts';

const DENIED = unknown('denied', 'AccessDenied (403)', 's3');
const THROTTLED = unknown('throttled', 'SlowDown (503)', 's3');
const { signal } = new AbortController();

/** A bucket that lists what `answerTo` allows, a turn after it was asked. */
function bucketWhere(answerTo: (prefix: string) => Unknown | null) {
  const listed: string[] = [];
  const looks = createBucketLooks(async (_, { prefix }) => {
    listed.push(prefix);
    await Promise.resolve();
    return answerTo(prefix);
  });
  const lookFor = (key: string, prefix?: string) =>
    looks.lookFor(
      { bucket: 'xcom', key, ...(prefix !== undefined && { prefix }) },
      { sentAt: performance.now(), signal },
    );
  return { listed, looks, lookFor };
}

const ofPii = (answer: Unknown) => bucketWhere((prefix) => (prefix.startsWith('pii/') ? answer : null));
const keysOf = (path: string) => Array.from({ length: 20 }, (_, at) => `${path}/dag/run${at}/task/a`);

test('a refusal of one path is no word about another', async () => {
  const { lookFor, listed } = ofPii(DENIED);
  expect(await lookFor('pii/dag/run/task/a', 'pii')).toEqual(DENIED);
  expect(await lookFor('open/dag/run/task/a', 'open')).toBeNull();
  expect(await lookFor('pii/dag/other/task/a', 'pii')).toEqual(DENIED);
  expect(listed).toEqual(['pii/dag/run/task/', 'open/dag/run/task/']);
});

test('those that are asked about together cost a look for each path that is refused, and one more', async () => {
  const { lookFor, listed } = ofPii(DENIED);
  const [refused, allowed] = await Promise.all([
    Promise.all(keysOf('pii').map((key) => lookFor(key, 'pii'))),
    Promise.all(keysOf('open').map((key) => lookFor(key, 'open'))),
  ]);
  expect(new Set(refused)).toEqual(new Set([DENIED]));
  expect(new Set(allowed)).toEqual(new Set([null]));
  expect(listed).toEqual(['pii/dag/run0/task/', 'open/dag/run0/task/']);
});

test('the path of a key that nobody names is its folder', async () => {
  const { lookFor, listed } = bucketWhere(() => DENIED);
  for (const key of ['a/b/1', 'a/b/2', 'a/c/1']) expect(await lookFor(key)).toEqual(DENIED);
  expect(listed).toEqual(['a/b/', 'a/c/']);
});

test('another failure counts for the whole bucket', async () => {
  const { lookFor, listed } = ofPii(THROTTLED);
  expect(await lookFor('pii/dag/run/task/a', 'pii')).toEqual(THROTTLED);
  expect(await lookFor('open/dag/run/task/a', 'open')).toEqual(THROTTLED);
  expect(listed).toHaveLength(1);
});

test('a bucket that has answered since exists, for a path that is refused as well', async () => {
  const { looks, lookFor, listed } = ofPii(DENIED);
  const sentAt = performance.now();
  await lookFor('pii/dag/run/task/a', 'pii');
  looks.seen('xcom');
  expect(
    await looks.lookFor({ bucket: 'xcom', key: 'pii/dag/run/task/b', prefix: 'pii' }, { sentAt, signal }),
  ).toBeNull();
  expect(listed).toHaveLength(1);
});
