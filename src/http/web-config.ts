import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { validateHeaderValue } from 'node:http';
import type { ServerOptions } from 'node:https';
import { dirname, resolve } from 'node:path';
import { createSecureContext, type SecureVersion, type TLSSocket } from 'node:tls';
import type { Logger } from 'pino';
import { LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { createBasicAuth, type Authorization } from './basic-auth.ts';

/**
 * TLS, passwords and headers from the file of `web.config.file`, in the format of Prometheus' exporter-toolkit
 * (https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md).
 * The files are read again when they change; if the new ones are wrong, that is logged and the old stay in force.
 */
export interface WebConfig {
  /** What the server is made with; null: plain HTTP. */
  tls(): TlsSetup | null;
  /** The new setup when certificate files changed since the last call, else null. */
  renewedTls(): TlsSetup | null;
  headers(): Readonly<Record<string, string>>;
  authorize(header: string | undefined): Promise<Authorization>;
}

export interface TlsSetup {
  readonly options: ServerOptions;
  readonly clientAuth: ClientAuth;
  /** Whether a client that got through the handshake may stay. */
  readonly accepts: (socket: TLSSocket) => boolean;
}

const CLIENT_AUTH = [
  'NoClientCert',
  'RequestClientCert',
  'RequireAnyClientCert',
  'VerifyClientCertIfGiven',
  'RequireAndVerifyClientCert',
] as const;
type ClientAuth = (typeof CLIENT_AUTH)[number];

const VERSIONS = {
  TLS10: 'TLSv1',
  TLS11: 'TLSv1.1',
  TLS12: 'TLSv1.2',
  TLS13: 'TLSv1.3',
} as const satisfies Record<string, SecureVersion>;

/** The headers that the toolkit lets a file set. */
const HEADERS = [
  'Content-Security-Policy',
  'Strict-Transport-Security',
  'X-Content-Type-Options',
  'X-Frame-Options',
  'X-XSS-Protection',
] as const;

const headerValue = z.string().refine(isHeaderValue, 'is no valid header value');

// Strict throughout: a key that is passed over in silence could be the one that was meant to shut the door.
const fileSchema = z.strictObject({
  tls_server_config: z
    .strictObject({
      cert_file: z.string().min(1, 'is empty'),
      key_file: z.string().min(1, 'is empty'),
      client_ca_file: z.string().min(1, 'is empty').optional(),
      client_auth_type: z.enum(CLIENT_AUTH).default('NoClientCert'),
      min_version: z.enum(['TLS10', 'TLS11', 'TLS12', 'TLS13']).default('TLS12'),
    })
    .optional(),
  basic_auth_users: z
    .record(
      z.string().regex(/^[^:]+$/, 'is no user name: it is empty or has a colon'),
      z
        .string()
        .regex(
          /^\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$/,
          'is no bcrypt hash; make one with `htpasswd -nB <user>`',
        ),
    )
    .optional(),
  http_server_config: z
    .strictObject({ headers: z.partialRecord(z.enum(HEADERS), headerValue).optional() })
    .optional(),
});

interface Loaded {
  readonly tls: TlsSetup | null;
  readonly users: ReadonlyMap<string, string>;
  readonly headers: Readonly<Record<string, string>>;
  /** The files it was made from. */
  readonly files: readonly string[];
}

/** Throws an error that names the file, the key and what is wrong with it. */
export function openWebConfig(file: string, log: Logger): WebConfig {
  const authorize = createBasicAuth(() => performance.now());
  let current = load(file);
  let seen = fingerprint(current.files);
  let served = current.tls;

  function refresh(): Loaded {
    const found = fingerprint(current.files);
    if (found === seen) return current;
    seen = found;
    try {
      const next = load(file);
      if (next.tls?.clientAuth !== current.tls?.clientAuth) {
        log.warn(
          { file },
          'Switching TLS or client_auth_type takes a restart: the old setting stays in force',
        );
        current = { ...next, tls: current.tls };
      } else {
        current = next;
        log.info({ file }, 'Read the web configuration again');
      }
      seen = fingerprint(current.files);
    } catch (error) {
      log.error(
        { err: error, file },
        'The web configuration changed and is wrong: the old one stays in force',
      );
    }
    return current;
  }

  return {
    tls: () => current.tls,
    renewedTls() {
      const { tls } = refresh();
      if (tls === served) return null;
      served = tls;
      return tls;
    },
    headers: () => refresh().headers,
    authorize: (header) => authorize(header, refresh().users),
  };
}

function load(file: string): Loaded {
  const settings = parse(file, read(file, 'the web configuration'));
  const tls = settings.tls_server_config;
  const at = (path: string): string => resolve(dirname(file), path);
  const files = [tls?.cert_file, tls?.key_file, tls?.client_ca_file].filter((path) => path !== undefined);
  return {
    tls: tls === undefined ? null : loadTls(file, { ...tls, at }),
    users: new Map(Object.entries(settings.basic_auth_users ?? {})),
    // As in the toolkit, an empty value sets nothing.
    headers: Object.fromEntries(
      Object.entries(settings.http_server_config?.headers ?? {}).filter(([, value]) => value !== ''),
    ),
    files: [file, ...files.map(at)],
  };
}

function parse(file: string, text: string): z.infer<typeof fileSchema> {
  const lines = new LineCounter();
  // Pretty errors quote the line, which may be the one with a password hash.
  const document = parseDocument(text, { prettyErrors: false, lineCounter: lines, logLevel: 'error' });
  const [fault] = document.errors;
  if (fault !== undefined) {
    const { line } = lines.linePos(fault.pos[0]);
    throw new Error(`Cannot read the web configuration ${file}: line ${line} is no YAML (${fault.code})`);
  }
  const parsed = fileSchema.safeParse(document.toJS() ?? {});
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.flatMap(explainIssue);
  throw new Error(`Cannot use the web configuration ${file}: ${problems.join('; ')}`);
}

function explainIssue(issue: z.core.$ZodIssue): string[] {
  const path = issue.path.join('.');
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => `${path === '' ? key : `${path}.${key}`} is unknown or not supported`);
  }
  if (issue.code === 'invalid_key') return issue.issues.map((inner) => `${path} ${inner.message}`);
  if (issue.code === 'invalid_value') return [`${path} must be one of ${issue.values.join(', ')}`];
  if (issue.code === 'invalid_type') return [`${path === '' ? 'the file' : path} must be: ${issue.expected}`];
  return [`${path} ${issue.message}`];
}

