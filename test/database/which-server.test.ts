import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openDatabase } from '../../src/postgres/client.ts';
import { databaseSettings, parseDatabaseUrl } from '../../src/postgres/database-url.ts';
import { startSystemPostgres } from './servers.ts';
import type { SystemPostgres } from './servers.ts';

interface Session {
  readonly standby: boolean;
  readonly tls: boolean;
  readonly socket: boolean;
  readonly port: string;
}

const QUERY = /* SQL */ `SELECT pg_is_in_recovery() AS standby, inet_client_addr() IS NULL AS socket, current_setting('port') AS port,
  (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()) AS tls`;

let folder = '';
let authority = '';
let primary: SystemPostgres;
let standby: SystemPostgres;
/** A place where nothing listens. */
const NOBODY = '127.0.0.1:1';
const at = ({ host, port }: SystemPostgres) => `${host}:${port}`;

/** Makes a self-signed certificate for localhost, without an address. The account of the servers can read it. */
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'which-server-'));
  authority = join(folder, 'cert.pem');
  const key = join(folder, 'key.pem');
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '30',
      ...subject,
      '-keyout',
      key,
      '-out',
      authority,
    ],
    { stdio: 'ignore' },
  );
  chmodSync(key, 0o600);
  if (process.getuid?.() === 0)
    for (const one of [folder, ...readdirSync(folder).map((name) => join(folder, name))])
      chownSync(one, 65_534, 65_534);
  const tls = { ssl: 'on', ssl_cert_file: authority, ssl_key_file: key };
  primary = await startSystemPostgres({ ...tls, unix_socket_directories: folder });
  standby = await primary.standby();
});
afterAll(async () => {
  await standby.stop();
  await primary.stop();
  rmSync(folder, { recursive: true });
});

async function sessionAt(places: string, query: string): Promise<Session> {
  const url = `postgresql://postgres:none@${places}/postgres?${query}`;
  const database = openDatabase(databaseSettings(parseDatabaseUrl(url)), { lock: null, tables: [] });
  try {
    const [row] = await database.read(
      (ask) => ask<Session>({ name: 'which', text: QUERY, values: [] }),
      new AbortController().signal,
    );
    if (row === undefined) throw new Error('no row');
    return row;
  } finally {
    await database.close();
  }
}

describe('of a primary and its standby', () => {
  test.each([
    ['standby', true],
    ['read-only', true],
    ['prefer-standby', true],
    ['primary', false],
    ['read-write', false],
  ])('%s is chosen, whatever the order and whoever is away', async (attributes, isStandby) => {
    const query = `sslmode=disable&target_session_attrs=${attributes}`;
    for (const places of [`${at(primary)},${at(standby)}`, `${at(standby)},${NOBODY},${at(primary)}`]) {
      const expected = { standby: isStandby, port: String((isStandby ? standby : primary).port) };
      expect(await sessionAt(places, query)).toMatchObject(expected);
    }
  });

  test('the first is taken where any will do, and a primary where no standby answers', async () => {
    expect(await sessionAt(`${at(standby)},${at(primary)}`, 'sslmode=disable')).toMatchObject({
      standby: true,
    });
    const preferred = 'sslmode=disable&target_session_attrs=prefer-standby';
    expect(await sessionAt(`${NOBODY},${at(primary)}`, preferred)).toMatchObject({ standby: false });
  });

  test('a standby that is none of the servers is no reason to read a primary', async () => {
    await expect(sessionAt(at(primary), 'sslmode=disable&target_session_attrs=standby')).rejects.toThrow(
      /asks for a standby, and no server that answers is one/,
    );
    await expect(sessionAt(at(standby), 'sslmode=disable&target_session_attrs=read-write')).rejects.toThrow(
      /asks for a primary, and no server that answers is one/,
    );
  });
});

describe('by a socket', () => {
  test.each(['disable', 'prefer', 'require', 'verify-ca', 'verify-full'])(
    "sslmode %s is nobody's concern, as in libpq",
    async (mode) => {
      const host = encodeURIComponent(folder);
      for (const [places, query] of [
        ['', `host=${host}&port=${primary.port}`],
        [`${host}:${primary.port}`, 'a=b'],
      ] as const)
        expect(await sessionAt(places, `${query}&sslmode=${mode}&sslrootcert=${authority}`)).toMatchObject({
          socket: true,
          tls: false,
        });
    },
  );

  test('a socket that is not there gives way to a server that is', async () => {
    await expect(sessionAt('', `host=${encodeURIComponent('/nowhere')}&port=5432`)).rejects.toThrow(
      /\/nowhere/,
    );
    expect(await sessionAt(`%2Fnowhere:5432,${at(primary)}`, 'sslmode=require')).toMatchObject({ tls: true });
  });
});

describe('by TLS', () => {
  const named = () => `localhost:${primary.port}`;

  test('prefer and require ask nobody who answers, and verify-ca and verify-full do', async () => {
    for (const mode of ['prefer', 'require'])
      expect(await sessionAt(named(), `sslmode=${mode}`)).toMatchObject({ tls: true, socket: false });
    for (const mode of ['verify-ca', 'verify-full']) {
      expect(await sessionAt(named(), `sslmode=${mode}&sslrootcert=${authority}`)).toMatchObject({
        tls: true,
      });
    }
    // The certificate has a name and no address.
    await expect(sessionAt(at(primary), `sslmode=verify-full&sslrootcert=${authority}`)).rejects.toThrow(
      /certificate/,
    );
    expect(await sessionAt(at(primary), `sslmode=verify-ca&sslrootcert=${authority}`)).toMatchObject({
      tls: true,
    });
  });

  test("the system's authorities are Node's own with those of NODE_EXTRA_CA_CERTS, and always asked in full", () => {
    const said = (host: string, more: object) => {
      const url = `postgresql://postgres:none@${host}:${primary.port}/postgres?sslrootcert=system`;
      const { stdout, stderr } = spawnSync(
        'node',
        ['dist/main.js', 'check', '--json', '--database.url', url],
        {
          env: { PATH: process.env['PATH'], ...more },
          encoding: 'utf8',
        },
      );
      return `${stdout}${stderr}`;
    };
    const trusted = { NODE_EXTRA_CA_CERTS: authority };
    // The database is not Airflow's. Only a client that the server has let in can say so.
    expect(said('localhost', trusted)).not.toMatch(/certificate/);
    expect(said('localhost', trusted)).toMatch(/schema_unsupported|no known shape|not Airflow|tables/);
    expect(said('localhost', {})).toMatch(/certificate/);
    expect(said('127.0.0.1', trusted)).toMatch(/certificate/);
  });
});
