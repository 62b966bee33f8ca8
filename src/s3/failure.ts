import { ProxyFailure } from './agents.ts';
import { AgentFailure } from './container-agent.ts';
import { CredentialsLate } from './credentials.ts';
import { PLAIN_HTTP, speaksNoTls } from './no-tls.ts';
import { isOfNetwork, reasonOf } from './reason.ts';
import type { S3Reason } from './reason.ts';
import { refusalOf } from './refusal.ts';
import type { PolicyKind, RefusalCause } from './refusal.ts';
import { SessionFailure } from './sessions.ts';
import { codeOf, regionOf, statusOf } from './thrown.ts';
import type { Thrown } from './thrown.ts';

/**
 * Who gave the answer. `exporter`: we ended the call or never sent it. `sdk`: the AWS SDK made no request of the call,
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
export function isOfPath({ reason, said }: Unknown): boolean {
  return said.by === 's3' && reason === 'denied' && said.cause !== 'identity' && said.cause !== 'account';
}

/** Requires the storage's own code, because a proxy's 404 says nothing about the key. A HEAD has no code. */
export function isNoSuchKey(error: unknown, operation: string): boolean {
  const thrown = Object(error) as Thrown;
  const code = codeOf(thrown);
  if (statusOf(thrown) !== 404) return false;
  return operation === 'head' ? code === null && !isWebPage(headersOf(thrown)) : code === 'NoSuchKey';
}

/** Whether this may be the page of a web server. Headers of AWS come from S3, or from a server that speaks as S3. */
function isWebPage(headers: Headers): boolean {
  return (
    /^text\/html\b/.test(headers['content-type'] ?? '') &&
    !Object.keys(headers).some((name) => name.startsWith('x-amz'))
  );
}

type Headers = Readonly<Record<string, string>>;

function headersOf(thrown: Thrown): Headers {
  return thrown.$response?.headers ?? {};
}

const NO_HEADER = 'not sent: the access key or the token has a line break in it, which no header takes';

const NO_CREDENTIALS =
  'no credentials found, and the exporter asks nothing without a signature, as a worker may: give it AIRFLOW_CONN_… of the connection that the path names, or credentials of AWS';

/** Node's codes for a file that cannot be read. */
const fileCodes: ReadonlySet<string> = new Set(['ENOENT', 'EACCES', 'EISDIR']);

function noTokenFile(code: string): string {
  return `no credentials: the token file of AWS_WEB_IDENTITY_TOKEN_FILE cannot be read (${code})`;
}

/**
 * Gives the reason for an error that a request threw. A HEAD has no body, hence no code: its status and headers decide.
 * `now` is this machine's clock in epoch milliseconds. `sent` is false when no attempt had begun: then the request for
 * credentials failed. `hasBody`: S3 can say why it refuses; to a HEAD it cannot.
 */
export function explainFailure(
  error: unknown,
  { now, sent, hasBody }: { now: number; sent: boolean; hasBody: boolean },
): Unknown {
  // The request for a session is one to S3 as well.
  if (error instanceof SessionFailure) return explainFailure(error.cause, { now, sent: true, hasBody: true });
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
  if (error instanceof AgentFailure) return explainAgent(error);
  if (error instanceof ProxyFailure) return explainProxy(error, sent);
  if (error instanceof CredentialsLate) return unknown('timeout', error.message, 'credentials');
  const thrown = Object(error) as Thrown;
  const code = codeOf(thrown);
  const status = statusOf(thrown);
  if (code === 'CredentialsProviderError' || code === 'TokenProviderError')
    return unknown('denied', NO_CREDENTIALS, 'credentials');
  // Node refuses to put this character in a header.
  if (code === 'ERR_INVALID_CHAR') {
    const { said, ...answer } = unknown('denied', NO_HEADER, 'credentials');
    return { ...answer, said: { ...said, code } };
  }
  if (isRegionRefused(thrown))
    return unknown('wrong_region', 'not sent: the region is no name of a region', 'exporter');
  // A web identity's token is in a file, and without the file nobody can be asked.
  if (!sent && code !== null && fileCodes.has(code))
    return unknown('denied', noTokenFile(code), 'credentials');
  if (isOfSdk(thrown, { code, status, sent })) return unknown('unreachable', wordsOfSdk(thrown, code), 'sdk');
  const words = wordsOf({ code, status });
  const said = { code, status, ...refusalOf(thrown, { code, status }) };
  if (!sent) {
    // STS refuses in its own words, and none of them is about the bucket.
    const answered = status === null ? 'did not answer:' : 'answered';
    return {
      kind: 'unknown',
      reason: reasonOfRefusedCredentials(status),
      detail: `no credentials: STS ${answered} ${words}`,
      said: { ...said, by: 'sts' },
    };
  }
  const headers = headersOf(thrown);
  const by =
    status === null ? 'network' : isOfProxy(status, { ...thrown, code, headers, hasBody }) ? 'proxy' : 's3';
  const reason = reasonOf({ code, status, headers, now, isOfProxy: by === 'proxy' });
  const region = reason === 'wrong_region' ? regionOf(thrown) : null;
  // Without a status, `words` is the code alone.
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
    reason: status === 429 ? 'throttled' : 'unreachable',
    detail: sent ? message : `no credentials: ${message}`,
    said: { by: 'proxy', code, status, cause: null, action: null, policy: null },
  };
}

function reasonOfRefusedCredentials(status: number | null): S3Reason {
  if (status === null) return 'unreachable';
  return status >= 500 ? 'server_error' : 'denied';
}

function wordsOf({ code, status }: { code: string | null; status: number | null }): string {
  if (status === null) return code ?? 'no answer';
  // The SDK found no answer of S3 in a success, e.g. because the XML breaks off.
  if (code === null && status < 300) return NO_ANSWER_OF_S3;
  return `${code ?? 'no code'} (${status})`;
}

/** For these statuses S3 answers in XML with a code, or without a body. */
const coded: ReadonlySet<number> = new Set([401, 403]);

/**
 * S3 and compatible servers answer in XML; a page of HTML comes from another server. A text or a redirect without a code
 * or header of S3 does too, e.g. a mesh without a healthy server or a redirect to a login page: S3 sends its own headers
 * even to a HEAD. The plain text of a refused HEAD tells nothing: web servers give this type to what has none.
 */
function isOfProxy(
  status: number,
  answer: {
    readonly code: string | null;
    readonly headers: Headers;
    readonly hasBody: boolean;
    readonly message?: unknown;
  },
): boolean {
  const { code, headers, hasBody, message } = answer;
  // MinIO's console answers this, in the form of S3.
  if (typeof message === 'string' && message.includes('must be made to API port')) return true;
  const type = headers['content-type'] ?? '';
  if (status === 407 || /^text\/html\b/.test(type)) return true;
  if (code !== null) return false;
  const isXml = /\bxml\b/.test(type);
  if (hasBody && coded.has(status) && !isXml) return true;
  // Moto's are called x-amzn-…
  if (Object.keys(headers).some((name) => name.startsWith('x-amz'))) return false;
  const isText = hasBody && type !== '' && !isXml && headers['content-length'] !== '0';
  return (status >= 300 && status < 400) || (status >= 400 && isText);
}

/** The server's name for itself; null when there is nothing that can be shown. */
function nameOf({ server }: Readonly<Record<string, string>>): string | null {
  return server !== undefined && /^[\w./() +-]{1,60}$/.test(server) ? server : null;
}