function loadTls(
  file: string,
  settings: NonNullable<z.infer<typeof fileSchema>['tls_server_config']> & { at: (path: string) => string },
): TlsSetup {
  const { client_auth_type: clientAuth, client_ca_file: caFile, at } = settings;
  const verifies = clientAuth === 'VerifyClientCertIfGiven' || clientAuth === 'RequireAndVerifyClientCert';
  if (caFile !== undefined && clientAuth === 'NoClientCert') {
    throw new Error(`Cannot use the web configuration ${file}: client_ca_file needs a client_auth_type`);
  }
  if (caFile === undefined && verifies) {
    throw new Error(
      `Cannot use the web configuration ${file}: client_auth_type ${clientAuth} needs client_ca_file`,
    );
  }
  const ca = caFile === undefined ? {} : { ca: readAuthority(at(caFile)) };
  const options: ServerOptions = {
    cert: read(at(settings.cert_file), 'the certificate (tls_server_config.cert_file)'),
    key: read(at(settings.key_file), 'the key (tls_server_config.key_file)'),
    ...ca,
    minVersion: VERSIONS[settings.min_version],
    requestCert: clientAuth !== 'NoClientCert',
    rejectUnauthorized: clientAuth === 'RequireAndVerifyClientCert',
  };
  try {
    createSecureContext(options);
  } catch (error) {
    throw new Error(
      `Cannot use the certificate ${at(settings.cert_file)} with the key ${at(settings.key_file)}: ${messageOf(error)}`,
      { cause: error },
    );
  }
  return { options, clientAuth, accepts: acceptance(clientAuth) };
}

function readAuthority(path: string): string {
  const pem = read(path, 'the authority (tls_server_config.client_ca_file)');
  try {
    // TLS itself takes a file without a certificate in silence, and then refuses every client.
    new X509Certificate(pem);
  } catch (error) {
    throw new Error(
      `Cannot use the authority ${path} (tls_server_config.client_ca_file): ${messageOf(error)}`,
      {
        cause: error,
      },
    );
  }
  return pem;
}

function acceptance(clientAuth: ClientAuth): (socket: TLSSocket) => boolean {
  // The other kinds are decided by the handshake.
  if (clientAuth === 'RequireAnyClientCert') return showsCertificate;
  if (clientAuth === 'VerifyClientCertIfGiven')
    return (socket) => socket.authorized || !showsCertificate(socket);
  return () => true;
}

function showsCertificate(socket: TLSSocket): boolean {
  return Object.keys(socket.getPeerCertificate()).length > 0;
}

function read(path: string, what: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new Error(`Cannot read ${what} ${path}: ${messageOf(error)}`, { cause: error });
  }
}

/** Changes when any of the files does; follows links, as a mounted secret is renewed by moving one. */
function fingerprint(files: readonly string[]): string {
  return files
    .map((file) => {
      const stat = statSync(file, { throwIfNoEntry: false });
      return stat === undefined ? 'gone' : `${stat.ino}:${stat.mtimeMs}:${stat.size}`;
    })
    .join(' ');
}

function isHeaderValue(value: string): boolean {
  try {
    validateHeaderValue('x', value);
    return true;
  } catch {
    return false;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
