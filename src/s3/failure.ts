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

/** Not known: neither present nor missing, neither done nor undone. */
export interface Unknown {
  readonly kind: 'unknown';
  readonly reason: S3Reason;
  /** Short and free of secrets: `AccessDenied (403)`, `ECONNREFUSED`. */
  readonly detail: string;
}

/** What the SDK throws, as far as it is looked at. */
interface Thrown {
  readonly name?: unknown;
  readonly code?: unknown;
  readonly Code?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $response?: { readonly statusCode?: number; readonly headers?: Readonly<Record<string, string>> };
  readonly cause?: unknown;
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

/** How an answer of 400 to a HEAD is described: it has no body, so the code that says what is wrong is missing. */
export const bodilessBadRequest = 'no code (400)';

/** AWS refuses a signature older than this. */
const toleratedSkewMs = 15 * 60_000;

/** Node's names for what goes wrong below HTTP: sockets, name look-up, TLS, and answers that are not HTTP. */
const connectionCode =
  /^(?:E(?:CONN|HOST|NET|PIPE|NOTFOUND|AI_|ADDR|PROTO)|HPE_|ERR_(?:TLS|SSL)|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED)/;

/** What the SDK calls an error that it knows no name for. */
const fillers: ReadonlySet<string> = new Set([
  'AggregateError',
  'BadRequest',
  'Error',
  'Forbidden',
  'NotFound',
  'S3ServiceException',
  'SyntaxError',
  'TypeError',
  'Unknown',
  'UnknownError',
]);

/** Only with the storage's own word for it: a proxy's 404 says nothing about the key. A HEAD has no word. */
export function isNoSuchKey(error: unknown, operation: string): boolean {
  const thrown = Object(error) as Thrown;
  const code = codeOf(thrown);
  return statusOf(thrown) === 404 && (operation === 'head' ? code === null : code === 'NoSuchKey');
}

const NO_CREDENTIALS =
  'no credentials found: give the exporter AIRFLOW_CONN_… of the connection that the path names, or credentials of AWS';

/**
 * Names the reason for what a request threw. A HEAD has no body, hence no code: its status and headers decide.
 * `now` is this machine's clock in epoch milliseconds.
 */
export function explainFailure(error: unknown, now: number): Unknown {
  const thrown = Object(error) as Thrown;
  const code = codeOf(thrown);
  if (code === 'CredentialsProviderError') {
    return { kind: 'unknown', reason: 'denied', detail: NO_CREDENTIALS };
  }
  const status = statusOf(thrown);
  const detail = status === null ? (code ?? 'no answer') : `${code ?? 'no code'} (${status})`;
  const known = code === null ? undefined : reasonsByCode.get(code);
  if (known !== undefined) return { kind: 'unknown', reason: known, detail };
  if (code !== null && connectionCode.test(code))
    return { kind: 'unknown', reason: 'unreachable', detail: code };
  if (status === null) return { kind: 'unknown', reason: 'server_error', detail };
  const headers = thrown.$response?.headers ?? {};
  return { kind: 'unknown', reason: reasonByStatus(status, { code, headers, now }), detail };
}

function reasonByStatus(
  status: number,
  answer: { code: string | null; headers: Readonly<Record<string, string>>; now: number },
): S3Reason {
  const { code, headers, now } = answer;
  switch (status) {
    case 401:
    case 403:
      return code === null && isSkewed(headers, now) ? 'clock_skew' : 'denied';
    case 301:
    case 307:
    case 308:
      return 'wrong_region';
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

function statusOf(thrown: Thrown): number | null {
  return thrown.$response?.statusCode ?? thrown.$metadata?.httpStatusCode ?? null;
}

/** The code in the answer's body, else the connection's, else the SDK's own name for it; else its cause's. */
function codeOf(thrown: Thrown): string | null {
  for (const candidate of [thrown.Code, thrown.code, thrown.name]) {
    // A word and no sentence: what is shown must not carry a key or a URL.
    if (typeof candidate === 'string' && /^[\w.-]{1,60}$/.test(candidate) && !fillers.has(candidate))
      return candidate;
  }
  const { cause } = thrown;
  return typeof cause === 'object' && cause !== null ? codeOf(cause) : null;
}
