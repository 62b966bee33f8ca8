import { defineConfig } from 'vitest/config';

/** Minutes long, and it installs servers: not among what `npm test` runs. */
export default defineConfig({
  test: {
    include: ['test/s3/servers.suite.ts'],
    testTimeout: 300_000,
    // The first run installs; Go compiles a server.
    hookTimeout: 1_200_000,
    fileParallelism: false,
    reporters: ['verbose'],
  },
});
