/** OpenSSL's reasons for an answer that is not TLS, e.g. plain HTTP to a client that said `https`. */
const REASON = /wrong version number|packet length too long/i;
const CODES: ReadonlySet<unknown> = new Set([
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_PACKET_LENGTH_TOO_LONG',
]);

/** Node 20 gives EPROTO, with OpenSSL's reason in the message; later releases turn the reason into a code. */
export function speaksNoTls(error: unknown): boolean {
  const { code, message, cause, errors } = Object(error) as {
    code?: unknown;
    message?: unknown;
    cause?: unknown;
    errors?: readonly unknown[];
  };
  if (CODES.has(code) || (code === 'EPROTO' && typeof message === 'string' && REASON.test(message)))
    return true;
  return (cause !== undefined && speaksNoTls(cause)) || (errors?.some(speaksNoTls) ?? false);
}

/** The remedy. */
export const PLAIN_HTTP =
  'the endpoint answers in plain HTTP: write http:// in endpoint_url, or give the port that speaks TLS';
