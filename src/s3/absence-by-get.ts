import type { Unknown } from './failure.ts';
import { unknown } from './failure.ts';

/**
 * Decides by a GET about a 404 to a HEAD that S3 did not sign: a gateway may have given it. S3's answer to a GET has a
 * code. Null: S3 does not let this exporter get objects, so the 404 is all that it tells.
 */
export function absenceByGet(
  answer: { readonly kind: 'readable' | 'archived' | 'missing' } | Unknown,
): Unknown | { readonly kind: 'missing' } | null {
  switch (answer.kind) {
    case 'missing':
      return { kind: 'missing' };
    case 'unknown':
      return answer.said.by === 's3' && answer.reason === 'denied' ? null : answer;
    default:
      return unknown('server_error', 'a HEAD answered 404 for an object that a GET finds', 'proxy');
  }
}
