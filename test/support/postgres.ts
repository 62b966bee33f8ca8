import type { EmbeddedPostgres, EmbeddedPostgresOptions } from '../../src/demo/embedded-postgres.ts';
import { startPostgres } from '../../src/demo/embedded-postgres.ts';
import { afterAll, beforeAll } from 'vitest';

/** One server for the tests of a file. Call it at the top level; read the server inside a test. */
export function usePostgres(options: EmbeddedPostgresOptions = {}): () => EmbeddedPostgres {
  let server: EmbeddedPostgres | null = null;
  beforeAll(async () => {
    server = await startPostgres(options);
  });
  afterAll(async () => {
    await server?.stop();
  });
  return () => {
    if (server === null) throw new Error('The embedded Postgres is used before it has started');
    return server;
  };
}
