/** The parts of an SDK error that are used. */
export interface Thrown {
  readonly name?: unknown;
  readonly message?: unknown;
  readonly code?: unknown;
  readonly Code?: unknown;
  /** The region that S3 gives when it is not the requested one. */
  readonly Region?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $response?: { readonly statusCode?: number; readonly headers?: Readonly<Record<string, string>> };
  /** Node's name of the file that an operation failed for. */
  readonly path?: unknown;
  readonly cause?: unknown;
}

/** The SDK's names for errors that have no name of their own. */
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

export function statusOf(thrown: Thrown): number | null {
  return thrown.$response?.statusCode ?? thrown.$metadata?.httpStatusCode ?? null;
}

/**
 * The code in the answer's body, else the connection's, else the SDK's own name for the error; else the code of its
 * cause.
 */
export function codeOf(thrown: Thrown): string | null {
  for (const candidate of [thrown.Code, thrown.code, thrown.name]) {
    // Only a single word: text that is shown must not carry a key or a URL.
    if (typeof candidate === 'string' && /^[\w.-]{1,60}$/.test(candidate) && !fillers.has(candidate))
      return candidate;
  }
  const { cause } = thrown;
  return typeof cause === 'object' && cause !== null ? codeOf(cause) : null;
}

/** The region that S3 names in place of the requested one; null when S3 names none. */
export function regionOf({ Region: region, $response }: Thrown): string | null {
  const named = region ?? $response?.headers?.['x-amz-bucket-region'];
  return typeof named === 'string' && /^[a-z0-9-]{1,40}$/.test(named) ? named : null;
}
