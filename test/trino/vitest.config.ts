import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: { include: ['test/trino/**/*.test.ts'], testTimeout: 600_000, maxWorkers: 1 },
});
