import { ProxyFailure } from './agents.ts';
import { AgentFailure } from './container-agent.ts';
import { PLAIN_HTTP, speaksNoTls } from './no-tls.ts';
import { refusalOf } from './refusal.ts';
import type { PolicyKind, RefusalCause } from './refusal.ts';
import { codeOf, statusOf } from './thrown.ts';
import type { Thrown } from './thrown.ts';

/** Why a request to object storage has no answer. Each is something else to do for whoever reads it. */
export type S3Reason =
  /** The credentials are missing, wrong or expired, or a policy forbids it. */
  | 'denied'
  | 'throttled'
  | 'timeout'
  /** No connection, a broken one, an unknown host, or a certificate that is not trusted. */
  | 'unreachable'
  | 'no_such_bucket'
  | 'wrong_region'
  /** It answered, but with neither the result nor one of these reasons: a fault of its own, or not S3 at all. */
  | 'server_error'
  | 'clock_skew'
  /** The caller's signal ended it. */
  | 'aborted';

/**
 * Who gave the answer. `exporter`: the call was ended or never sent by us. `credentials`: nobody was asked, for there
 * are none. `sts`: the request for credentials was refused. `agent`: the agent of the container's credentials gave none. `network`: no answer came, or TLS failed. `proxy`: a
 * server in between that does not speak S3.
 */
export type Party = 'exporter' | 'credentials' | 'sts' | 'agent' | 'network' | 'proxy' | 's3';

/** Says who refused a request and why, as data: nothing has to be read out of a sentence. */
export interface Said {
  readonly by: Party;
  /** The word of the storage, of STS or of Node, as `AccessDenied`; null: there was none. */
  readonly code: string | null;
  /** HTTP status; null: there was no answer. */
  readonly status: number | null;
  /** Null: none of these, or the answer does not tell. */
  readonly cause: RefusalCause | null;
  /** The action that the answer names, as `kms:Decrypt`; null: it names none. */
  readonly action: string | null;
  /** The kind of policy that denies it, or that does not allow it; null: the answer names none. */
  readonly policy: PolicyKind | null;
}

/** Not known: neither present nor missing, neither done nor undone. */
export interface Unknown {
  readonly kind: 'unknown';
  readonly reason: S3Reason;
  /** Short and free of secrets: `AccessDenied (403)`, `ECONNREFUSED`. */
  readonly detail: string;
  readonly said: Said;
}

/** A failure that is known without an answer. */
export function unknown(reason: S3Reason, detail: string, by: Party): Unknown {
  return {
    kind: 'unknown',
    reason,
    detail,
    said: { by, code: null, status: null, cause: null, action: null, policy: null },
  };
}

const reasonsByCode: ReadonlyMap<string, S3Reason> = new Map([
  ['NoSuchBucket', 'no_such_bucket'],
  ['InvalidBucketName', 'no_such_bucket'],
  ['PermanentRedirect', 'wrong_region'],
  ['TemporaryRedirect', 'wrong_region'],
  ['AuthorizationHeaderMalformed', 'wrong_region'],
  ['IllegalLocationConstraintException', 'wrong_region'],
  ['SlowDown', 'throttled'],
  ['SlowDownRead', 'throttled'],
  ['SlowDownWrite', 'throttled'],
  ['ServiceUnavailable', 'throttled'],
  ['RequestLimitExceeded', 'throttled'],
  ['Throttling', 'throttled'],
  ['ThrottlingException', 'throttled'],
  ['TooManyRequests', 'throttled'],
  ['RequestTimeTooSkewed', 'clock_skew'],
  ['RequestExpired', 'clock_skew'],
  ['RequestInTheFuture', 'clock_skew'],
  ['ExpiredToken', 'denied'],
  ['ExpiredTokenException', 'denied'],
  ['InvalidToken', 'denied'],
  ['TokenRefreshRequired', 'denied'],
  ['InvalidAccessKeyId', 'denied'],
  ['InvalidClientTokenId', 'denied'],
  // versitygw's word for an access key that it does not know, with 404 where AWS, MinIO and Ceph answer 403.
  ['XAdminUserNotFound', 'denied'],
  ['CredentialsProviderError', 'denied'],
  ['TokenProviderError', 'denied'],
  ['RequestTimeout', 'timeout'],
  ['TimeoutError', 'timeout'],
  ['ETIMEDOUT', 'timeout'],
]);

