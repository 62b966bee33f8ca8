import { ProxyFailure, WayLate } from './agents.ts';
import { AgentFailure } from './container-agent.ts';
import { CredentialsFailure } from './credentials-failure.ts';
import { CredentialsLate } from './credentials.ts';
import { fromServer, headersOf, isOfProxy, isWebPage } from './in-between.ts';
import { PLAIN_HTTP, speaksNoTls } from './no-tls.ts';
import { isOfNetwork, reasonOf, reasonOfNoCredentials } from './reason.ts';
import type { S3Reason } from './reason.ts';
import { refusalOf } from './refusal.ts';
import type { PolicyKind, RefusalCause } from './refusal.ts';
import { SessionFailure } from './sessions.ts';
import { codeOf, regionOf, statusOf } from './thrown.ts';
import type { Thrown } from './thrown.ts';

/**
 * Who gave the answer. `exporter`: we ended the call, perhaps since our time for it was over, or never sent it. `sdk`: the AWS SDK made no request of the call,
 * e.g. because its rules have no host for the bucket. `credentials`: nobody was asked, because there
 * are no credentials. `sts`: STS refused the request for credentials. `agent`: the container's credentials agent gave
 * none. `network`: no answer came, or TLS failed. `proxy`: a server in between answered that does not speak S3.
 */
export type Party = 'exporter' | 'sdk' | 'credentials' | 'sts' | 'agent' | 'network' | 'proxy' | 's3';

/** Says as data who refused a request and why, so that nobody has to parse a sentence. */
export interface Said {
  readonly by: Party;
  /** The error code from the storage, STS or Node, e.g. `AccessDenied`; null when there was none. */
  readonly code: string | null;
  /** HTTP status; null: there was no answer. */
  readonly status: number | null;
  /** Null: the cause is none of these, or the answer does not tell. */
  readonly cause: RefusalCause | null;
  /** The action that the answer names, e.g. `kms:Decrypt`; null when the answer names none. */
  readonly action: string | null;
  /** The kind of policy that denies or does not allow the action; null when the answer names none. */
  readonly policy: PolicyKind | null;
  /** Present when nothing was sent to S3, e.g. because a proxy opened no way to STS. */
  readonly unasked?: true;
}

/** Nothing is known: the object is neither present nor missing, and the request neither done nor undone. */
export interface Unknown {
  readonly kind: 'unknown';
  readonly reason: S3Reason;
  /** Short and free of secrets: `AccessDenied (403)`, `ECONNREFUSED`. */
  readonly detail: string;
  readonly said: Said;
}

/** A failure that needs no answer to be known. */
export function unknown(reason: S3Reason, detail: string, by: Party): Unknown {
  return {
    kind: 'unknown',
    reason,
    detail,
    said: { by, code: null, status: null, cause: null, action: null, policy: null },
  };
}

/** The detail for a success that lacks what every answer of S3 has. */
export const NO_ANSWER_OF_S3 = 'not an answer of S3';

/** Whether this may be a 400 answer to a HEAD. Such an answer has no body and therefore no error code. */
export function isBodilessBadRequest({ said }: Unknown): boolean {
  return said.status === 400 && said.code === null;
}

/** Whether S3 knows who asks and does not allow it: it may allow the same below another prefix. */
export function isOfPath(failure: Unknown): boolean {
  const { cause } = failure.said;
  return isOfS3(failure) && failure.reason === 'denied' && cause !== 'identity' && cause !== 'account';
}

/**
 * Whether S3 itself answered, be it to what stands in for a connection: that is told as missing credentials, whoever
 * answered.
 */
export function isOfS3({ said: { by, status, unasked: wasUnasked } }: Unknown): boolean {
  return by === 's3' || (by === 'credentials' && status !== null && wasUnasked !== true);
}

/** Requires the storage's own code, because a proxy's 404 says nothing about the key. A HEAD has no code. */
export function isNoSuchKey(error: unknown, operation: string): boolean {
  const thrown = Object(error) as Thrown;
  const code = codeOf(thrown);
  if (statusOf(thrown) !== 404) return false;
  return operation === 'head' ? code === null && !isWebPage(headersOf(thrown)) : code === 'NoSuchKey';
}

const NO_HEADER = 'not sent: the access key or the token has a line break in it, which no header takes';

const NO_CREDENTIALS =
  'no credentials found, and the exporter asks nothing without a signature, as a worker may: give it AIRFLOW_CONN_… of the connection that the path names, or credentials of AWS';

