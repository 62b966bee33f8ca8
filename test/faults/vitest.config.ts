import { defineConfig } from 'vitest/config';

/** The faults take minutes, and each waits for the one before: they are no part of `npm test`. */
export default defineConfig({
  test: {
    include: ['test/faults/*.suite.ts'],
    testTimeout: 300_000,
    hookTimeout: 120_000,
    fileParallelism: false,
    reporters: ['verbose'],
  },
});
