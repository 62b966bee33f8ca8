import type { IncomingMessage } from 'node:http';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { TLSSocket } from 'node:tls';
import type { PeerCertificate } from 'node:tls';
import { withoutPasswords } from '../lib/without-passwords.ts';
import type { Way } from './agents.ts';
import { openAgents, ProxyFailure, WayLate } from './agents.ts';
import { bucketUrl } from './bucket-url.ts';
import type { S3Connection } from './connection.ts';
import { noAnswerIn } from './failure.ts';
import { speaksNoTls } from './no-tls.ts';

/** The endpoint's answer about itself and a bucket to a request without credentials. */
export type Greeting =
  | {
      readonly kind: 'answered';
      /** Contains no secret. */
      readonly url: string;
      readonly seconds: number;
      /** Whole seconds by which the storage's clock is ahead of this machine's; null when the answer has no date. */
      readonly skewSeconds: number | null;
      /** The bucket's region; null when the storage does not name it. */
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
      /**
       * `timeout`: a server is there and did not answer in our time, or the way to it was not open; a worker waits longer. `tls`: a server is there, but
       * its certificate is not trusted or it does not speak TLS.
       */
      readonly stage: 'connection' | 'tls' | 'timeout' | 'proxy';
      /** Node's error code, e.g. `ECONNREFUSED`, or what the proxy did. */
      readonly code: string;
    }
  /** The SDK has no address for the bucket, as each request to the store then says. */
  | { readonly kind: 'unsent' };

const timeoutMs = 5_000;
const LATE = noAnswerIn(timeoutMs);
/** The way has to be told as late before the whole is. */
const patienceMs = 4_000;

/** Node's codes for a certificate that it does not trust, and for a server that does not speak TLS. */
const tlsCode = /^(?:ERR_TLS|ERR_SSL|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_|EPROTO)/;

/** Node's code for a certificate issued to another name. */
export const OTHER_NAME = 'ERR_TLS_CERT_ALTNAME_INVALID';

/** The newest Node's code for a server that answers `https` in plain HTTP. */
export const NO_TLS = 'ERR_SSL_WRONG_VERSION_NUMBER';

/**
 * Sends one unsigned HEAD for the bucket. S3 gives the bucket's region and the time in every answer, even in a refusal.
 * The SDK gives neither: it follows a redirect and corrects a skewed clock by itself. Never throws.
 */
export async function greet(
  connection: S3Connection,
  bucket: string,
  signal: AbortSignal,
): Promise<Greeting> {
  const address = await bucketUrl(connection, bucket).catch(() => null);
  if (address === null) return { kind: 'unsent' };
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
      // For an access point, the region of the bucket behind it does not matter to the caller.
      bucketRegion: typeof region === 'string' && region !== '' && !bucket.startsWith('arn:') ? region : null,
      tls,
    };
  } catch (error) {
    if (error instanceof ProxyFailure) return { kind: 'failed', url, stage: 'proxy', code: error.message };
    if (error instanceof WayLate) return { kind: 'failed', url, stage: 'timeout', code: error.message };
    const code = speaksNoTls(error) ? NO_TLS : codeOf(error);
    const names = namesOf(error);
    const stage = code === LATE ? 'timeout' : tlsCode.test(code) ? 'tls' : 'connection';
    return { kind: 'failed', url, stage, code: names === null ? code : `${code}: it names ${names}` };
  }
}

/** The header is cut to whole seconds, so any time within the named second counts as no skew. */
function skewOf(date: number, sent: { startedAt: number; milliseconds: number }): number {
  const arrived = sent.startedAt + sent.milliseconds;
  if (date + 999 < sent.startedAt) return -Math.round((sent.startedAt - date - 999) / 1_000);
  return date > arrived ? Math.round((date - arrived) / 1_000) : 0;
}

function head(
  url: string,
  { way, signal }: { readonly way: Way; readonly signal: AbortSignal },
): Promise<{ answer: IncomingMessage; tls: ReturnType<typeof tlsOf> }> {
  const { httpAgent, httpsAgent } = openAgents(way, {
    keepAlive: false,
    maxSockets: 1,
    patienceMs,
    triesAgain: false,
  });
  return new Promise((resolve, reject) => {
    const sent = /^https:/i.test(url)
      ? httpsRequest(url, { method: 'HEAD', agent: httpsAgent })
      : httpRequest(url, { method: 'HEAD', agent: httpAgent });
    const end = (message: string, code?: string) => {
      clearTimeout(timer);
      const error = Object.assign(new Error(message), { code });
      sent.destroy(error);
      // A request without a socket, as before a proxy, does not tell that it was ended.
      reject(error);
    };
    const timer = setTimeout(() => {
      const isThere = sent.socket?.connecting === false;
      end('no answer in time', isThere ? LATE : 'ETIMEDOUT');
    }, timeoutMs);
    const abort = () => {
      end('aborted');
    };
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    sent.once('response', (answer) => {
      // Read now, while the socket still exists.
      const tls = tlsOf(answer);
      answer.resume();
      resolve({ answer, tls });
    });
    sent.once('error', reject);
    sent.once('close', () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    });
    sent.end();
  });
}

function tlsOf({ socket }: IncomingMessage): { protocol: string; validTo: string | null } | null {
  if (!(socket instanceof TLSSocket)) return null;
  // The type does not say that there may be no certificate.
  const certificate: Partial<PeerCertificate> = socket.getPeerCertificate();
  return { protocol: socket.getProtocol() ?? 'TLS', validTo: certificate.valid_to ?? null };
}

/** The names in a certificate that belongs to another host; null for any other error. */
function namesOf(error: unknown): string | null {
  const { code, cert } = Object(error) as { code?: unknown; cert?: { subjectaltname?: unknown } };
  const names = cert?.subjectaltname;
  return code === OTHER_NAME && typeof names === 'string' ? names.slice(0, 200) : null;
}

/** Node tries every address of a host name and wraps the failures in one error. */
function codeOf(error: unknown): string {
  const { code, errors } = Object(error) as { code?: unknown; errors?: readonly unknown[] };
  if (typeof code === 'string') return code;
  return errors?.[0] === undefined ? 'no answer' : codeOf(errors[0]);
}
