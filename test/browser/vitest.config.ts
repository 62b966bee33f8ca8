import { defineConfig } from 'vitest/config';

/** Needs a Chromium on the machine ($CHROMIUM, else /usr/bin/chromium), so it is no part of `npm test`. */
export default defineConfig({
  test: {
    include: ['test/browser/**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // A small machine can run one browser and one Postgres at a time.
    maxWorkers: 1,
  },
});