/**
 * Gives the reason for an error that a request threw. A HEAD has no body, hence no code: its status and headers decide.
 * `now` is this machine's clock in epoch milliseconds. `sent` is false when no attempt had begun. `hasBody`: S3 can say
 * why it refuses; to a HEAD it cannot.
 */
export function explainFailure(
  error: unknown,
  { now, sent, hasBody }: { now: number; sent: boolean; hasBody: boolean },
): Unknown {
  if (error instanceof SessionFailure) {
    const { cause } = error;
    // The request for a session is one to S3 as well.
    return explainFailure(cause, { now, sent: !(cause instanceof CredentialsFailure), hasBody: true });
  }
  const failure = explain(error, { now, sent, hasBody });
  return sent ? failure : unasked(failure);
}

/** Adds that nothing was sent to S3. */
export function unasked(failure: Unknown): Unknown {
  return { ...failure, said: { ...failure.said, unasked: true } };
}

function explain(
  error: unknown,
  { now, sent, hasBody }: { now: number; sent: boolean; hasBody: boolean },
): Unknown {
  if (error instanceof CredentialsFailure) return explainCredentials(error.cause, now);
  if (error instanceof ProxyFailure) return explainProxy(error, '');
  if (error instanceof WayLate) return unknown('timeout', error.message, 'exporter');
  const thrown = Object(error) as Thrown;
  const code = codeOf(thrown);
  const status = statusOf(thrown);
  if (isHeaderRefused(code)) return ofCredentials(NO_HEADER, code);
  if (isRegionRefused(thrown))
    return unknown('wrong_region', 'not sent: the region is no name of a region', 'exporter');
  const waitedMs = status === null ? waited(thrown) : null;
  if (waitedMs !== null) {
    const { said, ...answer } = unknown('timeout', noAnswerIn(waitedMs), 'exporter');
    return { ...answer, said: { ...said, code } };
  }
  if (isOfSdk(thrown, { code, status, sent })) return unknown('unreachable', wordsOfSdk(thrown, code), 'sdk');
  const words = wordsOf({ code, status });
  const said = { code, status, ...refusalOf(thrown, { code, status }) };
  const headers = headersOf(thrown);
  const by =
    status === null ? 'network' : isOfProxy(status, { ...thrown, code, headers, hasBody }) ? 'proxy' : 's3';
  const region = regionOf(thrown);
  const reason = reasonOf({ ...said, headers, now, isOfProxy: by === 'proxy', region });
  const wanted = reason === 'wrong_region' ? region : regionInWords(thrown);
  // Without a status, `words` is the code alone.
  const more = speaksNoTls(error) ? PLAIN_HTTP : wanted === null ? null : `S3 asks for the region ${wanted}`;
  const who = by === 'proxy' ? `${words}${fromServer(headers)}` : words;
  return {
    kind: 'unknown',
    reason,
    detail: more === null ? who : `${who}: ${more}`,
    said: { ...said, by },
  };
}

/** The detail for an answer that did not come in our time. A worker may wait longer for it. */
export function noAnswerIn(ms: number): string {
  return `no answer in ${ms} ms`;
}

/**
 * The milliseconds that a connected server had for its answer; null: it failed in another way. The SDK calls a
 * connection that takes too long by the same name. See test/integration/s3/s3-client.test.ts.
 */
function waited({ name, message }: Thrown): number | null {
  if (name !== 'TimeoutError' || typeof message !== 'string' || message.includes('did not establish'))
    return null;
  const ms = /\b(\d+) ms\b/.exec(message)?.[1];
  return ms === undefined ? null : Number(ms);
}

/** Whoever was asked for credentials is the one to look at, and nothing was asked of S3. */
function explainCredentials(error: unknown, now: number): Unknown {
  if (error instanceof AgentFailure) return explainAgent(error, now);
  if (error instanceof ProxyFailure) return explainProxy(error, NONE);
  if (error instanceof WayLate) return unknown('timeout', `${NONE}${error.message}`, 'credentials');
  if (error instanceof CredentialsLate) return unknown('timeout', error.message, 'credentials');
  const thrown = Object(error) as Thrown;
  const code = codeOf(thrown);
  const status = statusOf(thrown);
  if (code === 'CredentialsProviderError' || code === 'TokenProviderError')
    return unknown('denied', NO_CREDENTIALS, 'credentials');
  if (isHeaderRefused(code)) return ofCredentials(NO_HEADER, code);
  if (isRegionRefused(thrown))
    return unknown('wrong_region', 'not sent: the region is no name of a region', 'exporter');
  const file = fileOf(thrown);
  if (file !== null) return ofCredentials(`${NONE}${file} cannot be read (${code ?? 'no word'})`, code);
  // A client of the SDK leaves this in its errors, and STS alone is asked for credentials by one.
  if (thrown.$metadata === undefined)
    return ofCredentials(`${NONE}what gives them failed (${code ?? 'no word'})`, code);
  const said = { code, status, ...refusalOf(thrown, { code, status }) };
  const headers = headersOf(thrown);
  const isProxied = status !== null && isOfProxy(status, { ...thrown, code, headers, hasBody: true });
  const answered = isProxied
    ? `in place of STS a proxy answered ${wordsOf(said)}${fromServer(headers)}`
    : `STS ${status === null ? 'did not answer:' : 'answered'} ${wordsOf(said)}`;
  return {
    kind: 'unknown',
    reason: reasonOfNoCredentials({ ...said, headers, now, isOfProxy: isProxied }),
    detail: `${NONE}${answered}`,
    said: { ...said, by: isProxied ? 'proxy' : 'sts' },
  };
}

