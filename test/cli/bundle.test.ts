import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const dist = new URL('../../dist/', import.meta.url);
const read = (file: string) => readFileSync(new URL(file, dist), 'utf8');

test('the bundle comes with source maps and the licence of every package that it holds', () => {
  const maps = readdirSync(dist).filter((file) => file.endsWith('.map'));
  const sources = maps.flatMap((file) => (JSON.parse(read(file)) as { sources: string[] }).sources);
  expect(sources.some((source) => source.endsWith('src/main.ts'))).toBe(true);

  const held = new Set(
    sources.flatMap((source) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(source)?.[1] ?? []),
  );
  expect([...held]).toEqual(
    expect.arrayContaining(['@aws-sdk/client-s3', 'express', 'node-cron', 'pg', 'pino', 'prom-client']),
  );
  const named = new Set(
    Array.from(read('third-party-licences.txt').matchAll(/^Name: (.+)$/gm), ([, name]) => name),
  );
  expect([...held].filter((name) => !named.has(name))).toEqual([]);
});
