import { execFileSync, spawn } from 'node:child_process';
import { access, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { startHttpFaultProxy } from '../../support/http-fault-proxy.ts';
import { startPostgres, useOwnPostgres } from '../../support/postgres.ts';
import { startS3 } from '../../support/s3.ts';
import { startTcpFaultProxy } from '../../support/tcp-fault-proxy.ts';

const postgres = useOwnPostgres({ settings: { max_connections: '37' } });

async function query(url: string, text: string, timeoutMs = 2_000): Promise<unknown> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: timeoutMs,
    query_timeout: timeoutMs,
  });
  // A server that shuts down tells its idle clients too.
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<Record<string, unknown>>(text);
    return Object.values(rows[0] ?? {})[0];
  } finally {
    await client.end().catch(() => undefined);
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

describe('Postgres', () => {
  test('is a real server with the settings that were asked for', async () => {
    expect(await query(postgres().url, 'SHOW max_connections')).toBe('37');
    expect(await query(postgres().url, 'SHOW server_version')).toMatch(/^16\./);
    expect(await query(postgres().url, 'SHOW server_encoding')).toBe('UTF8');
    expect(postgres().port).toBeLessThan(32_768);
  });

  test('lets nobody in without the password', async () => {
    const url = postgres().url.replace(postgres().password, 'guess');
    await expect(query(url, 'SELECT 1')).rejects.toMatchObject({ code: '28P01' });
  });

  test('keeps its data, port and password over a restart', async () => {
    await query(postgres().url, 'CREATE TABLE kept AS SELECT 42 AS value');
    await postgres().restart();
    expect(await query(postgres().url, 'SELECT value FROM kept')).toBe(42);
  });

  test('comes up, ends when told, and leaves no file', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'embedded-'));
    // The account that runs the server must be able to enter this folder.
    execFileSync('chmod', ['755', dir]);
    const server = await startPostgres({ dir });
    const [folder] = await readdir(dir);
    expect(await exists(join(dir, folder ?? '', 'data', 'postmaster.pid'))).toBe(true);
    await server.stop();
    await server.stop();
    await expect(query(server.url, 'SELECT 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    expect(await readdir(dir)).toEqual([]);
    await rm(dir, { recursive: true });
  });

  test('says what is wrong when it cannot start', async () => {
    await expect(startPostgres({ settings: { no_such_setting: '1' } })).rejects.toThrow(/no_such_setting/);
    await expect(startPostgres({ port: postgres().port })).rejects.toThrow(/Address already in use/);
  });

  test('what a dead process left is swept, what is in use is not', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'embedded-'));
    execFileSync('chmod', ['755', dir]);
    const first = await startPostgres({ dir });
    const inUse = await readdir(dir);
    const stale = join(dir, 'airflow-xcom-exporter-postgres-stale');
    await mkdir(stale);
    const dead = spawn('true');
    await new Promise((resolve) => dead.once('close', resolve));
    await writeFile(join(stale, 'owner'), `${dead.pid ?? 0}\n`);
    if (process.getuid?.() === 0) execFileSync('chown', ['-R', '65534:65534', stale]);

    const second = await startPostgres({ dir });
    expect(await exists(stale)).toBe(false);
    expect(await readdir(dir)).toEqual(expect.arrayContaining(inUse));
    expect(await query(first.url, 'SELECT 1')).toBe(1);
    await Promise.all([first.stop(), second.stop()]);
    await rm(dir, { recursive: true });
  });

  test('ends with the pipe that its owner holds, even when its supervisor is killed', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'embedded-'));
    execFileSync('chmod', ['755', dir]);
    const server = await startPostgres({ dir });
    const folder = join(dir, (await readdir(dir))[0] ?? '');
    expect(Number(await readFile(join(folder, 'owner'), 'utf8'))).toBe(process.pid);
    const postmaster = Number(
      (await readFile(join(folder, 'data', 'postmaster.pid'), 'utf8')).split('\n')[0],
    );
    expect(isAlive(postmaster)).toBe(true);

    process.kill(Number(await readFile(join(folder, 'supervisor'), 'utf8')), 'SIGKILL');
    await server.stop();
    await expect.poll(() => isAlive(postmaster), { timeout: 5_000 }).toBe(false);
    await rm(dir, { recursive: true, force: true });
  });
});

