/** Why a request to object storage has no answer. Each reason has its own remedy. */
export type S3Reason =
  /** The credentials are missing, wrong or expired, or a policy forbids the request. */
  | 'denied'
  | 'throttled'
  | 'timeout'
  /** There was no connection, it broke, the host is unknown, or the certificate is not trusted. */
  | 'unreachable'
  | 'no_such_bucket'
  | 'wrong_region'
  /** The server answered with neither the result nor one of these reasons: it has a fault of its own or is not S3. */
  | 'server_error'
  | 'clock_skew'
  /** The caller's signal ended the request. */
  | 'aborted';

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
  // versitygw's code for an unknown access key, with status 404; AWS, MinIO and Ceph answer 403.
  ['XAdminUserNotFound', 'denied'],
  ['CredentialsProviderError', 'denied'],
  ['TokenProviderError', 'denied'],
  ['RequestTimeout', 'timeout'],
  ['TimeoutError', 'timeout'],
  ['ETIMEDOUT', 'timeout'],
]);

/** AWS refuses a signature older than this. */
const toleratedSkewMs = 15 * 60_000;

/** Node's codes for failures below HTTP: sockets, name look-up, TLS, and answers that are not HTTP. */
const connectionCode =
  /^(?:E(?:CONN|HOST|NET|PIPE|NOTFOUND|AI_|ADDR|PROTO)|HPE_|ERR_(?:TLS|SSL)|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED)/;

/** Whether this is Node's code for a connection that failed, or a word for one that took too long. */
export function isOfNetwork(code: string | null): boolean {
  return code !== null && (connectionCode.test(code) || reasonsByCode.get(code) === 'timeout');
}

/** Gives the reason for an answer that is no success, and for none. `now` is this machine's clock in epoch milliseconds. */
export function reasonOf(answer: {
  code: string | null;
  status: number | null;
  headers: Readonly<Record<string, string>>;
  now: number;
  isOfProxy: boolean;
}): S3Reason {
  const { code, status } = answer;
  const known = code === null ? undefined : reasonsByCode.get(code);
  if (known !== undefined) return known;
  if (code !== null && connectionCode.test(code)) return 'unreachable';
  return status === null ? 'server_error' : reasonByStatus(status, answer);
}

function reasonByStatus(
  status: number,
  answer: { code: string | null; headers: Readonly<Record<string, string>>; now: number; isOfProxy: boolean },
): S3Reason {
  const { code, headers, now, isOfProxy } = answer;
  switch (status) {
    case 401:
    case 403:
      return code === null && isSkewed(headers, now) ? 'clock_skew' : 'denied';
    case 301:
    case 307:
    case 308:
      return isOfProxy ? 'server_error' : 'wrong_region';
    case 400:
      return code === null && headers['x-amz-bucket-region'] !== undefined ? 'wrong_region' : 'server_error';
    case 408:
    case 504:
      return 'timeout';
    case 429:
      return 'throttled';
    case 503:
      // Without a code, S3's "slow down" and "out of order" look the same, and slowing down is right for both.
      return code === null && !isOfProxy ? 'throttled' : 'server_error';
    default:
      return 'server_error';
  }
}

function isSkewed(headers: Readonly<Record<string, string>>, now: number): boolean {
  return Math.abs(Date.parse(headers['date'] ?? '') - now) > toleratedSkewMs;
}
