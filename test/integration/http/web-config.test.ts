import bcrypt, { getRounds, hashSync } from 'bcryptjs';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:https';
import type { RequestOptions } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TLSSocket, connect } from 'node:tls';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { createBasicAuth } from '../../../src/http/basic-auth.ts';
import { startHttpServer } from '../../../src/http/server.ts';
import type { HttpServer } from '../../../src/http/server.ts';
import { openWebConfig } from '../../../src/http/web-config.ts';
import { createMetrics } from '../../../src/metrics/metrics.ts';
import { expectScrapeMatchesContract } from '../../support/contract.ts';
import { eventually } from '../../support/daemon.ts';
import { METRICS_OPTIONS, STATUS } from '../../support/small-exporter.ts';

// The hash as `htpasswd -nBC 10` writes it.
const HASH = hashSync('correct horse', 10).replace(/^\$2b/, '$2y');

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'web-config-'));
  makeAuthority('ca');
  makeCertificate('server', 'ca', { newkey: RSA });
  makeCertificate('renewed', 'ca', { newkey: RSA });
  makeCertificate('client', 'ca', { newkey: RSA });
  makeAuthority('foreign');
  makeCertificate('stranger', 'foreign');
  makeCertificate('elliptic', 'ca');
  makeCertificate('expired', 'ca', { from: -86_400, to: -60 });
  makeCertificate('early', 'ca', { from: 3_600 });
  makeCertificate('rsa1024', 'ca', { newkey: ['rsa:1024'] });
  makeCertificate('p192', 'ca', { newkey: ['ec', '-pkeyopt', 'ec_paramgen_curve:prime192v1'] });
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const servers: HttpServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
}

const ELLIPTIC = ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'] as const;
/** An RSA key takes fifty times as long to find: only tests about RSA use one. */
const RSA = ['rsa:2048'] as const;

function makeAuthority(name: string): void {
  const files = ['-keyout', `${name}.key`, '-out', `${name}.crt`];
  openssl('req', '-x509', '-newkey', ...ELLIPTIC, '-nodes', '-days', '2', '-subj', `/CN=${name}`, ...files);
}

interface CertificateOptions {
  readonly newkey?: readonly string[];
  /** Seconds from now. */
  readonly from?: number;
  readonly to?: number;
  readonly names?: string;
}

