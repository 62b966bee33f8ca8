import type { RefusalCause } from './refusal.ts';

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
  ['IllegalLocationConstraintException', 'wrong_region'],
  ['SlowDown', 'throttled'],
  ['SlowDownRead', 'throttled'],
  ['SlowDownWrite', 'throttled'],
  ['ServiceUnavailable', 'throttled'],
  ['RequestLimitExceeded', 'throttled'],
  ['TooManyRequests', 'throttled'],
  ['RequestTimeTooSkewed', 'clock_skew'],
  ['RequestExpired', 'clock_skew'],
  ['RequestInTheFuture', 'clock_skew'],
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

/** Each service of AWS says so in its own form; S3 passes on `KMS.ThrottlingException`. */
const throttlingCode = /Throttl(?:ing|ed)(?:Exception)?$/;

/** Whether this is Node's code for a connection that failed, or a word for one that took too long. */
export function isOfNetwork(code: string | null): boolean {
  return code !== null && (connectionCode.test(code) || reasonsByCode.get(code) === 'timeout');
}

/** An answer that is no success, or none. */
export interface Failed {
  readonly code: string | null;
  readonly status: number | null;
  readonly headers: Readonly<Record<string, string>>;
  /** This machine's clock in epoch milliseconds. */
  readonly now: number;
  readonly isOfProxy: boolean;
  readonly cause: RefusalCause | null;
  /** The region that the answer names; null: none. */
  readonly region: string | null;
}

/** Gives the reason for an answer that is no success, and for none. */
export function reasonOf(answer: Failed): S3Reason {
  const { code, status } = answer;
  if (answer.cause === 'identity') return 'denied';
  const known = code === null ? undefined : reasonsByCode.get(code);
  if (known !== undefined) return known;
  if (code !== null && throttlingCode.test(code)) return 'throttled';
  if (code !== null && connectionCode.test(code)) return 'unreachable';
  return status === null ? 'server_error' : reasonByStatus(status, answer);
}

/** Gives the reason for which STS or an agent gave no credentials. They refuse by 400 and 404 too, and have no buckets. */
export function reasonOfNoCredentials(answer: Omit<Failed, 'region'>): S3Reason {
  const { code, status } = answer;
  const reason = reasonOf({ ...answer, region: null });
  if (reason !== 'server_error') return reason;
  if (status === null) return 'unreachable';
  return status < 500 && (status >= 400 || code !== null) ? 'denied' : reason;
}

function reasonByStatus(status: number, { code, headers, now, isOfProxy, region }: Failed): S3Reason {
  switch (status) {
    case 401:
    case 403:
      return code === null && isSkewed(headers, now) ? 'clock_skew' : 'denied';
    case 301:
    case 307:
    case 308:
      return isOfProxy ? 'server_error' : 'wrong_region';
    case 400:
      // This code without a region says that the header is no header; botocore then goes on to no other region either.
      return region !== null && (code === null || code === 'AuthorizationHeaderMalformed')
        ? 'wrong_region'
        : 'server_error';
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