describe('S3', () => {
  test('listens on the loopback alone, on a port of its own, and stops', async () => {
    const [one, two] = await Promise.all([startS3(), startS3()]);
    expect(one.port).not.toBe(two.port);
    expect(one.endpoint).toBe(`http://127.0.0.1:${one.port}`);
    await one.createBucket('b');
    expect((await fetch(`${one.endpoint}/b?list-type=2`)).status).toBe(200);
    expect((await fetch(`${two.endpoint}/b?list-type=2`)).status).toBe(404);
    await Promise.all([one.stop(), two.stop()]);
    await expect(fetch(one.endpoint)).rejects.toThrow();
  });
});

describe('the HTTP proxy', () => {
  test('passes on what it is given, counts it, and stops with requests under way', async () => {
    const s3 = await startS3();
    await s3.createBucket('b');
    const proxy = await startHttpFaultProxy({ upstream: s3 });
    const body = 'x'.repeat(1_000_000);
    await fetch(`${proxy.url}/b/a%2Bb`, { method: 'PUT', body });
    const answer = await fetch(`${proxy.url}/b/a%2Bb`);
    expect(await answer.text()).toBe(body);
    expect(answer.headers.get('etag')).toBeTypeOf('string');
    expect((await fetch(`${proxy.url}/b/none`, { method: 'HEAD' })).status).toBe(404);
    expect((await fetch(`${proxy.url}/b?list-type=2&prefix=a`)).status).toBe(200);
    expect(proxy.requests).toEqual({ put: 1, get: 1, head: 1, list: 1, delete: 0, other: 0 });

    proxy.setFault({ answer: 'stall' });
    const stalled = fetch(`${proxy.url}/b/a`).catch(() => 'ended');
    await expect.poll(() => proxy.requests.get).toBe(2);
    await proxy.stop();
    expect(await stalled).toBe('ended');
    await s3.stop();
  });
});

describe('the TCP proxy', () => {
  test('stalls, refuses, cuts and passes', async () => {
    const proxy = await startTcpFaultProxy({ upstream: postgres() });
    const url = postgres().url.replace(`:${postgres().port}/`, `:${proxy.port}/`);
    expect(await query(url, 'SELECT 1')).toBe(1);

    await proxy.setMode('stall');
    await expect(query(url, 'SELECT 1', 200)).rejects.toThrow(/timeout/);
    await proxy.setMode('refuse');
    await expect(query(url, 'SELECT 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await proxy.setMode('cut');
    await expect(query(url, 'SELECT 1')).rejects.toMatchObject({ code: 'ECONNRESET' });
    await proxy.setMode('pass');
    expect(await query(url, 'SELECT 1')).toBe(1);
    await expect.poll(() => proxy.connections()).toBe(0);
    await proxy.stop();
  });

  test('a connection that stalls goes on where it was, one that is cut does not', async () => {
    const proxy = await startTcpFaultProxy({ upstream: postgres() });
    const url = postgres().url.replace(`:${postgres().port}/`, `:${proxy.port}/`);
    const client = new pg.Client({ connectionString: url });
    const errors: string[] = [];
    client.on('error', (error) => errors.push(error.message));
    await client.connect();
    expect(proxy.connections()).toBe(1);

    await proxy.setMode('stall');
    let answered = false;
    const running = client.query('SELECT 1').then(() => (answered = true));
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(answered).toBe(false);
    await proxy.setMode('pass');
    await running;
    await proxy.setMode('cut');
    await expect.poll(() => errors.length).toBeGreaterThan(0);
    await proxy.stop();
    await expect(
      new Promise((resolve, reject) =>
        connect(proxy.port, proxy.host, () => {
          resolve('open');
        }).once('error', reject),
      ),
    ).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });
});
