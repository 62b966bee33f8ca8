import { defineConfig } from 'vitest/config';

declare module 'vitest' {
  interface ProvidedContext {
    cases: readonly (readonly [release: string, mix: 'small' | 'references' | 'oversize'])[];
    cycles: number;
    base: string;
    windowRows: number;
    writeMemory: boolean;
  }
}

// The value of an option behind `--` on the command line, as in `--cases 3.4.0b2:references --cycles 3`.
const given = (name: string) =>
  process.argv.includes(name) ? (process.argv[process.argv.lastIndexOf(name) + 1] ?? '') : null;
const releases = ['2.11.2', '3.3.2', '3.4.0b2'];
const mixes = ['small', 'references', 'oversize'];
const cases =
  given('--cases')?.split(',') ?? releases.flatMap((release) => mixes.map((mix) => `${release}:${mix}`));

export default defineConfig({
  test: {
    include: ['test/bench/memory.test.ts'],
    testTimeout: 3_600_000,
    hookTimeout: 300_000,
    maxWorkers: 1,
    provide: {
      cases: cases.map((one) => one.split(':') as [string, 'small']),
      cycles: Number(given('--cycles') ?? '3'),
      // A clone of another build, with its `dist`, to be measured beside this one.
      base: given('--base') ?? '',
      windowRows: Number(given('--rows') ?? '1000000'),
      // A run with `--rows` or `--cycles` is a trial and writes no table. A run with `--cases` does write one, which
      // names its cases.
      writeMemory: given('--base') !== null && given('--cycles') === null && given('--rows') === null,
    },
  },
});
