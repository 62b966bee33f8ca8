import type { IncomingMessage } from 'node:http';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { PeerCertificate } from 'node:tls';
import { withoutPasswords } from '../lib/without-passwords.ts';
import type { Way } from './agents.ts';
import { openAgents, ProxyFailure } from './agents.ts';
import type { S3Connection } from './connection.ts';
import { speaksNoTls } from './no-tls.ts';

/** What an endpoint says of itself and of a bucket to somebody who shows no credentials. */
export type Greeting =
  | {
      readonly kind: 'answered';
      /** No secret is in it. */
      readonly url: string;
      readonly seconds: number;
      /** By how much the storage's clock is ahead of this machine's, in whole seconds; null: it names no date. */
      readonly skewSeconds: number | null;
      /** Where the bucket is; null where the storage does not say. */
      readonly bucketRegion: string | null;
      /** Null over plain HTTP. */
      readonly tls: {
        readonly protocol: string;
        /** Null: the certificate was not sent again. */ readonly validTo: string | null;
      } | null;
    }
  | {
      readonly kind: 'failed';
      readonly url: string;
      /** `tls`: there is a server, and its certificate is not to be trusted, or there is no TLS. */
      readonly stage: 'connection' | 'tls' | 'timeout' | 'proxy';
      /** Node's word for it, as `ECONNREFUSED`, or what the proxy did. */
      readonly code: string;
    };

const timeoutMs = 5_000;
const defaultRegion = 'us-east-1';
/** A name with dots would match no certificate. */
const HOST_LABEL = /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/;
const ACCESS_POINT = /^arn:aws[^:]*:s3:([a-z0-9-]+):(\d{12}):accesspoint[:/](.+)$/;

/** What Node calls a certificate that it does not trust, and a server that speaks something else. */
const tlsCode = /^(?:ERR_TLS|ERR_SSL|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_|EPROTO)/;

/** Node's word for a certificate of another name. */
export const OTHER_NAME = 'ERR_TLS_CERT_ALTNAME_INVALID';

/** What the newest Node calls a server that answers `https` in plain HTTP. */
export const NO_TLS = 'ERR_SSL_WRONG_VERSION_NUMBER';

/**
 * Sends one unsigned HEAD for the bucket. S3 names the bucket's region and the time in any answer, also in that
 * it refuses: neither can be had from the SDK, which follows a redirect and mends a skewed clock by itself.
 * Never throws.
 */
export async function greet(
  connection: Pick<S3Connection, 'endpoint' | 'region' | 'forcePathStyle'> & Way,
  bucket: string,
  signal: AbortSignal,
): Promise<Greeting> {
  const address = addressOf(connection, bucket);
  const url = withoutPasswords(address);
  const start = performance.now();
  const startedAt = Date.now();
  try {
    const { answer, tls } = await head(address, { way: connection, signal });
    const milliseconds = performance.now() - start;
    const date = Date.parse(answer.headers.date ?? '');
    const region = answer.headers['x-amz-bucket-region'];
    return {
      kind: 'answered',
      url,
      seconds: milliseconds / 1_000,
      skewSeconds: Number.isNaN(date) ? null : skewOf(date, { startedAt, milliseconds }),
      // Behind an access point it is nobody's concern who asks there.
      bucketRegion: typeof region === 'string' && region !== '' && !ACCESS_POINT.test(bucket) ? region : null,
      tls,
    };
  } catch (error) {
    if (error instanceof ProxyFailure) return { kind: 'failed', url, stage: 'proxy', code: error.message };
    const code = speaksNoTls(error) ? NO_TLS : codeOf(error);
    const names = namesOf(error);
    const stage = code === 'ETIMEDOUT' ? 'timeout' : tlsCode.test(code) ? 'tls' : 'connection';
    return { kind: 'failed', url, stage, code: names === null ? code : `${code}: it names ${names}` };
  }
}

/** The header is cut to whole seconds, so any time within the second that it names is no skew. */
function skewOf(date: number, sent: { startedAt: number; milliseconds: number }): number {
  const arrived = sent.startedAt + sent.milliseconds;
  if (date + 999 < sent.startedAt) return -Math.round((sent.startedAt - date - 999) / 1_000);
  return date > arrived ? Math.round((date - arrived) / 1_000) : 0;
}

/** Where the SDK will ask: it names the bucket in the host, if it may and can. */
function addressOf(
  { endpoint, region, forcePathStyle }: Pick<S3Connection, 'endpoint' | 'region' | 'forcePathStyle'>,
  bucket: string,
): string {
  const point = ACCESS_POINT.exec(bucket);
  if (point !== null && endpoint === null) {
    const [, at = '', account = '', name = ''] = point;
    return `https://${name}-${account}.s3-accesspoint.${at}.${suffixOf(at)}/`;
  }
  const place = region ?? defaultRegion;
  const base = endpoint ?? `https://s3.${place}.${suffixOf(place)}`;
  const [, scheme = '', host = '', path = ''] = /^(https?:\/\/)([^/]+)(.*)$/i.exec(base) ?? [];
  if (!forcePathStyle && HOST_LABEL.test(bucket) && isIP(host.replace(/:\d+$/, '')) === 0)
    return `${scheme}${bucket}.${host}${path.replace(/\/+$/, '')}/`;
  return `${base.replace(/\/+$/, '')}/${encodeURIComponent(bucket)}`;
}

function suffixOf(region: string): string {
  return region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com';
}

function head(
  url: string,
  { way, signal }: { readonly way: Way; readonly signal: AbortSignal },
): Promise<{ answer: IncomingMessage; tls: ReturnType<typeof tlsOf> }> {
  const { httpAgent, httpsAgent } = openAgents(way, { keepAlive: false, maxSockets: 1 });
  return new Promise((resolve, reject) => {
    const sent = /^https:/i.test(url)
      ? httpsRequest(url, { method: 'HEAD', agent: httpsAgent, signal })
      : httpRequest(url, { method: 'HEAD', agent: httpAgent, signal });
    const timer = setTimeout(() => {
      sent.destroy(Object.assign(new Error('no answer in time'), { code: 'ETIMEDOUT' }));
    }, timeoutMs);
    sent.once('response', (answer) => {
      // Read while the socket is still there.
      const tls = tlsOf(answer);
      answer.resume();
      resolve({ answer, tls });
    });
    sent.once('error', reject);
    sent.once('close', () => {
      clearTimeout(timer);
    });
    sent.end();
  });
}

function tlsOf({ socket }: IncomingMessage): { protocol: string; validTo: string | null } | null {
  if (!(socket instanceof TLSSocket)) return null;
  // Its type does not know that a certificate may be none.
  const certificate: Partial<PeerCertificate> = socket.getPeerCertificate();
  return { protocol: socket.getProtocol() ?? 'TLS', validTo: certificate.valid_to ?? null };
}

/** The names of a certificate that is somebody else's; null: that is not so. */
function namesOf(error: unknown): string | null {
  const { code, cert } = Object(error) as { code?: unknown; cert?: { subjectaltname?: unknown } };
  const names = cert?.subjectaltname;
  return code === OTHER_NAME && typeof names === 'string' ? names.slice(0, 200) : null;
}

/** Node tries every address of a name and packs the failures together. */
function codeOf(error: unknown): string {
  const { code, errors } = Object(error) as { code?: unknown; errors?: readonly unknown[] };
  if (typeof code === 'string') return code;
  return errors?.[0] === undefined ? 'no answer' : codeOf(errors[0]);
}
