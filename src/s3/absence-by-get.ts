import type { Unknown } from './failure.ts';
import { unknown } from './failure.ts';

const FOUND = unknown('server_error', 'a HEAD answered 404 for an object that a GET finds', 'proxy');

/**
 * Decides by a GET about a 404 to a HEAD that S3 did not sign: a gateway may have given it. S3's answer to a GET has a
 * code, and it asks for the key of KMS only for an object that is there. Null: S3 does not let this exporter get
 * objects, so the 404 is all that it tells.
 */
export function absenceByGet(
  answer: { readonly kind: 'readable' | 'archived' | 'missing' } | Unknown,
): Unknown | { readonly kind: 'missing' } | null {
  switch (answer.kind) {
    case 'missing':
      return { kind: 'missing' };
    case 'unknown':
      if (answer.said.cause === 'kms' || answer.said.cause === 'kms_state') return FOUND;
      return answer.said.by === 's3' && answer.reason === 'denied' ? null : answer;
    default:
      return FOUND;
  }
}