function makeCertificate(name: string, authority: string, options: CertificateOptions = {}): void {
  const { newkey = ELLIPTIC, from = -60, to = 86_400, names = 'IP:127.0.0.1,DNS:localhost' } = options;
  const subject = ['-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.csr`];
  openssl('req', '-newkey', ...newkey, '-nodes', ...subject);
  // This is the only way of signing that lets the validity period be chosen.
  mkdirSync(join(folder, `${name}.signed`));
  writeFileSync(join(folder, `${name}.signed`, 'index.txt'), '');
  writeFileSync(
    join(folder, `${name}.cnf`),
    `[ca]\ndefault_ca=signer\n[signer]\nnew_certs_dir=${name}.signed\ndatabase=${name}.signed/index.txt
rand_serial=yes\ndefault_md=sha256\npolicy=any\nx509_extensions=more\n[any]\ncommonName=supplied
[more]\nsubjectAltName=${names}\n`,
  );
  const times = ['-startdate', asn1Time(from), '-enddate', asn1Time(to)];
  const by = ['-cert', `${authority}.crt`, '-keyfile', `${authority}.key`, '-config', `${name}.cnf`];
  openssl('ca', '-batch', '-notext', ...by, ...times, '-in', `${name}.csr`, '-out', `${name}.crt`);
}

function asn1Time(secondsFromNow: number): string {
  const time = new Date(Date.now() + secondsFromNow * 1_000).toISOString();
  return `${time.replaceAll(/[-:T]|\..*$/g, '')}Z`;
}

const pem = (name: string): string => readFileSync(join(folder, name), 'utf8');

let files = 0;
function configFile(yaml: string): string {
  files += 1;
  const path = join(folder, `web-${files}.yml`);
  writeFileSync(path, yaml);
  return path;
}

async function start(webConfigFile: string) {
  const lines: string[] = [];
  const server = await startHttpServer({
    host: '127.0.0.1',
    port: 0,
    webConfigFile,
    metrics: createMetrics(METRICS_OPTIONS),
    status: () => STATUS,
    ready: () => true,
    reload: () => Promise.resolve({ ok: true }),
    webConfigRead: () => undefined,
    log: pino({}, { write: (line: string) => lines.push(line) }),
  });
  servers.push(server);
  const { port, webConfig } = server;
  return { port, lines, webConfig, url: `http://127.0.0.1:${port}` };
}

function basic(user: string, password: string) {
  return { headers: { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` } };
}

function get(
  port: number,
  options: RequestOptions = {},
): Promise<{ status: number; body: string; name: string }> {
  return new Promise((resolve, reject) => {
    const all = { host: '127.0.0.1', port, path: '/metrics', ca: pem('ca.crt'), agent: false, ...options };
    const sent = request(all, (response) => {
      // Read now: the socket is gone at the end.
      const peer = response.socket instanceof TLSSocket ? response.socket.getPeerCertificate() : null;
      let body = '';
      response.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, body, name: String(peer?.subject.CN) });
      });
    });
    sent.on('error', reject);
    sent.end();
  });
}

describe('basic auth', () => {
  const users = `basic_auth_users:\n  prometheus: ${HASH}\n`;

  test('asks for a password everywhere but at the two probes', async () => {
    const { url } = await start(configFile(users));
    for (const path of ['/', '/metrics', '/api/v1/status', '/api/v1/findings', '/nothing']) {
      const response = await fetch(url + path);
      expect([path, response.status]).toEqual([path, 401]);
      expect(response.headers.get('www-authenticate')).toMatch(/^Basic realm=/);
      expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
    }
    expect((await fetch(`${url}/-/reload`, { method: 'POST' })).status).toBe(401);
    expect((await fetch(`${url}/-/healthy`)).status).toBe(200);
    expect((await fetch(`${url}/-/ready`)).status).toBe(200);
  });

  test('knows the right password, again and again', async () => {
    const { url } = await start(configFile(users));
    for (let i = 0; i < 3; i += 1) {
      const response = await fetch(`${url}/metrics`, basic('prometheus', 'correct horse'));
      expect(response.status).toBe(200);
      expectScrapeMatchesContract(await response.text());
    }
  });

  test.each([
    ['a wrong password', basic('prometheus', 'correct horsf')],
    ['no password', basic('prometheus', '')],
    ['the hash as password', basic('prometheus', HASH)],
    ['an unknown user', basic('root', 'correct horse')],
    ['a user of every object', basic('constructor', 'correct horse')],
    ['another scheme', { headers: { authorization: 'Bearer x' } }],
    ['no base64', { headers: { authorization: 'Basic ***' } }],
    ['no colon', { headers: { authorization: `Basic ${Buffer.from('prometheus').toString('base64')}` } }],
  ])('refuses %s', async (_, options) => {
    const { url } = await start(configFile(users));
    // The right password first: the exporter remembers it, and that must open nothing else.
    expect((await fetch(`${url}/metrics`, basic('prometheus', 'correct horse'))).status).toBe(200);
    expect((await fetch(`${url}/metrics`, options)).status).toBe(401);
  });

  test('an unknown user costs as much as a known one, and a known password nothing', async () => {
    const slow = hashSync('correct horse', 10);
    const { url } = await start(configFile(`basic_auth_users: { prometheus: "${slow}" }\n`));
    /** The cost of each hash that the password of a request is compared with. */
    const costsOf = async (user: string, password: string): Promise<number[]> => {
      const compared = vi.spyOn(bcrypt, 'compare');
      await (await fetch(`${url}/-/nothing`, basic(user, password))).text();
      const rounds = compared.mock.calls.map(([, hash]) => getRounds(hash));
      compared.mockRestore();
      return rounds;
    };
    expect(await costsOf('prometheus', 'correct horse')).toEqual([10]);
    expect(await costsOf('prometheus', 'wrong')).toEqual([10]);
    expect(await costsOf('root', 'wrong')).toEqual([10]);
    expect(await costsOf('prometheus', 'correct horse')).toEqual([]);
  });

  test('many wrong passwords at once do not keep the right one out', async () => {
    const { url } = await start(configFile(users));
    expect((await fetch(`${url}/metrics`, basic('prometheus', 'correct horse'))).status).toBe(200);
    const attack = Promise.all(
      Array.from({ length: 15 }, (_, i) => fetch(`${url}/metrics`, basic('prometheus', `guess ${i}`))),
    );
    const right = await fetch(`${url}/metrics`, basic('prometheus', 'correct horse'));
    const statuses = (await attack).map(({ status }) => status);
    expect(right.status).toBe(200);
    // How many requests get each status depends on timing.
    expect(statuses.filter((status) => status !== 401 && status !== 429)).toEqual([]);
  });

  test('ten wrong ones are compared at once, and then one a second', async () => {
    const clock = { ms: 0 };
    const authorize = createBasicAuth(() => clock.ms);
    const ask = (password: string) =>
      authorize(basic('prometheus', password).headers.authorization, new Map([['prometheus', HASH]]));
    expect(await ask('correct horse')).toBe('yes');
    const answers = await Promise.all(Array.from({ length: 12 }, (_, i) => ask(`guess ${i}`)));
    expect(answers).toEqual([...Array<string>(9).fill('no'), 'busy', 'busy', 'busy']);
    expect(await ask('correct horse')).toBe('yes');
    clock.ms = 1_000;
    expect([await ask('another'), await ask('one more')]).toEqual(['no', 'busy']);
  });

  test('a changed file is in force at the next request; a wrong one is not, and is logged', async () => {
    const file = configFile(users);
    const { url, lines, webConfig } = await start(file);
    const statusOf = async (password: string) =>
      (await fetch(`${url}/metrics`, basic('prometheus', password))).status;
    expect(await statusOf('correct horse')).toBe(200);
    writeFileSync(file, `basic_auth_users:\n  prometheus: ${hashSync('battery staple', 10)}\n# longer\n`);
    expect([await statusOf('correct horse'), await statusOf('battery staple')]).toEqual([401, 200]);
    writeFileSync(file, 'basic_auth_user: {}\n');
    expect([await statusOf('correct horse'), await statusOf('battery staple')]).toEqual([401, 200]);
    expect(lines.filter((line) => line.includes('basic_auth_user is unknown'))).toHaveLength(1);
    writeFileSync(file, '');
    expect([await statusOf('correct horse'), await statusOf('battery staple')]).toEqual([401, 200]);
    expect(lines.filter((line) => line.includes('Removing the last user takes a restart'))).toHaveLength(1);
    expect([webConfig?.refusal(), webConfig?.waits()]).toEqual([
      null,
      [expect.stringMatching(/^Removing the last user takes a restart/)],
    ]);
    rmSync(file);
    expect(webConfig?.refusal()).toMatch(/^Cannot read/);
    expect([await statusOf('correct horse'), await statusOf('battery staple')]).toEqual([401, 200]);
    expect(lines.join('')).not.toMatch(/\$2[aby]\$|battery/);
  });
});