/** Whether this may be an answer of 400 to a HEAD: it has no body, so the code that says what is wrong is missing. */
export function isBodilessBadRequest({ said }: Unknown): boolean {
  return said.status === 400 && said.code === null;
}

/** AWS refuses a signature older than this. */
const toleratedSkewMs = 15 * 60_000;

/** Node's names for what goes wrong below HTTP: sockets, name look-up, TLS, and answers that are not HTTP. */
const connectionCode =
  /^(?:E(?:CONN|HOST|NET|PIPE|NOTFOUND|AI_|ADDR|PROTO)|HPE_|ERR_(?:TLS|SSL)|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED)/;

/** Only with the storage's own word for it: a proxy's 404 says nothing about the key. A HEAD has no word. */
export function isNoSuchKey(error: unknown, operation: string): boolean {
  const thrown = Object(error) as Thrown;
  const code = codeOf(thrown);
  return statusOf(thrown) === 404 && (operation === 'head' ? code === null : code === 'NoSuchKey');
}

const NO_HEADER = 'not sent: the access key or the token has a line break in it, which no header takes';

const NO_CREDENTIALS =
  'no credentials found, and the exporter asks nothing without a signature, as a worker may: give it AIRFLOW_CONN_… of the connection that the path names, or credentials of AWS';

/** Node's names for a file that cannot be read. */
const fileCodes: ReadonlySet<string> = new Set(['ENOENT', 'EACCES', 'EISDIR']);

function noTokenFile(code: string): string {
  return `no credentials: the token file of AWS_WEB_IDENTITY_TOKEN_FILE cannot be read (${code})`;
}

/**
 * Names the reason for what a request threw. A HEAD has no body, hence no code: its status and headers decide.
 * `now` is this machine's clock in epoch milliseconds. `sent` is false when no attempt had begun: then the request was
 * one for credentials. `hasBody`: S3 says why it refuses, as it does not to a HEAD.
 */
export function explainFailure(
  error: unknown,
  { now, sent, hasBody }: { now: number; sent: boolean; hasBody: boolean },
): Unknown {
  if (error instanceof AgentFailure) return explainAgent(error);
  if (error instanceof ProxyFailure) return explainProxy(error, sent);
  const thrown = Object(error) as Thrown;
  const code = codeOf(thrown);
  const status = statusOf(thrown);
  if (code === 'CredentialsProviderError' || code === 'TokenProviderError')
    return unknown('denied', NO_CREDENTIALS, 'credentials');
  // Node makes no header of it.
  if (code === 'ERR_INVALID_CHAR') {
    const { said, ...answer } = unknown('denied', NO_HEADER, 'credentials');
    return { ...answer, said: { ...said, code } };
  }
  if (isRegionRefused(thrown))
    return unknown('wrong_region', 'not sent: the region is no name of a region', 'exporter');
  // The token of a web identity is a file, and nobody can be asked without it.
  if (!sent && code !== null && fileCodes.has(code))
    return unknown('denied', noTokenFile(code), 'credentials');
  const words = wordsOf({ code, status });
  const said = { code, status, ...refusalOf(thrown, { code, status }) };
  if (!sent) {
    // STS refuses in words of its own, and none of them is about the bucket.
    const answered = status === null ? 'did not answer:' : 'answered';
    return {
      kind: 'unknown',
      reason: reasonOfRefusedCredentials(status),
      detail: `no credentials: STS ${answered} ${words}`,
      said: { ...said, by: 'sts' },
    };
  }
  const headers = thrown.$response?.headers ?? {};
  const by =
    status === null ? 'network' : isOfProxy(status, { ...thrown, code, headers, hasBody }) ? 'proxy' : 's3';
  const reason = reasonOf({ code, status, headers, now, by });
  const region = reason === 'wrong_region' ? regionOf(thrown, headers) : null;
  // Without a status the code alone is the words.
  const more = speaksNoTls(error) ? PLAIN_HTTP : region === null ? null : `S3 asks for the region ${region}`;
  const server = by === 'proxy' ? nameOf(headers) : null;
  const who = server === null ? words : `${words} from ${server}`;
  return {
    kind: 'unknown',
    reason,
    detail: more === null ? who : `${who}: ${more}`,
    said: { ...said, by },
  };
}

/** The SDK has no name for it. See test/unit/s3/refused-region.test.ts. */
function isRegionRefused({ message }: Thrown): boolean {
  return typeof message === 'string' && message.startsWith('Region not accepted:');
}

