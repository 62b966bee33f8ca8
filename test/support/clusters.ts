import type { TestProject } from 'vitest/node';
import type { EmbeddedPostgres } from '../../src/demo/embedded-postgres.ts';
import { pino } from 'pino';
import { startPostgres } from '../../src/demo/embedded-postgres.ts';
import { memoryFolder } from './memory-folder.ts';

/** The parts of a Postgres that a test needs when it does not stop the server. */
export type Cluster = Pick<EmbeddedPostgres, 'host' | 'port' | 'password' | 'url'>;

declare module 'vitest' {
  interface ProvidedContext {
    readonly clusters: readonly Cluster[];
  }
}

/**
 * One Postgres for each worker, made before the first test. A test file has the server to itself, and the next file
 * of the worker finds it warm. With one server for all, a transaction of one file would stand in the snapshots of
 * another.
 */
export default async function startClusters(project: TestProject): Promise<() => Promise<void>> {
  const servers = await Promise.all(
    // A vacuum at an unknown moment would move rows that a test counts.
    Array.from({ length: project.vitest.config.maxWorkers }, () =>
      startPostgres({
        dir: memoryFolder(),
        port: null,
        settings: { autovacuum: 'off' },
        log: pino({ level: 'silent' }),
      }),
    ),
  );
  project.provide(
    'clusters',
    servers.map(({ host, port, password, url }) => ({ host, port, password, url })),
  );
  return async () => {
    await Promise.all(servers.map((server) => server.stop()));
  };
}
