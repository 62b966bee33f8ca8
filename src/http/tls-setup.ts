import { X509Certificate } from 'node:crypto';
import type { ServerOptions } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { createSecureContext } from 'node:tls';
import { z } from 'zod';
import { messageOf } from '../lib/message-of.ts';
import { parseUrl } from '../lib/parse-url.ts';

/** `tls_server_config` of a web configuration in Node's form. Weak or expired settings are refused. */
export interface TlsSetup {
  readonly options: ServerOptions;
  readonly clientAuth: ClientAuth;
  /** Whether a client may stay after a successful handshake. */
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

const VERSIONS = { TLS12: 'TLSv1.2', TLS13: 'TLSv1.3' } as const;

/** The file format uses Go's names; these are OpenSSL's names for them. */
const CURVES = { X25519: 'X25519', CurveP256: 'P-256', CurveP384: 'P-384', CurveP521: 'P-521' } as const;
const CIPHERS = {
  TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: 'ECDHE-ECDSA-AES128-GCM-SHA256',
  TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: 'ECDHE-ECDSA-AES256-GCM-SHA384',
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: 'ECDHE-ECDSA-CHACHA20-POLY1305',
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA: 'ECDHE-ECDSA-AES128-SHA',
  TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA: 'ECDHE-ECDSA-AES256-SHA',
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: 'ECDHE-RSA-AES128-GCM-SHA256',
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: 'ECDHE-RSA-AES256-GCM-SHA384',
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: 'ECDHE-RSA-CHACHA20-POLY1305',
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA: 'ECDHE-RSA-AES128-SHA',
  TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA: 'ECDHE-RSA-AES256-SHA',
  TLS_AES_128_GCM_SHA256: 'TLS_AES_128_GCM_SHA256',
  TLS_AES_256_GCM_SHA384: 'TLS_AES_256_GCM_SHA384',
  TLS_CHACHA20_POLY1305_SHA256: 'TLS_CHACHA20_POLY1305_SHA256',
} as const;
/** The format chooses only among the suites up to TLS 1.2: without these, Node would switch TLS 1.3 off. */
const TLS13_CIPHERS = Object.values(CIPHERS).filter((name) => name.startsWith('TLS_'));

const LEAST_BITS: Readonly<Record<string, number>> = { rsa: 2_048, 'rsa-pss': 2_048, ec: 224 };

const text = z.string().min(1, 'is empty').optional();
const version = z.custom<keyof typeof VERSIONS>(
  (value) => typeof value === 'string' && Object.hasOwn(VERSIONS, value),
  'must be TLS12 or TLS13: older versions are not safe; write TLS12 or leave it out',
);

export const tlsSchema = z.strictObject({
  cert: text,
  cert_file: text,
  key: text,
  key_file: text,
  client_ca: text,
  client_ca_file: text,
  client_auth_type: z
    .enum([...CLIENT_AUTH, 'RequireClientCert'])
    // An older name in the format.
    .transform((kind): ClientAuth => (kind === 'RequireClientCert' ? 'RequireAnyClientCert' : kind))
    .default('NoClientCert'),
  client_allowed_sans: z.array(z.string().min(1, 'is empty')).min(1, 'is empty').optional(),
  min_version: version.default('TLS12'),
  max_version: version.default('TLS13'),
  cipher_suites: z.array(z.enum(keysOf(CIPHERS))).default([]),
  prefer_server_cipher_suites: z.boolean().default(true),
  curve_preferences: z.array(z.enum(keysOf(CURVES))).default([]),
});
export type TlsSettings = z.infer<typeof tlsSchema>;

type PemName = 'cert' | 'key' | 'client_ca';

/** `read` returns the text of `<name>_file`. Throws an error that names the key and the fault. */
export function loadTls(
  settings: TlsSettings,
  options: { readonly read: (name: `${PemName}_file`, path: string) => string; readonly now: number },
): TlsSetup {
  const { client_auth_type: clientAuth, client_allowed_sans: names, min_version: least } = settings;

  /** The PEM text, and the name of the setting that it came from. */
  function pemOf(name: PemName): { readonly pem: string; readonly key: string } | null {
    const [given, path] = [settings[name], settings[`${name}_file`]];
    if (given !== undefined && path !== undefined)
      throw new Error(`tls_server_config has both ${name} and ${name}_file: leave one out`);
    if (given !== undefined) return { pem: given, key: `tls_server_config.${name}` };
    if (path === undefined) return null;
    const key = `tls_server_config.${name}_file`;
    return { pem: options.read(`${name}_file`, path), key: `${key} (${path})` };
  }

  const [cert, key, ca] = [pemOf('cert'), pemOf('key'), pemOf('client_ca')];
  if (cert === null) throw new Error('tls_server_config needs cert_file');
  if (key === null) throw new Error('tls_server_config needs key_file');
  if (ca !== null && clientAuth === 'NoClientCert')
    throw new Error('tls_server_config.client_ca_file needs a client_auth_type');
  if (ca === null && clientAuth.includes('Verify'))
    throw new Error(`tls_server_config.client_auth_type ${clientAuth} needs client_ca_file`);
  if (names !== undefined && !clientAuth.startsWith('Require'))
    throw new Error(
      'tls_server_config.client_allowed_sans needs client_auth_type RequireAndVerifyClientCert or RequireAnyClientCert',
    );
  if (settings.max_version < least)
    throw new Error(`tls_server_config.max_version is older than min_version ${least}`);

  checkCertificate(readCertificate(cert), { key: cert.key, now: options.now });
  // TLS itself silently accepts a file without a certificate, and then refuses every client.
  if (ca !== null) readCertificate(ca);
  const ciphers = settings.cipher_suites.map((name) => CIPHERS[name]);
  const curves = settings.curve_preferences.map((name) => CURVES[name]);
  const serverOptions: ServerOptions = {
    cert: cert.pem,
    key: key.pem,
    ...(ca === null ? {} : { ca: ca.pem }),
    minVersion: VERSIONS[least],
    maxVersion: VERSIONS[settings.max_version],
    ...(ciphers.length === 0 ? {} : { ciphers: [...new Set([...ciphers, ...TLS13_CIPHERS])].join(':') }),
    ...(curves.length === 0 ? {} : { ecdhCurve: curves.join(':') }),
    honorCipherOrder: settings.prefer_server_cipher_suites,
    requestCert: clientAuth !== 'NoClientCert',
    rejectUnauthorized: clientAuth === 'RequireAndVerifyClientCert',
  };
  try {
    createSecureContext(serverOptions);
  } catch (error) {
    throw new Error(`${cert.key} cannot be used with ${key.key}: ${messageOf(error)}`, { cause: error });
  }
  return { options: serverOptions, clientAuth, accepts: acceptance(clientAuth, names) };
}

/** The first certificate in the text: the server's own, which comes before those that signed it. */
function readCertificate({ pem, key }: { readonly pem: string; readonly key: string }): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (error) {
    throw new Error(`${key} holds no certificate: ${messageOf(error)}`, { cause: error });
  }
}

