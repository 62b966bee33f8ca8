import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/soak/*.suite.ts'],
    testTimeout: (Number(process.env['SOAK_MINUTES'] ?? 60) + 20) * 60_000,
    hookTimeout: 180_000,
    reporters: ['verbose'],
  },
});