describe('TLS', () => {
  const tls = (name: string, more = ''): string =>
    `tls_server_config:\n  cert_file: ${name}.crt\n  key_file: ${name}.key\n${more}`;

  test('serves a certificate named relative to the file, and no plain HTTP', async () => {
    const { port, url } = await start(configFile(tls('server')));
    const { status, body, name } = await get(port);
    expect([status, name]).toEqual([200, 'server']);
    expectScrapeMatchesContract(body);
    await expect(fetch(`${url}/metrics`)).rejects.toThrow();
  });

  test('with a password', async () => {
    const { port } = await start(configFile(`${tls('server')}basic_auth_users:\n  prometheus: ${HASH}\n`));
    expect((await get(port)).status).toBe(401);
    expect((await get(port, basic('prometheus', 'correct horse'))).status).toBe(200);
  });

  test('a renewed certificate that is no good leaves the old one; one not valid yet is taken when it is', async () => {
    const put = (name: string): void => {
      writeFileSync(join(folder, 'next.key'), pem(`${name}.key`));
      writeFileSync(join(folder, 'next.crt'), pem(`${name}.crt`));
    };
    put('server');
    const { port, lines } = await start(configFile(tls('next')));
    put('expired');
    expect((await get(port)).name).toBe('server');
    expect(lines.join('')).toMatch(/next\.crt\) expired on .*the old one stays in force/);
    makeCertificate('soon', 'ca', { from: 3 });
    put('soon');
    expect((await get(port)).name).toBe('server');
    await eventually(async () => {
      expect((await get(port)).name).toBe('soon');
    });
    // The certificate was tried several times, but reported once.
    expect(lines.filter((line) => line.includes('is valid from'))).toHaveLength(1);
  });

  test('certificate, key and authority can stand in the file itself', async () => {
    const inline = (key: string, name: string) => `  ${key}: |\n${pem(name).replaceAll(/^/gm, '    ')}\n`;
    const yaml = `tls_server_config:\n${inline('cert', 'server.crt')}${inline('key', 'server.key')}${inline('client_ca', 'ca.crt')}`;
    const { port } = await start(configFile(`${yaml}  client_auth_type: RequireAndVerifyClientCert\n`));
    await expect(get(port)).rejects.toThrow();
    expect(await get(port, client())).toMatchObject({ status: 200, name: 'server' });
  });

  test("cipher_suites and curve_preferences, by Go's names, are what a client up to TLS 1.2 can choose from", async () => {
    const suites = '  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_AES_256_GCM_SHA384]\n';
    const { port } = await start(configFile(tls('server', `${suites}  curve_preferences: [CurveP384]\n`)));
    const old = { maxVersion: 'TLSv1.2' } as const;
    expect((await get(port, { ...old, ciphers: 'ECDHE-RSA-AES256-GCM-SHA384' })).status).toBe(200);
    await expect(get(port, { ...old, ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' })).rejects.toThrow();
    await expect(get(port, { ecdhCurve: 'X25519' })).rejects.toThrow();
    expect((await get(port, { minVersion: 'TLSv1.3', ciphers: 'TLS_AES_128_GCM_SHA256' })).status).toBe(200);
  });

  test('max_version shuts out what is newer', async () => {
    const { port } = await start(configFile(tls('elliptic', '  max_version: TLS12\n')));
    await expect(get(port, { minVersion: 'TLSv1.3' })).rejects.toThrow(/protocol version/i);
    expect((await get(port)).status).toBe(200);
  });

  test('min_version shuts out what is older', async () => {
    const { port } = await start(configFile(tls('server', '  min_version: TLS13\n')));
    await expect(get(port, { maxVersion: 'TLSv1.2' })).rejects.toThrow(/protocol version/i);
    expect((await get(port, { minVersion: 'TLSv1.3' })).status).toBe(200);
  });

  test('is 1.2 and newer when nothing is said', async () => {
    const { port } = await start(configFile(tls('server')));
    expect((await get(port, { maxVersion: 'TLSv1.2' })).status).toBe(200);
    // At a higher security level the client itself would not offer this version.
    const old = { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
    await expect(get(port, old)).rejects.toThrow(/protocol version/i);
  });

  test('a renewed certificate serves the next connection, also when a link is moved', async () => {
    const link = join(folder, 'live');
    const point = (name: string): void => {
      symlinkSync(join(folder, `${name}.crt`), `${link}.crt.new`);
      symlinkSync(join(folder, `${name}.key`), `${link}.key.new`);
      renameSync(`${link}.crt.new`, `${link}.crt`);
      renameSync(`${link}.key.new`, `${link}.key`);
    };
    point('server');
    const { port } = await start(configFile(tls('live')));
    expect((await get(port)).name).toBe('server');
    point('renewed');
    expect((await get(port)).name).toBe('renewed');
  });

  test('half a renewal leaves the old certificate, the other half completes it', async () => {
    const copy = (from: string, to: string): void => {
      writeFileSync(join(folder, to), pem(from));
    };
    copy('server.crt', 'half.crt');
    copy('server.key', 'half.key');
    const { port, lines } = await start(configFile(tls('half')));
    expect((await get(port)).name).toBe('server');
    copy('renewed.crt', 'half.crt');
    expect((await get(port)).name).toBe('server');
    expect(lines.join('')).toContain('cannot be used with tls_server_config.key_file');
    copy('renewed.key', 'half.key');
    expect((await get(port)).name).toBe('renewed');
  });

  test('a renewed certificate is served, also while a new client_auth_type waits for a restart', async () => {
    const file = configFile(tls('server'));
    const { port, lines, webConfig } = await start(file);
    const auth = '  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n';
    writeFileSync(file, tls('renewed', auth));
    expect(await get(port)).toMatchObject({ name: 'renewed', status: 200 });
    expect(lines.join('')).toContain('takes a restart');
    // The file is not in force as it is, however often it is read.
    expect([webConfig?.waits(), webConfig?.waits()]).toEqual(
      Array(2).fill([expect.stringMatching(/client_auth_type takes a restart/)]),
    );
    writeFileSync(file, tls('server'));
    expect(webConfig?.waits()).toEqual([]);
  });

  test('a renewed authority for clients is in force, also while a new client_auth_type waits for a restart', async () => {
    const auth = (type: string, ca: string) =>
      tls('server', `  client_auth_type: ${type}\n  client_ca_file: ${ca}.crt\n`);
    const file = configFile(auth('VerifyClientCertIfGiven', 'foreign'));
    const { port } = await start(file);
    await expect(get(port, client())).rejects.toThrow();
    writeFileSync(file, auth('RequireAndVerifyClientCert', 'ca'));
    expect(await get(port, client())).toMatchObject({ status: 200 });
    // Such a certificate is asked for after the restart.
    expect(await get(port)).toMatchObject({ status: 200 });
  });

  test('a file that can no longer be looked at is logged, and the old one stays in force', async () => {
    const file = configFile(tls('server'));
    const { port, lines } = await start(file);
    rmSync(file);
    // As with a folder that may not be entered, the look itself fails.
    symlinkSync(file, file);
    expect(await get(port)).toMatchObject({ name: 'server', status: 200 });
    expect(lines.join('')).toContain('the old one stays in force');
  });

  const client = () => ({ cert: pem('client.crt'), key: pem('client.key') });
  const stranger = () => ({ cert: pem('stranger.crt'), key: pem('stranger.key') });

  test.each([
    ['RequestClientCert', { none: true, stranger: true, client: true }],
    ['RequireAnyClientCert', { none: false, stranger: true, client: true }],
    ['VerifyClientCertIfGiven', { none: true, stranger: false, client: true }],
    ['RequireAndVerifyClientCert', { none: false, stranger: false, client: true }],
  ])('%s lets in %j', async (kind, expected) => {
    const authority = kind.includes('Verify') ? '  client_ca_file: ca.crt\n' : '';
    const { port } = await start(configFile(tls('server', `  client_auth_type: ${kind}\n${authority}`)));
    const lets = (options: RequestOptions): Promise<boolean> =>
      get(port, options).then(
        ({ status }) => status === 200,
        () => false,
      );
    expect({ none: await lets({}), stranger: await lets(stranger()), client: await lets(client()) }).toEqual(
      expected,
    );
  });

  test.each([
    ['DNS:prometheus.example', 200],
    ['DNS:other.example, URI:spiffe://example/prometheus', 200],
    ['IP:2001:db8::1', 200],
    ['DNS:other.example', 0],
    ['DNS:sub.prometheus.example', 0],
    ['IP:2001:db8::2', 0],
  ])('client_allowed_sans and a client that is %s', async (names, expected) => {
    const name = `named-${String(files)}`;
    makeCertificate(name, 'ca', { names });
    const auth = '  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n';
    const allowed =
      '  client_allowed_sans: [prometheus.example, "spiffe://example/prometheus", "2001:DB8:0::1"]\n';
    const { port } = await start(configFile(tls('server', auth + allowed)));
    const answer = get(port, { cert: pem(`${name}.crt`), key: pem(`${name}.key`) });
    expect(await answer.then(({ status }) => status).catch(() => 0)).toBe(expected);
  });

  test('client_allowed_sans is read again, and one name with a comma is not two', async () => {
    makeCertificate('comma', 'ca', { names: '@alt\n[alt]\nURI.1="http://a, DNS:prometheus.example"' });
    const auth = '  client_auth_type: RequireAnyClientCert\n  client_allowed_sans:\n    - ';
    const file = configFile(tls('server', `${auth}prometheus.example\n`));
    const { port } = await start(file);
    const shown = { cert: pem('comma.crt'), key: pem('comma.key') };
    await expect(get(port, shown)).rejects.toThrow();
    writeFileSync(file, tls('server', `${auth}"http://a, DNS:prometheus.example"\n`));
    expect((await get(port, shown)).status).toBe(200);
  });

  test('a key that everybody may read is a warning', async () => {
    writeFileSync(join(folder, 'open.crt'), pem('server.crt'));
    writeFileSync(join(folder, 'open.key'), pem('server.key'));
    chmodSync(join(folder, 'open.key'), 0o644);
    const { lines } = await start(configFile(tls('open')));
    expect(lines.join('')).toMatch(/key_file .*open\.key can be read by everybody: chmod o-r/);
    chmodSync(join(folder, 'open.key'), 0o640);
    const quiet = await start(configFile(tls('open')));
    expect(quiet.lines.join('')).not.toContain('everybody');
  });

  test('switching it on or off takes a restart, and the log says so', async () => {
    const file = configFile(tls('server'));
    const { port, lines } = await start(file);
    writeFileSync(file, '');
    expect((await get(port)).status).toBe(200);
    expect(lines.join('')).toContain('takes a restart');
  });

  test('close does not wait for a handshake that never comes', { timeout: 20_000 }, async () => {
    const { port } = await start(configFile(tls('server')));
    const socket = connect({ host: '127.0.0.1', port, ca: pem('ca.crt') });
    await new Promise((resolve) => socket.once('secureConnect', resolve));
    socket.on('error', () => undefined);
    await servers[0]?.close();
  });
});

describe('headers', () => {
  test('are added, an empty one is not', async () => {
    const yaml =
      'http_server_config:\n  headers:\n    X-Frame-Options: deny\n    Strict-Transport-Security: ""\n';
    const { url } = await start(configFile(yaml));
    const { headers } = await fetch(`${url}/-/healthy`);
    expect(headers.get('x-frame-options')).toBe('deny');
    expect(headers.get('strict-transport-security')).toBeNull();
    expect(headers.get('x-content-type-options')).toBe('nosniff');
  });
});

describe('a file that is wrong', () => {
  const log = pino({ enabled: false });
  test.each([
    ['tls_server: {}\n', /tls_server is unknown or not supported/],
    ['tls_server_config: { cert_file: a, key_file: b, cert: x }\n', /has both cert and cert_file/],
    ['tls_server_config: { cert_file: server.crt }\n', /tls_server_config needs key_file/],
    [
      'tls_server_config: { cert_file: server.crt, key: hunter2 }\n',
      /cannot be used with tls_server_config\.key:/,
    ],
    [
      'tls_server_config: { cert_file: a, key_file: b, client_auth_type: Maybe }\n',
      /client_auth_type must be one of NoClientCert, /,
    ],
    [
      'tls_server_config: { cert_file: a, key_file: b, min_version: SSL3 }\n',
      /tls_server_config\.min_version must be TLS12 or TLS13/,
    ],
    [
      'tls_server_config: { cert_file: a, key_file: b, min_version: TLS10 }\n',
      /tls_server_config\.min_version must be TLS12 or TLS13: older versions are not safe/,
    ],
    [
      'tls_server_config: { cert_file: server.crt, key_file: server.key, min_version: TLS13, max_version: TLS12 }\n',
      /max_version is older than min_version TLS13/,
    ],
    [
      'tls_server_config: { cert_file: a, key_file: b, cipher_suites: [TLS_RSA_WITH_RC4_128_SHA] }\n',
      /tls_server_config\.cipher_suites\.0 must be one of TLS_ECDHE_/,
    ],
    [
      'tls_server_config: { cert_file: a, key_file: b, curve_preferences: [P-256] }\n',
      /tls_server_config\.curve_preferences\.0 must be one of X25519, CurveP256/,
    ],
    [
      'tls_server_config: { cert_file: server.crt, key_file: server.key, client_auth_type: RequestClientCert, client_allowed_sans: [a] }\n',
      /client_allowed_sans needs client_auth_type Require/,
    ],
    [
      'tls_server_config: { cert_file: expired.crt, key_file: expired.key }\n',
      /cert_file \(.*expired\.crt\) expired on .* GMT: renew/,
    ],
    [
      'tls_server_config: { cert_file: early.crt, key_file: early.key }\n',
      /cert_file \(.*early\.crt\) is valid from .* GMT only/,
    ],
    [
      'tls_server_config: { cert_file: rsa1024.crt, key_file: rsa1024.key }\n',
      /cert_file \(.*\) has a weak key, rsa of 1024 bits/,
    ],
    [
      'tls_server_config: { cert_file: p192.crt, key_file: p192.key }\n',
      /cert_file \(.*\) has a weak key, ec of 192 bits/,
    ],
    [
      'tls_server_config: { cert_file: gone.crt, key_file: b }\n',
      /Cannot use the web configuration .*: Cannot read tls_server_config\.cert_file .*gone\.crt: ENOENT/,
    ],
    [
      'tls_server_config: { cert_file: server.crt, key_file: client.key }\n',
      /cert_file \(.*server\.crt\) cannot be used with tls_server_config\.key_file \(.*client\.key\)/,
    ],
    [
      'tls_server_config: { cert_file: server.crt, key_file: server.key, client_ca_file: ca.crt }\n',
      /client_ca_file needs a client_auth_type/,
    ],
    [
      'tls_server_config: { cert_file: server.crt, key_file: server.key, client_auth_type: RequireAndVerifyClientCert }\n',
      /needs client_ca_file/,
    ],
    [
      'tls_server_config: { cert_file: server.crt, key_file: server.key, client_ca_file: server.key, client_auth_type: RequireAndVerifyClientCert }\n',
      /client_ca_file \(.*server\.key\) holds no certificate/,
    ],
    ['basic_auth_users: { joe: hunter2 }\n', /basic_auth_users\.joe is no bcrypt hash; make one with/],
    [
      `basic_auth_users: { joe: "${hashSync('hunter2', 9)}" }\n`,
      /basic_auth_users\.joe is a bcrypt hash of a cost below 10.*htpasswd -nBC 10/,
    ],
    [
      `basic_auth_users: { joe: "${HASH.replace('$10$', '$17$')}" }\n`,
      /basic_auth_users\.joe is a bcrypt hash of a cost above 16/,
    ],
    ['basic_auth_users: { "joe:hunter2": }\n', /basic_auth_users has a name that is empty or has a colon$/],
    ['basic_auth_users: [joe]\n', /basic_auth_users must be: record/],
    [
      'http_server_config: { headers: { Server: x } }\n',
      /http_server_config\.headers\.Server is unknown or not supported/,
    ],
    [
      'http_server_config: { headers: { X-Frame-Options: "a\\nb" } }\n',
      /X-Frame-Options is no valid header value/,
    ],
    ['http_server_config: { http2: true }\n', /http_server_config\.http2 must be false or left out/],
    ['rate_limit: {}\nfoo: 1\n', /rate_limit is unknown or not supported; foo is unknown/],
    ['basic_auth_users:\n  joe: [hunter2\n', /line \d+ is no YAML/],
    ['basic_auth_users: { joe: a, joe: hunter2 }\n', /line 1 is no YAML \(DUPLICATE_KEY\)/],
    ['just text\n', /the file must be: object/],
  ])('is refused: %j', (yaml, reason) => {
    const file = configFile(yaml);
    let message = '';
    try {
      openWebConfig(file, { log });
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).toMatch(reason);
    expect(message).toContain(file);
    expect(message).not.toMatch(/hunter2|\$2[aby]\$/);
  });

  test('or that everybody may write is refused, and so is a key', () => {
    const file = configFile('tls_server_config: { cert_file: server.crt, key_file: loose.key }\n');
    writeFileSync(join(folder, 'loose.key'), pem('server.key'));
    chmodSync(join(folder, 'loose.key'), 0o602);
    expect(() => openWebConfig(file, { log })).toThrow(/key_file .*loose\.key: everybody may write it/);
    chmodSync(join(folder, 'loose.key'), 0o600);
    chmodSync(file, 0o666);
    expect(() => openWebConfig(file, { log })).toThrow(
      /web configuration .*yml: everybody may write it.*chmod o-w/,
    );
    chmodSync(file, 0o664);
    openWebConfig(file, { log });
  });

  test('may say that there is no HTTP/2', async () => {
    const { url } = await start(configFile('http_server_config: { http2: false }\n'));
    expect((await fetch(`${url}/metrics`)).status).toBe(200);
  });

  test('or missing is refused at the start', async () => {
    await expect(start(join(folder, 'gone.yml'))).rejects.toThrow(
      /Cannot read the web configuration .*gone\.yml: ENOENT/,
    );
  });

  test('or empty is plain HTTP for all, and said to be; so are passwords without TLS', async () => {
    const { url, lines } = await start(configFile('# nothing yet\n'));
    expect((await fetch(`${url}/metrics`)).status).toBe(200);
    expect(lines.join('')).toContain('asks for no password and no TLS');
    const clear = await start(configFile(`basic_auth_users: { joe: "${HASH}" }\n`));
    expect(clear.lines.join('')).toContain('passwords can be read on their way');
  });
});