function checkCertificate(
  certificate: X509Certificate,
  { key, now }: { readonly key: string; readonly now: number },
): void {
  const { publicKey, validFrom, validTo } = certificate;
  if (now > Date.parse(validTo)) throw new Error(`${key} expired on ${validTo}: renew the certificate`);
  if (now < Date.parse(validFrom))
    throw new Error(`${key} is valid from ${validFrom} only: wait, or correct the clock`);
  const { asymmetricKeyType: kind = 'unknown', asymmetricKeyDetails: details } = publicKey;
  const bits = details?.modulusLength ?? certificate.toLegacyObject().bits;
  const least = LEAST_BITS[kind] ?? 0;
  if (bits !== undefined && bits < least)
    throw new Error(
      `${key} has a weak key, ${kind} of ${bits} bits: make one of at least ${least}, as by openssl req -newkey rsa:2048`,
    );
}

function acceptance(
  clientAuth: ClientAuth,
  names: readonly string[] | undefined,
): (socket: TLSSocket) => boolean {
  const allowed = names === undefined ? null : new Set(names.map(canonicalName));
  return (socket) => {
    const certificate = socket.getPeerX509Certificate();
    // The handshake has already decided when no certificate is requested or when verification is required.
    if (clientAuth === 'VerifyClientCertIfGiven' && certificate !== undefined && !socket.authorized)
      return false;
    if (clientAuth === 'RequireAnyClientCert' && certificate === undefined) return false;
    return allowed === null || alternativeNames(certificate).some((name) => allowed.has(name));
  };
}

/**
 * Node gives the names as `DNS:a, IP Address:0:0:0:0:0:0:0:1`. A name with a comma or a quote is a JSON text, with its
 * comma escaped.
 */
function alternativeNames(certificate: X509Certificate | undefined): string[] {
  const listed = certificate?.subjectAltName?.split(', ') ?? [];
  return listed
    .map((entry) => entry.slice(entry.indexOf(':') + 1))
    .map((name) => canonicalName(name.startsWith('"') ? String(JSON.parse(name)) : name));
}

/** Gives an IPv6 address, which can be written in several ways, one form. */
function canonicalName(name: string): string {
  return parseUrl(`http://[${name}]`)?.hostname ?? name;
}

function keysOf<T extends Readonly<Record<string, unknown>>>(record: T): (keyof T & string)[] {
  return Object.keys(record);
}
