import type { EmbeddedPostgres, EmbeddedPostgresOptions } from '../../src/demo/embedded-postgres.ts';
import { startPostgres as startServer } from '../../src/demo/embedded-postgres.ts';
import { tmpdir } from 'node:os';
import { pino } from 'pino';
import { afterAll, beforeAll } from 'vitest';

/** A server that is like the demo's but for what is given. */
export function startPostgres(options: Partial<EmbeddedPostgresOptions> = {}): Promise<EmbeddedPostgres> {
  return startServer({
    dir: tmpdir(),
    port: null,
    settings: {},
    log: pino({ level: 'silent' }),
    ...options,
  });
}

/** One server for the tests of a file. Call it at the top level; read the server inside a test. */
export function usePostgres(options: Partial<EmbeddedPostgresOptions> = {}): () => EmbeddedPostgres {
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
