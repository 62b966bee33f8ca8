import type { Thrown } from './thrown.ts';

/** The cause of a refusal; each has its own remedy. */
export type RefusalCause =
  /** The storage does not accept the caller's key id, signature or token. */
  | 'identity'
  /** No policy allows the action. */
  | 'permission'
  /** A policy forbids the action by name, whatever other policies allow. */
  | 'explicit_deny'
  /** The caller may not use the key that encrypts the objects. */
  | 'kms'
  /** The key that encrypts the objects is disabled, deleted or in a state in which nobody can use it. */
  | 'kms_state'
  | 'object_lock'
  /** There is no room, or a quota is reached. */
  | 'quota'
  /** The provider of the storage has closed the account or the bucket. */
  | 'account'
  /** The storage does not know the method or the header that the request needs. */
  | 'not_supported'
  /** The object is in an archive and has to be restored before it can be read. */
  | 'archived';

/** The kinds of policy that AWS names in an AccessDenied. */
export const POLICY_KINDS = [
  'identity-based policy',
  'resource-based policy',
  'permissions boundary',
  'session policy',
  'service control policy',
  'resource control policy',
  'VPC endpoint policy',
] as const;

export type PolicyKind = (typeof POLICY_KINDS)[number];

export interface Refusal {
  readonly cause: RefusalCause | null;
  readonly action: string | null;
  readonly policy: PolicyKind | null;
}

const NO_REFUSAL: Refusal = { cause: null, action: null, policy: null };

/**
 * Codes about the caller's identity. AccessDenied is not one: the storage says it after it has accepted the signature.
 */
const identityCodes: ReadonlySet<string> = new Set([
  'ExpiredToken',
  'ExpiredTokenException',
  'InvalidAccessKeyId',
  'InvalidClientTokenId',
  'InvalidToken',
  'SignatureDoesNotMatch',
  'TokenRefreshRequired',
  // versitygw's code for an unknown access key, with status 404; AWS, MinIO and Ceph answer 403.
  'XAdminUserNotFound',
]);

const accountCodes: ReadonlySet<string> = new Set([
  'AccountProblem',
  'AllAccessDisabled',
  'InvalidPayer',
  'NotSignedUp',
]);

/** Codes of refusals for lack of room, from AWS S3 Express, Ceph, MinIO and SeaweedFS. */
const quotaCode = /quota|storagefull|insufficient(?:capacity|storage)/i;

/** Backblaze's words for it; its code is AccessDenied. */
const quotaWords = /\bcap exceeded\b/i;

const policyKind = new RegExp(`\\b(?:no|an?|the) (${POLICY_KINDS.join('|')})\\b`);

/** Codes of KMS, which S3 passes on. The others, e.g. of a throttling, say nothing of the key. */
const kmsStateCode = /^KMS\.(?:Disabled|NotFound|(?:KMS)?InvalidState|InvalidKeyUsage)/;

/** The words of an answer without names: the name of a role or a bucket may hold any word. */
function plainWords(message: string): string {
  return message.replaceAll(/\barn:\S+|"[^"]*"|`[^`]*`|(?<!\w)'[^']*'/g, ' ');
}

/**
 * Finds in an answer why it refuses. Nothing else of its message is kept: it may name accounts, roles and keys.
 * `status` null: there was no answer.
 *
 * Sources: the error codes of the S3 API reference; for the words of an AccessDenied the IAM user guide, "Troubleshoot
 * access denied error messages".
 */
export function refusalOf(
  thrown: Thrown,
  { code, status }: { readonly code: string | null; readonly status: number | null },
): Refusal {
  if (status === null) return NO_REFUSAL;
  const words = plainWords(typeof thrown.message === 'string' ? thrown.message : '');
  const action = /perform: ([a-z0-9-]{2,20}:[A-Za-z]{2,60})\b/.exec(words)?.[1] ?? null;
  const policy = (policyKind.exec(words)?.[1] as PolicyKind | undefined) ?? null;
  const cause =
    causeOfCode({ code, status }) ??
    // An action or a policy that the answer names is the cause, whatever other words stand beside it.
    (action === null && policy === null ? causeOfWords(words, status) : null) ??
    causeOfPolicy(words, { code, status });
  return cause === null ? NO_REFUSAL : { cause, action, policy };
}

function causeOfCode({
  code,
  status,
}: {
  readonly code: string | null;
  readonly status: number;
}): RefusalCause | null {
  if (code !== null && identityCodes.has(code)) return 'identity';
  if (code !== null && accountCodes.has(code)) return 'account';
  if (code === 'InvalidObjectState') return 'archived';
  if (code === 'ObjectLocked') return 'object_lock';
  if (code !== null && kmsStateCode.test(code)) return 'kms_state';
  return status === 507 || (code !== null && quotaCode.test(code)) ? 'quota' : null;
}

function causeOfWords(words: string, status: number): RefusalCause | null {
  // AWS and Cloudflare answer like this to a key id that is none, and not with a code of credentials.
  if (status === 400 && /\bcredential\b|\baccess key\b/i.test(words) && !/\bregion\b/i.test(words))
    return 'identity';
  if (quotaWords.test(words)) return 'quota';
  return /\bobject[ -]?lock\b|\bWORM\b/i.test(words) ? 'object_lock' : null;
}

function causeOfPolicy(
  words: string,
  { code, status }: { readonly code: string | null; readonly status: number },
): RefusalCause | null {
  if (/\bkms:[A-Za-z]+/.test(words)) return 'kms';
  if (status === 405 || status === 411 || status === 501) return 'not_supported';
  if (/\bexplicit deny\b/i.test(words)) return 'explicit_deny';
  return code === 'AccessDenied' ? 'permission' : null;
}

/**
 * Whether another request for the same place is under way, so that the same PUT works a moment later:
 * findings/versitygw-put-409-beside-delete.sh. An object in the way of the prefix stays there.
 */
export function isConflictOfTheMoment({
  status,
  code,
}: {
  readonly status: number | null;
  readonly code: string | null;
}): boolean {
  return status === 409 && code !== 'ObjectParentIsFile';
}
