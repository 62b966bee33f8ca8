import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

function linesOf(file: string): string[] {
  return readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8').split('\n');
}

// `npm ci` does not install Docker, and a file that is left out of the build context makes the image's build fail.
test('what the image is built from is let into its context', () => {
  const [first, ...letIn] = linesOf('.dockerignore').filter((line) => line !== '');
  const copied = linesOf('Dockerfile')
    .filter((line) => line.startsWith('COPY ') && !line.includes('--from='))
    .flatMap((line) => line.split(' ').slice(1, -1));
  expect(first).toBe('*');
  expect(new Set(copied)).toContain('docs/runbook.md');
  expect(copied.filter((file) => !letIn.includes(`!${file}`))).toEqual([]);
});
