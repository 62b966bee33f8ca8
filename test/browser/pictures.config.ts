import { defineConfig } from 'vitest/config';

/** `npm run pictures`: writes the pictures of the status page that docs/pictures.md shows. */
export default defineConfig({
  test: {
    include: ['test/browser/pictures.live.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    maxWorkers: 1,
  },
});
