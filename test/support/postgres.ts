import { pino } from 'pino';
import { afterAll, beforeAll, inject } from 'vitest';
import { startPostgres as startServer } from '../../src/demo/embedded-postgres.ts';
import type { EmbeddedPostgres, EmbeddedPostgresOptions } from '../../src/demo/embedded-postgres.ts';
import type { Cluster } from './clusters.ts';
import { memoryFolder } from './memory-folder.ts';

/** A server like the demo's, except for the given options. */
export function startPostgres(options: Partial<EmbeddedPostgresOptions> = {}): Promise<EmbeddedPostgres> {
  return startServer({
    dir: memoryFolder(),
    port: null,
    settings: {},
    log: pino({ level: 'silent' }),
    ...options,
  });
}

/** The server of this worker: for tests that neither stop it nor change anything outside of their databases. */
export function usePostgres(): () => Cluster {
  return () => {
    const cluster = inject('clusters')[Number(process.env['VITEST_POOL_ID']) - 1];
    if (cluster === undefined) throw new Error('No Postgres was started for this worker');
    return cluster;
  };
}

/** A server of its own for the tests of a file. Call this at the top level; read the server inside a test. */
export function useOwnPostgres(options: Partial<EmbeddedPostgresOptions> = {}): () => EmbeddedPostgres {
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
