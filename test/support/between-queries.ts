import type { Database, Query } from '../../src/postgres/client.ts';

/** The database with a test between it and its reader: `around` gets each query and gives the one to use instead. */
export function betweenQueries(
  database: Pick<Database, 'read'>,
  around: (query: Query) => Query,
): Pick<Database, 'read'> {
  return { read: (read, signal) => database.read((query) => read(around(query)), signal) };
}
