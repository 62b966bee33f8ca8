import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // Each worker has a Postgres of its own: three at once is what a small machine carries.
    maxWorkers: 3,
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
