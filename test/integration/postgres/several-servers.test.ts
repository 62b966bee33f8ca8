import { createServer } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { openDatabase } from '../../../src/postgres/client.ts';
import { databaseSettings, parseDatabaseUrl } from '../../../src/postgres/database-url.ts';
import { usePostgres } from '../../support/postgres.ts';

const postgres = usePostgres();
const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
});

/** A port on which nothing listens. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

function ask(url: string): Promise<{ one: number }[]> {
  const database = openDatabase(databaseSettings(parseDatabaseUrl(url)), { lock: null, tables: [] });
  open.push(database);
  return database.read(
    (query) => query<{ one: number }>({ name: 'one', text: 'SELECT 1 AS one', values: [] }),
    new AbortController().signal,
  );
}

/** A URL with these places as host and port, and with the user and password of the server. */
function urlWith(places: string, { query = '', password = postgres().password } = {}): string {
  return `postgresql://postgres:${encodeURIComponent(password)}@${places}/postgres?sslmode=prefer${query}`;
}

describe('of several servers', () => {
  test('the first that answers is read', async () => {
    const { host, port } = postgres();
    const closed = await closedPort();
    expect(await ask(urlWith(`${host}:${closed},${host}:${port}`))).toEqual([{ one: 1 }]);
    expect(await ask(urlWith('', { query: `&host=${host}:${closed}&host=${host}:${port}` }))).toEqual([
      { one: 1 },
    ]);
  });

  test.each(['read-write', 'primary', 'prefer-standby', 'any'])(
    'a primary will do for %s',
    async (attributes) => {
      const { host, port } = postgres();
      const query = `&target_session_attrs=${attributes}`;
      expect(await ask(urlWith(`${host}:${port}`, { query }))).toEqual([{ one: 1 }]);
    },
  );

  test('a primary is no standby, and that is said rather than that another is away', async () => {
    const { host, port } = postgres();
    const places = `${host}:${await closedPort()},${host}:${port}`;
    await expect(ask(urlWith(places, { query: '&target_session_attrs=standby' }))).rejects.toThrow(
      /target_session_attrs asks for a standby, and no server that answers is one/,
    );
  });

  test('all are named when none answers, and who is refused by one is not taken to the next', async () => {
    const { host, port } = postgres();
    const closed = await closedPort();
    await expect(ask(urlWith(`${host}:${closed},localhost:${closed}`))).rejects.toThrow(
      `the database at ${host}, port ${closed} or localhost, port ${closed}: nothing listens there`,
    );
    await expect(ask(urlWith(`${host}:${port},${host}:${closed}`, { password: 'wrong' }))).rejects.toThrow(
      /password of the role is not accepted/,
    );
  });
});