/** The region that S3 names in place of the one that was asked in; null: it names none. */
function regionOf({ Region: region }: Thrown, headers: Readonly<Record<string, string>>): string | null {
  const named = region ?? headers['x-amz-bucket-region'];
  return typeof named === 'string' && /^[a-z0-9-]{1,40}$/.test(named) ? named : null;
}

function explainAgent({ host, status, code }: AgentFailure): Unknown {
  const answered = status === null ? 'did not answer:' : 'answered';
  return {
    kind: 'unknown',
    reason: reasonOfRefusedCredentials(status),
    detail: `no credentials: the agent of credentials at ${host} ${answered} ${wordsOf({ code, status })}`,
    said: { by: 'agent', code, status, cause: null, action: null, policy: null },
  };
}

function explainProxy({ message, status, code }: ProxyFailure, sent: boolean): Unknown {
  return {
    kind: 'unknown',
    reason: 'unreachable',
    detail: sent ? message : `no credentials: ${message}`,
    said: { by: 'proxy', code, status, cause: null, action: null, policy: null },
  };
}

function reasonOfRefusedCredentials(status: number | null): S3Reason {
  if (status === null) return 'unreachable';
  return status >= 500 ? 'server_error' : 'denied';
}

function wordsOf({ code, status }: { code: string | null; status: number | null }): string {
  return status === null ? (code ?? 'no answer') : `${code ?? 'no code'} (${status})`;
}

function reasonOf(answer: {
  code: string | null;
  status: number | null;
  headers: Readonly<Record<string, string>>;
  now: number;
  by: Party;
}): S3Reason {
  const { code, status } = answer;
  const known = code === null ? undefined : reasonsByCode.get(code);
  if (known !== undefined) return known;
  if (code !== null && connectionCode.test(code)) return 'unreachable';
  return status === null ? 'server_error' : reasonByStatus(status, answer);
}

/** S3 says these in XML alone, with a code, or without a body. */
const coded: ReadonlySet<number> = new Set([401, 403]);

/**
 * S3 and the servers that speak like it answer in XML, and a page of HTML is somebody else's. So is a redirect without a
 * word of S3, as to a page where people log in: to a HEAD, S3 sends headers of its own.
 */
function isOfProxy(
  status: number,
  answer: {
    readonly code: string | null;
    readonly headers: Readonly<Record<string, string>>;
    readonly hasBody: boolean;
    readonly message?: unknown;
  },
): boolean {
  const { code, headers, hasBody, message } = answer;
  // The console of MinIO, in the form of S3.
  if (typeof message === 'string' && message.includes('must be made to API port')) return true;
  const type = headers['content-type'] ?? '';
  if (status === 407 || /^text\/html\b/.test(type)) return true;
  if (code !== null) return false;
  if (hasBody && coded.has(status) && !/\bxml\b/.test(type)) return true;
  const isRedirect = status >= 300 && status < 400;
  return isRedirect && !Object.keys(headers).some((name) => name.startsWith('x-amz-'));
}

/** What a server calls itself; null: nothing that can be shown. */
function nameOf({ server }: Readonly<Record<string, string>>): string | null {
  return server !== undefined && /^[\w./() +-]{1,60}$/.test(server) ? server : null;
}

function reasonByStatus(
  status: number,
  answer: { code: string | null; headers: Readonly<Record<string, string>>; now: number; by: Party },
): S3Reason {
  const { code, headers, now, by } = answer;
  switch (status) {
    case 401:
    case 403:
      return code === null && isSkewed(headers, now) ? 'clock_skew' : 'denied';
    case 301:
    case 307:
    case 308:
      return by === 'proxy' ? 'server_error' : 'wrong_region';
    case 400:
      return code === null && headers['x-amz-bucket-region'] !== undefined ? 'wrong_region' : 'server_error';
    case 408:
    case 504:
      return 'timeout';
    case 429:
      return 'throttled';
    case 503:
      // Without a code nothing tells "slow down" from "out of order", and slowing down is right for both.
      return code === null ? 'throttled' : 'server_error';
    default:
      return 'server_error';
  }
}

function isSkewed(headers: Readonly<Record<string, string>>, now: number): boolean {
  return Math.abs(Date.parse(headers['date'] ?? '') - now) > toleratedSkewMs;
}
