import { defineConfig } from 'vitest/config';

declare module 'vitest' {
  interface ProvidedContext {
    rows: readonly number[];
    releases: readonly string[];
    /** A clone of another build, measured before this one; empty if none. */
    base: string;
    write: boolean;
  }
}

// The value of an option behind `--` on the command line, as in `--rows 50000000`.
const given = (name: string) =>
  process.argv.includes(name) ? (process.argv[process.argv.lastIndexOf(name) + 1] ?? '') : '';
const list = (name: string) => (given(name) === '' ? null : given(name).split(','));
const rows = list('--rows')?.map(Number) ?? [1_000_000, 10_000_000];
const releases = list('--releases') ?? ['2.11.2', '3.3.2', '3.4.0b2'];

export default defineConfig({
  test: {
    include: ['test/bench/database.test.ts'],
    testTimeout: 7_200_000,
    hookTimeout: 300_000,
    provide: {
      rows,
      releases,
      base: given('--base'),
      // A run without a base or with one size alone is a trial, whose figures do not replace those in the repository.
      write: rows.length > 1 && given('--base') !== '',
    },
  },
});
