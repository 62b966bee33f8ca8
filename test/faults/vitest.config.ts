import { defineConfig } from 'vitest/config';

/** Minutes long, and every fault waits for the one before: not among what `npm test` runs. */
export default defineConfig({
  test: {
    include: ['test/faults/*.suite.ts'],
    testTimeout: 300_000,
    hookTimeout: 120_000,
    fileParallelism: false,
    reporters: ['verbose'],
  },
});