const NONE = 'no credentials: ';

function ofCredentials(detail: string, code: string | null): Unknown {
  const { said, ...answer } = unknown('denied', detail, 'credentials');
  return { ...answer, said: { ...said, code } };
}

/** Node refuses to put the character in a header. */
function isHeaderRefused(code: string | null): boolean {
  return code === 'ERR_INVALID_CHAR';
}

/** The file that could not be read; null: that was not the reason. */
function fileOf({ path, code, cause }: Thrown): string | null {
  if (typeof path === 'string' && isOfFile(code)) return path;
  return typeof cause === 'object' && cause !== null ? fileOf(cause) : null;
}

const fileCodes: ReadonlySet<unknown> = new Set(['ENOENT', 'EACCES', 'EISDIR']);

/** Whether this is Node's code for a file that cannot be read. */
export function isOfFile(code: unknown): boolean {
  return fileCodes.has(code);
}

/** The SDK has no error name for this. See test/unit/s3/refused-region.test.ts. */
function isRegionRefused({ message }: Thrown): boolean {
  return typeof message === 'string' && message.startsWith('Region not accepted:');
}

/**
 * The SDK resolves the host and signs before an attempt. An error from before it comes from STS only if STS was asked:
 * then there is its answer, or a connection that failed.
 */
function isOfSdk(
  { name }: Thrown,
  { code, status, sent }: { code: string | null; status: number | null; sent: boolean },
): boolean {
  return name === 'EndpointError' || (!sent && status === null && !isOfNetwork(code));
}

/** Only the rules for hosts give a sentence that can be shown: it names the bucket, its region and its options. */
function wordsOfSdk({ name, message }: Thrown, code: string | null): string {
  if (name === 'EndpointError' && typeof message === 'string')
    return `not sent: ${message.slice(0, 200).replace(/\.$/, '')}`;
  if (typeof message === 'string' && message.includes('SigV4a'))
    return 'not sent: an access point of several regions asks for a signature that the exporter does not make (SigV4a)';
  return `not sent: the AWS SDK makes no request of it${code === null ? '' : ` (${code})`}`;
}

/** Some servers name the region in a sentence alone, and botocore does not read it. */
function regionInWords({ message }: Thrown): string | null {
  if (typeof message !== 'string') return null;
  return /\bregion\b.* is wrong; expecting '([a-z0-9-]{1,40})'/.exec(message)?.[1] ?? null;
}

function explainAgent({ host, status, code }: AgentFailure, now: number): Unknown {
  const answered = status === null ? 'did not answer:' : 'answered';
  const words = status !== null && code === null ? `no code (${status})` : wordsOf({ code, status });
  return {
    kind: 'unknown',
    reason: reasonOfNoCredentials({ code, status, headers: {}, now, isOfProxy: false, cause: null }),
    detail: `${NONE}the agent of credentials at ${host} ${answered} ${words}`,
    said: { by: 'agent', code, status, cause: null, action: null, policy: null },
  };
}

/** `before`: the first words of the detail. */
function explainProxy({ message, status, code }: ProxyFailure, before: string): Unknown {
  return {
    kind: 'unknown',
    reason: status === 429 ? 'throttled' : 'unreachable',
    detail: `${before}${message}`,
    said: { by: 'proxy', code, status, cause: null, action: null, policy: null },
  };
}

function wordsOf({ code, status }: { code: string | null; status: number | null }): string {
  if (status === null) return code ?? 'no answer';
  // The SDK found no answer of S3 in a success, e.g. because the XML breaks off.
  if (code === null && status < 300) return NO_ANSWER_OF_S3;
  return `${code ?? 'no code'} (${status})`;
}
