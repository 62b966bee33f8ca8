import { expect, test } from 'vitest';
import { gatherUnlooked, inVainWords } from '../../../src/diagnosis/unlooked.ts';
import * as is from '../../../src/window/flags.ts';

test('references beside refused ones wait for no request, and are not said to be refused', () => {
  const gathered = gatherUnlooked();
  for (const reason of ['denied', 'not_asked'] as const) gathered.add(is.withUnchecked(is.S3, reason), 0);
  const unlooked = gathered.tell();
  expect(unlooked.waiting.rows).toBe(0);
  expect(inVainWords(unlooked, 121_000)).toBe(
    'the objects of 2 references are not known: S3 refused to tell; S3 was not asked about all, because it refused others of the same path',
  );
});

test('an unknown connection has a remedy for rows that name none, and for workers without one', () => {
  const gathered = gatherUnlooked();
  gathered.add(is.withUnchecked(is.S3, 'unknown_connection'), 0);
  const words = inVainWords(gathered.tell(), 121_000);
  expect(words).toContain('an empty one, aws://, if the workers use a role');
  expect(words).toContain('name that path in xcom.path too');
});
