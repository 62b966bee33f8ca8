import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, test } from 'vitest';

/** From the ground up: a folder imports from itself and from those named, types included. */
const MAY: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  postgres: ['lib'],
  s3: ['lib'],
  airflow: ['lib', 'postgres', 's3'],
  settings: ['lib', 'postgres', 's3', 'airflow'],
  window: ['lib', 'airflow'],
  sample: ['lib', 'postgres', 'airflow', 'settings', 'window'],
  canary: ['lib', 'airflow', 'settings', 'window'],
  probe: ['lib', 'postgres', 's3', 'airflow', 'settings'],
  objects: ['lib', 'postgres', 's3', 'airflow', 'settings', 'window', 'sample'],
  diagnosis: ['lib', 's3', 'airflow', 'settings', 'window', 'canary', 'probe'],
  state: ['lib', 'airflow', 'settings', 'window', 'diagnosis'],
  status: ['lib', 's3', 'settings', 'window', 'probe', 'diagnosis'],
  metrics: ['lib', 'postgres', 's3', 'settings', 'window', 'canary', 'probe', 'diagnosis', 'state', 'status'],
  http: ['lib', 'settings', 'window', 'diagnosis', 'status', 'metrics'],
  daemon: [
    'lib',
    'postgres',
    's3',
    'airflow',
    'settings',
    'window',
    'sample',
    'canary',
    'probe',
    'objects',
    'diagnosis',
    'state',
    'status',
    'metrics',
    'http',
  ],
  demo: ['lib', 'postgres', 's3', 'diagnosis'],
  commands: [
    'lib',
    'postgres',
    's3',
    'airflow',
    'settings',
    'canary',
    'probe',
    'diagnosis',
    'state',
    'status',
    'http',
    'daemon',
    'demo',
  ],
  'main.ts': ['lib', 'settings', 'commands'],
};
const MOST_LINES = 300;
/** The index of rows is to leave it. */
const LONGER: readonly string[] = ['window/row-store.ts'];
const MEDIAN_LINES = 110;

const root = new URL('../../src/', import.meta.url).pathname;
const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
const roomOf = (file: string): string => file.split('/')[0] ?? '';

/** The files of this project that a file imports, types and `import()` included. */
function imports(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8');
  return [...text.matchAll(/(?:\bfrom\s+|\bimport\s*\(?\s*)'(\.[^']+)'/g)].map(([, path = '']) =>
    normalize(join(dirname(file), path)),
  );
}

describe('the house', () => {
  test('has the rooms of the table, and each imports only from those below it', () => {
    expect([...new Set(files.map(roomOf))].sort()).toEqual(Object.keys(MAY).sort());
    const wrong = files.flatMap((file) =>
      imports(file)
        .filter((path) => roomOf(path) !== roomOf(file) && MAY[roomOf(file)]?.includes(roomOf(path)) !== true)
        .map((path) => `${file} -> ${path}`),
    );
    expect(wrong).toEqual([]);
  });

  test('has no circle of imports, types counted', () => {
    const done = new Set<string>();
    const circles: string[] = [];
    function visit(file: string, path: readonly string[]): void {
      if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(' -> '));
      if (done.has(file) || path.includes(file)) return;
      for (const next of imports(file)) visit(next, [...path, file]);
      done.add(file);
    }
    for (const file of files) visit(file, []);
    expect(circles).toEqual([]);
  });

  test('finds every import that it judges', () => {
    expect(files.length).toBeGreaterThan(100);
    expect(files.flatMap(imports).filter((path) => !files.includes(path))).toEqual([]);
    expect(imports('main.ts')).not.toEqual([]);
  });

  test('has short files', () => {
    const lines = files.map(
      (file) => [file, readFileSync(join(root, file), 'utf8').split('\n').length - 1] as const,
    );
    expect(lines.filter(([file, count]) => count > MOST_LINES && !LONGER.includes(file))).toEqual([]);
    const sorted = lines.map(([, count]) => count).sort((a, b) => a - b);
    expect(sorted[sorted.length >> 1]).toBeLessThanOrEqual(MEDIAN_LINES);
  });
});
