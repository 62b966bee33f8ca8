import { defineConfig } from 'vitest/config';

/** `npm run test:grafana`: needs a Prometheus in PATH and half an hour, so it is no part of `npm test`. */
export default defineConfig({
  test: {
    include: ['test/grafana/*.live.ts'],
    testTimeout: 3_600_000,
    hookTimeout: 600_000,
    disableConsoleIntercept: true,
  },
});
