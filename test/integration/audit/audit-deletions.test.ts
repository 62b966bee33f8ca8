import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Duck } from '../../../src/audit/duck.ts';
import { openDuck } from '../../../src/audit/duck.ts';
import { writeResults } from '../../../src/audit/results.ts';

const folder = mkdtempSync(join(tmpdir(), 'audit-deletions-'));
let duck: Duck;

beforeAll(async () => {
  duck = await openDuck({
    file: join(folder, 'audit.duckdb'),
    temporary: join(folder, 'spill'),
    memoryBytes: 2 ** 29,
  });
});
afterAll(async () => {
  await duck.close();
  rmSync(folder, { recursive: true, force: true });
});

test('each key that may be deleted is in one request, of 1,000 keys but for the last', async () => {
  // A bucket may have any name; a key any character.
  const odd = ['a\nb', '"quoted"\\', '\ufeffmark', 'ключ/😀', 'a\r\u0001\u0085b', "it's"];
  const many = Array.from({ length: 2_500 }, (_, number) => `dag/run/task/${number}`);
  const keys = { lines: [...odd, ...many], 'other.keys': ['one'] };
  const locations = Object.entries(keys).flatMap(([bucket, some]) => some.map((key) => `${bucket}/${key}`));
  const held = many.slice(0, 100).map((key) => `lines/held/${key}`);
  await duck.run(
    'CREATE TABLE orphans (location VARCHAR, bytes DOUBLE, at_ms DOUBLE, class VARCHAR, dag VARCHAR, held VARCHAR)',
  );
  await duck.run('CREATE TABLE absent (location VARCHAR, source VARCHAR, at_ms DOUBLE, verdict VARCHAR)');
  await duck.run(
    'CREATE TABLE unreadable (location VARCHAR, source VARCHAR, at_ms DOUBLE, class VARCHAR, bytes DOUBLE, verdict VARCHAR)',
  );
  const all = [...locations, ...held];
  await duck.append({
    table: 'orphans',
    types: ['text', 'number', 'number', 'text', 'text', 'text'],
    columns: [
      all,
      all.map(() => 1),
      all.map(() => 0),
      all.map(() => 'STANDARD'),
      all.map(() => 'dag'),
      all.map((location) => (held.includes(location) ? 'younger than asked for' : '')),
    ],
    progress: [],
  });

  // The name of the folder is no pattern, and no column of the files in it.
  const out = join(folder, 'bucket=audits', 'a*');
  const matching = join(folder, 'bucket=audits', 'another', 'audit.unfinished');
  for (const path of [out, matching]) mkdirSync(path, { recursive: true });
  writeFileSync(join(matching, 'orphaned.parquet'), 'of somebody else');
  await writeResults({ duck, folder: join(out, 'audit'), documents: {} });

  const written = Object.fromEntries(
    Object.keys(keys).map((bucket) => {
      const beneath = join(out, 'audit', 'delete-objects', bucket);
      const requests = readdirSync(beneath).map((name) => {
        const text = readFileSync(join(beneath, name), 'utf8');
        const body = JSON.parse(text) as { Objects: { Key: string }[] };
        expect(text).toBe(`${JSON.stringify({ Objects: body.Objects, Quiet: true })}\n`);
        return body.Objects.map(({ Key }) => Key);
      });
      return [bucket, requests];
    }),
  );
  expect(written['lines']?.map(({ length }) => length)).toEqual([1_000, 1_000, 506]);
  for (const [bucket, expected] of Object.entries(keys))
    expect(written[bucket]?.flat().sort()).toEqual([...expected].sort());
  const csv = readFileSync(join(out, 'audit', 'orphaned.csv'), 'utf8');
  expect(csv).toContain('other.keys,one,');
  expect(readdirSync(join(out, 'audit')).sort()).toEqual([
    'delete-objects',
    ...['missing', 'orphaned', 'unreadable'].flatMap((name) => [`${name}.csv`, `${name}.parquet`]),
  ]);
});
