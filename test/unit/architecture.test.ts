import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, test } from 'vitest';
import { KEPT_COLUMNS } from '../../src/window/columns.ts';

/** The folders from the bottom up: each may import from itself and from those named, types included. */
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
  status: ['lib', 's3', 'settings', 'window', 'canary', 'probe', 'diagnosis'],
  metrics: ['lib', 'postgres', 's3', 'settings', 'window', 'canary', 'probe', 'diagnosis', 'state', 'status'],
  http: ['lib', 'settings', 'window', 'canary', 'diagnosis', 'status', 'metrics'],
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
  audit: ['lib', 'postgres', 's3', 'airflow', 'settings'],
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
    'audit',
    'demo',
  ],
  'main.ts': ['lib', 'settings', 'commands'],
};
const MOST_LINES = 300;
const MEDIAN_LINES = 110;

const root = new URL('../../src/', import.meta.url).pathname;
const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
const roomOf = (file: string): string => file.split('/')[0] ?? '';

/** The files of this project that a file imports, including types and `import()`. */
function imports(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8');
  return [...text.matchAll(/(?:\bfrom\s+|\bimport\s*\(?\s*)'(\.[^']+)'/g)].map(([, path = '']) =>
    normalize(join(dirname(file), path)),
  );
}

const COLUMN = KEPT_COLUMNS.join('|');
const ASSIGNS = String.raw`(?:\+\+|--|(?:\*\*|<<|>>>?|&&|\|\||\?\?|[-+*/%&|^])?=(?![=>]))`;
const COLUMN_USES = [
  // A value is assigned to an item of a column, or to the whole column.
  String.raw`\b(?:${COLUMN})(?:\?\.)?\[[^\n]*?\]\s*${ASSIGNS}`,
  String.raw`\b(?:${COLUMN})\??\.(?:set|fill|copyWithin|sort|reverse)\(`,
  // The columns of a chunk are not used at all: row-fields.ts names what they hold.
  String.raw`\bchunk\.(?:next|${COLUMN})\b`,
  String.raw`\bchunk\[`,
  String.raw`\bchunkOf\([^\n]*?\)\.(?:next|${COLUMN})\b`,
  String.raw`\{[^{}]*\b(?:${COLUMN})\b[^{}]*\}\s*(?:=|of)\s*(?:\w+\.)*chunks?\b`,
  // Flags are put together only in order to be written.
  String.raw`\bis\.(?:with\w+|\w+Bits?)\b`,
].map((pattern) => new RegExp(pattern, 'g'));

/** The places in a text that write a column of the window, or that read one without its name. */
function columnWrites(text: string): string[] {
  return COLUMN_USES.flatMap((pattern) => [...text.matchAll(pattern)].map(([found]) => found));
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

  test('reads the columns of the window by name, and writes them in window/ alone', () => {
    for (const file of ['window/row-store.ts', 'window/staging.ts', 'window/increments.ts'])
      expect(columnWrites(readFileSync(join(root, file), 'utf8')), file).not.toEqual([]);
    const wrong = files
      .filter((file) => roomOf(file) !== 'window')
      .flatMap((file) =>
        columnWrites(readFileSync(join(root, file), 'utf8')).map((text) => `${file}: ${text}`),
      );
    expect(wrong).toEqual([]);
  });

  test.each([
    'chunk.flags[at] = 1',
    'rows.chunkOf(slot).flags[indexInChunk(slot)] |= is.SEEN',
    'there.size[at] ??= 7',
    'flags[at] &= ~is.SEEN',
    'chunk.version[at]++',
    'chunk.leaf = null',
    'chunk[column] = words',
    'chunk.taskInstance?.set(words)',
    'size.fill(0)',
    'const flags = is.withUnchecked(before, reason)',
    'is.saidBit(reason)',
    'const size = chunk.size[at] ?? 0',
    'const { flags, base } = chunk',
  ])('finds %s', (text) => {
    expect(columnWrites(text)).not.toEqual([]);
  });

  test.each([
    'const flags = flagsAt(chunk, index)',
    'for (const chunk of rows.chunks) first = chunk.first',
    'if (sizes[at] === size || flags[at] >= 2) return',
    'const sizes = size.map((one) => one)',
  ])('lets %s pass', (text) => {
    expect(columnWrites(text)).toEqual([]);
  });

  test('has short files', () => {
    const lines = files.map(
      (file) => [file, readFileSync(join(root, file), 'utf8').split('\n').length - 1] as const,
    );
    expect(lines.filter(([, count]) => count > MOST_LINES)).toEqual([]);
    const sorted = lines.map(([, count]) => count).sort((a, b) => a - b);
    expect(sorted[sorted.length >> 1]).toBeLessThanOrEqual(MEDIAN_LINES);
  });
});
