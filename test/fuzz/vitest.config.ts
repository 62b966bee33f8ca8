import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/fuzz/*.fuzz.ts'],
    testTimeout: (Number(process.env['FUZZ_MINUTES'] ?? 1) + 3) * 60_000,
    hookTimeout: 120_000,
    reporters: ['verbose'],
    // One after another: each has the whole time, and a share of it would depend on the machine.
    fileParallelism: false,
  },
});
