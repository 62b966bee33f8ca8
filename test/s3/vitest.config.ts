import { defineConfig } from 'vitest/config';

/** The suite takes minutes and installs servers: it is no part of `npm test`. */
export default defineConfig({
  test: {
    include: ['test/s3/servers.suite.ts'],
    testTimeout: 300_000,
    // The first run installs the servers; Go compiles one of them.
    hookTimeout: 1_200_000,
    fileParallelism: false,
    reporters: ['verbose'],
  },
});
