import { validateHeaderValue } from 'node:http';
import { dirname, resolve } from 'node:path';
import type { Logger } from 'pino';
import { z } from 'zod';
import { messageOf } from '../lib/message-of.ts';
import { parseYaml } from '../lib/yaml.ts';
import type { Authorization } from './basic-auth.ts';
import { createBasicAuth } from './basic-auth.ts';
import type { TlsSetup } from './tls-setup.ts';
import { loadTls, tlsSchema } from './tls-setup.ts';
import { exposure, fingerprint, readGuarded } from './web-files.ts';

/**
 * TLS, passwords and headers from the file of `web.config.file`, in the format of Prometheus' exporter-toolkit
 * (https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md).
 * The files are read again when they change. When the new ones are wrong, the error is logged and the old ones stay in
 * force.
 */
export interface WebConfig {
  /** The server's TLS setup; null: plain HTTP. */
  tls(): TlsSetup | null;
  /** The new setup when certificate files changed since the last call, else null. */
  renewedTls(): TlsSetup | null;
  headers(): Readonly<Record<string, string>>;
  /** Why the current content of the files is not in force; null: it is, but for what waits. */
  refusal(): string | null;
  /** Sentences on what of the files is not in force until a restart. */
  waits(): readonly string[];
  authorize(header: string | undefined): Promise<Authorization>;
}

/**
 * How often a faulty configuration is tried again. A fault may end without a change of these files: a certificate
 * becomes valid, or a file mode changes.
 */
const RETRY_MS = 5_000;

/**
 * Below the least cost, a stolen hash is guessed too fast. Above the most, one comparison blocks the only thread for
 * seconds.
 */
const BCRYPT_COST = { least: 10, most: 16 };
const HOW_TO_HASH = `make one with \`htpasswd -nBC ${BCRYPT_COST.least} <user>\``;

/** The headers that the toolkit lets a file set. */
const HEADERS = [
  'Content-Security-Policy',
  'Strict-Transport-Security',
  'X-Content-Type-Options',
  'X-Frame-Options',
  'X-XSS-Protection',
] as const;

const headerValue = z.string().refine(isHeaderValue, 'is no valid header value');

// Strict throughout: a silently ignored key could be the one that was meant to keep people out.
const fileSchema = z.strictObject({
  tls_server_config: tlsSchema.optional(),
  basic_auth_users: z
    .record(
      z.string().regex(/^[^:]+$/, 'is empty or has a colon'),
      z
        .string()
        .regex(/^\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$/, {
          error: `is no bcrypt hash; ${HOW_TO_HASH}`,
          abort: true,
        })
        .refine((hash) => costOf(hash) >= BCRYPT_COST.least, {
          error: `is a bcrypt hash of a cost below ${BCRYPT_COST.least}, too easy to guess; ${HOW_TO_HASH}`,
        })
        .refine((hash) => costOf(hash) <= BCRYPT_COST.most, {
          error: `is a bcrypt hash of a cost above ${BCRYPT_COST.most}, which takes too long to check; ${HOW_TO_HASH}`,
        }),
    )
    .optional(),
  http_server_config: z
    .strictObject({
      http2: z
        .custom<false>((value) => value === false, 'must be false or left out: HTTP/2 is not served')
        .optional(),
      headers: z.partialRecord(z.enum(HEADERS), headerValue).optional(),
    })
    .optional(),
});

interface Loaded {
  readonly tls: TlsSetup | null;
  readonly users: ReadonlyMap<string, string>;
  readonly headers: Readonly<Record<string, string>>;
  /** The files that the configuration was read from. */
  readonly files: readonly string[];
  /** Faults that are not serious enough to refuse the files. */
  readonly warnings: readonly string[];
}

/**
 * Calls `changed` after each reading that differs from the one before, with whether all of it is in force. Throws an
 * error that names the file, the key and the fault.
 */
