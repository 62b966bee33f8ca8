import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = new URL('../../src/', import.meta.url).pathname;
const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));

/** What a file imports at run time, of this project; types leave no trace. */
function imports(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8');
  return [...text.matchAll(/^(?:import|export) (?!type )[^;]*?from '(\.[^']+)';/gms)]
    .map(([, path = '']) => normalize(join(dirname(file), path)))
    .filter((path) => files.includes(path));
}

describe('the structure of src', () => {
  test('has no import cycles at run time', () => {
    const done = new Set<string>();
    const cycles: string[] = [];
    function visit(file: string, path: readonly string[]): void {
      if (path.includes(file)) cycles.push([...path.slice(path.indexOf(file)), file].join(' -> '));
      if (done.has(file) || path.includes(file)) return;
      for (const next of imports(file)) visit(next, [...path, file]);
      done.add(file);
    }
    for (const file of files) visit(file, []);
    expect(files.length).toBeGreaterThan(50);
    expect(cycles).toEqual([]);
  });

  test('knows no domain in lib', () => {
    for (const file of files.filter((one) => one.startsWith('lib/')))
      expect(imports(file).filter((path) => !path.startsWith('lib/'))).toEqual([]);
  });

  test('keeps the room that knows Airflow free of clients and of what comes after it', () => {
    for (const file of files.filter((one) => one.startsWith('airflow/')))
      expect(imports(file).filter((path) => !/^(airflow|lib)\//.test(path))).toEqual([]);
  });
});
