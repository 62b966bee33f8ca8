import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/fuzz/*.fuzz.ts'],
    testTimeout: (Number(process.env['FUZZ_MINUTES'] ?? 1) + 3) * 60_000,
    hookTimeout: 120_000,
    reporters: ['verbose'],
    // The files run one after another, so that each has the whole machine for its time.
    fileParallelism: false,
  },
});
