import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

// Whoever has the account of an action can move its tags, and the release workflow has the right to publish.
test('every action of the workflows is named by its commit', () => {
  const folder = new URL('../../.github/workflows/', import.meta.url);
  const used = readdirSync(folder).flatMap((file) =>
    [...readFileSync(new URL(file, folder), 'utf8').matchAll(/uses: (.*)/g)].map(([, action = '']) => action),
  );
  expect(used.length).toBeGreaterThan(20);
  expect(used.filter((action) => !/^[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(action))).toEqual([]);
});
