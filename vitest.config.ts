import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/airflow/**', 'test/browser/**', 'test/bench/**', 'test/database/**', 'node_modules/**'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // Each worker starts its own Postgres: three at once is what a small machine carries.
    maxWorkers: 3,
    // Real servers under real faults on a shared machine: CI tries once more, and its report names what needed it.
    retry: process.env['CI'] === undefined ? 0 : 1,
  },
});
