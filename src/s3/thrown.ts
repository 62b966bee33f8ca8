/** The parts of what the SDK throws that are looked at. */
export interface Thrown {
  readonly name?: unknown;
  readonly message?: unknown;
  readonly code?: unknown;
  readonly Code?: unknown;
  /** Where S3 says that it is another one. */
  readonly Region?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $response?: { readonly statusCode?: number; readonly headers?: Readonly<Record<string, string>> };
  readonly cause?: unknown;
}

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

export function statusOf(thrown: Thrown): number | null {
  return thrown.$response?.statusCode ?? thrown.$metadata?.httpStatusCode ?? null;
}

/** The code in the answer's body, else the connection's, else the SDK's own name for it; else its cause's. */
export function codeOf(thrown: Thrown): string | null {
  for (const candidate of [thrown.Code, thrown.code, thrown.name]) {
    // A word and no sentence: what is shown must not carry a key or a URL.
    if (typeof candidate === 'string' && /^[\w.-]{1,60}$/.test(candidate) && !fillers.has(candidate))
      return candidate;
  }
  const { cause } = thrown;
  return typeof cause === 'object' && cause !== null ? codeOf(cause) : null;
}
