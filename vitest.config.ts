import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // Each worker imports everything for itself and has a Postgres of its own: more of them cost more of a small machine.
    maxWorkers: 2,
    // What a test makes is mostly gone a moment later: with room for it, little of it is copied from one space to the next.
    execArgv: ['--max-semi-space-size=64', '--min-semi-space-size=32'],
    // Real servers under real faults on a shared machine: CI tries once more, and its report names what needed it.
    retry: process.env['CI'] === undefined ? 0 : 1,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts', 'test/charts/**/*.test.ts', 'test/supply-chain/**/*.test.ts'],
          // Nothing here keeps anything from one test to the next, so what is imported is imported once.
          isolate: false,
        },
      },
      {
        extends: true,
        test: {
          name: 'servers',
          include: ['test/integration/**/*.test.ts', 'test/cli/**/*.test.ts'],
          // The SDK and the servers are large: each worker imports them once.
          isolate: false,
          globalSetup: ['test/support/clusters.ts'],
        },
      },
    ],
  },
});
