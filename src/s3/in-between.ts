import type { Thrown } from './thrown.ts';

export type Headers = Readonly<Record<string, string>>;

export function headersOf(thrown: Thrown): Headers {
  return thrown.$response?.headers ?? {};
}

/** Whether S3 itself gave this answer: headers of AWS come from S3, or from a server that speaks as S3. */
export function isSignedByS3(error: unknown): boolean {
  return hasHeaderOfS3(headersOf(Object(error) as Thrown));
}

function hasHeaderOfS3(headers: Headers): boolean {
  return Object.keys(headers).some((name) => name.startsWith('x-amz'));
}

/** Whether this may be the page of a web server. */
export function isWebPage(headers: Headers): boolean {
  return /^text\/html\b/.test(headers['content-type'] ?? '') && !hasHeaderOfS3(headers);
}

/** For these statuses S3 answers in XML with a code, or without a body. */
const coded: ReadonlySet<number> = new Set([401, 403]);

/**
 * S3 and compatible servers answer in XML; a page of HTML comes from another server. A text or a redirect without a code
 * or header of S3 does too, e.g. a mesh without a healthy server or a redirect to a login page: S3 sends its own headers
 * even to a HEAD. The plain text of a refused HEAD tells nothing: web servers give this type to what has none.
 */
export function isOfProxy(
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
  if (hasHeaderOfS3(headers)) return false;
  const isText = hasBody && type !== '' && !isXml && headers['content-length'] !== '0';
  return (status >= 300 && status < 400) || (status >= 400 && isText);
}

/** The server's name for itself; empty when there is nothing that can be shown. */
export function fromServer({ server }: Headers): string {
  return server !== undefined && /^[\w./() +-]{1,60}$/.test(server) ? ` from ${server}` : '';
}