export function openWebConfig(
  file: string,
  { log, changed }: { readonly log: Logger; readonly changed?: ((taken: boolean) => void) | undefined },
): WebConfig {
  const authorize = createBasicAuth(() => performance.now());
  let current = load(file);
  let seen = fingerprint(current.files);
  let served = current.tls;
  let waits: readonly string[] = [];
  let fault: { readonly message: string; readonly at: number } | null = null;
  warn(current);

  function warn({ warnings }: Loaded): void {
    for (const warning of warnings) log.warn({ file }, warning);
  }

  function refresh(): Loaded {
    const found = fingerprint(current.files);
    const now = Date.now();
    if (found === seen && (fault === null || now < fault.at + RETRY_MS)) return current;
    const failedBefore = found === seen ? fault?.message : undefined;
    seen = found;
    fault = null;
    try {
      const loaded = load(file);
      waits = waitsIn(loaded, current);
      for (const wait of waits) log.warn({ file }, wait);
      current = withoutWaits(loaded, current);
      if (waits.length === 0) log.info({ file }, 'Read the web configuration again');
      warn(current);
      seen = fingerprint(current.files);
      changed?.(waits.length === 0);
    } catch (error) {
      fault = { message: messageOf(error), at: now };
      if (fault.message !== failedBefore) {
        log.error(
          { err: error, file },
          'The web configuration changed and is wrong: the old one stays in force',
        );
        changed?.(false);
      }
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
    refusal() {
      refresh();
      return fault?.message ?? null;
    },
    waits() {
      refresh();
      return waits;
    },
    authorize: (header) => authorize(header, refresh().users),
  };
}

function waitsIn(read: Loaded, { tls, users }: Loaded): string[] {
  const waits: string[] = [];
  if (read.users.size === 0 && users.size > 0)
    waits.push('Removing the last user takes a restart: the old ones stay in force');
  if (read.tls?.clientAuth !== tls?.clientAuth)
    waits.push('Switching TLS or client_auth_type takes a restart: the old setting stays in force');
  return waits;
}

/** The files as they can be in force without a restart. */
function withoutWaits(read: Loaded, { tls, users }: Loaded): Loaded {
  return {
    ...read,
    // A file that was cut off while being written must not remove the need for a password.
    users: read.users.size === 0 ? users : read.users,
    tls: read.tls?.clientAuth === tls?.clientAuth ? read.tls : withCertificatesOf(read.tls, tls),
  };
}

/** Renewed certificates must not wait for a restart: before that the old ones may expire, or be trusted no longer. */
function withCertificatesOf(renewed: TlsSetup | null, served: TlsSetup | null): TlsSetup | null {
  if (renewed === null || served === null) return served;
  const { cert, key, ca = served.options.ca } = renewed.options;
  const trust = served.options.ca === undefined ? {} : { ca };
  return { ...served, options: { ...served.options, cert, key, ...trust } };
}

function load(file: string): Loaded {
  const files = [file];
  const warnings: string[] = [];

  function readTlsFile(name: string, path: string): string {
    const at = resolve(dirname(file), path);
    files.push(at);
    if (name === 'key_file') warnings.push(...exposure(at, `tls_server_config.${name}`));
    return readGuarded(at, `tls_server_config.${name}`);
  }

  const settings = parse(file, readGuarded(file, 'the web configuration'));
  const tls = settings.tls_server_config;
  const users = new Map(Object.entries(settings.basic_auth_users ?? {}));
  if (tls === undefined)
    warnings.push(
      users.size === 0
        ? 'the web configuration asks for no password and no TLS: whoever reaches the port is let in, as without the file'
        : 'basic_auth_users without tls_server_config: passwords can be read on their way; leave it so behind a proxy with TLS only',
    );
  if (tls?.key !== undefined) warnings.push(...exposure(file, 'tls_server_config.key: the file'));
  try {
    return {
      tls: tls === undefined ? null : loadTls(tls, { read: readTlsFile, now: Date.now() }),
      users,
      // As in the toolkit, an empty value sets nothing.
      headers: Object.fromEntries(
        Object.entries(settings.http_server_config?.headers ?? {}).filter(([, value]) => value !== ''),
      ),
      files,
      warnings,
    };
  } catch (error) {
    throw new Error(`Cannot use the web configuration ${file}: ${messageOf(error)}`, { cause: error });
  }
}

function parse(file: string, text: string): z.infer<typeof fileSchema> {
  const { document, placeOf } = parseYaml(text);
  const [fault] = document.errors;
  if (fault !== undefined) {
    const { line } = placeOf(fault.pos[0]);
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
  // The key is not shown: a line of htpasswd in place of a name has a hash in it.
  if (issue.code === 'invalid_key') {
    const parent = issue.path.slice(0, -1).join('.');
    return issue.issues.map((inner) => `${parent} has a name that ${inner.message}`);
  }
  if (issue.code === 'invalid_value') return [`${path} must be one of ${issue.values.join(', ')}`];
  if (issue.code === 'invalid_type') return [`${path === '' ? 'the file' : path} must be: ${issue.expected}`];
  return [`${path} ${issue.message}`];
}

function costOf(hash: string): number {
  return Number(hash.slice(4, 6));
}

function isHeaderValue(value: string): boolean {
  try {
    validateHeaderValue('x', value);
    return true;
  } catch {
    return false;
  }
}
