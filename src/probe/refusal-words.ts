import type { S3Operation } from '../s3/calls.ts';
import type { Said } from '../s3/failure.ts';
import type { S3Reason } from '../s3/reason.ts';
import { isRejected } from './credentials-fix.ts';

/**
 * The action that each operation needs. HEAD has none of its own: the S3 user guide, "Actions, resources, and condition
 * keys".
 */
const ACTIONS: Readonly<Record<S3Operation, string>> = {
  put: 's3:PutObject',
  head: 's3:GetObject',
  get: 's3:GetObject',
  list: 's3:ListBucket',
  delete: 's3:DeleteObject',
};

/** The words for a refused HEAD beside an allowed GET: S3 requires the same permission for both. */
export const HEAD_ALONE = 'a GET of the same object is allowed, so no permission is missing';

const NO_CHECKSUM =
  'the storage does not take the checksum of a PUT (AWS_REQUEST_CHECKSUM_CALCULATION=when_required leaves it out; botocore before 1.36 sends none)';

/**
 * Why a PUT is refused while other requests with the same credentials are accepted; null: not a PUT, or the answer
 * tells. Botocore has sent a checksum since 1.36, and the exporter sends it too. Google's storage then answers as to a
 * wrong key. IBM's is reported to answer as to a missing permission, without the action that AWS would name.
 * `resource`: the ARN that a policy statement has to name, or null.
 */
export function putAlone(
  said: Said | null,
  operation: S3Operation,
  resource: string | null,
): { readonly words: string; readonly fix: string } | null {
  if (operation !== 'put' || said === null) return null;
  if (said.code === 'SignatureDoesNotMatch')
    return {
      words: `other requests with the same credentials are accepted: ${NO_CHECKSUM}, or a proxy changes the request`,
      fix: 'Set AWS_REQUEST_CHECKSUM_CALCULATION=when_required for the workers and the exporter, or let the proxy pass the request as it is.',
    };
  if (said.cause !== 'permission' || said.action !== null || said.policy !== null) return null;
  return {
    words: `${refusalWords({ reason: 'denied', said }, operation, resource)}, or ${NO_CHECKSUM}`,
    fix: `${refusalFix(said, operation, resource ?? 'the prefix')} If it is allowed, set AWS_REQUEST_CHECKSUM_CALCULATION=when_required for the workers and the exporter.`,
  };
}

/** The action that a policy has to allow; null: the refusal has another cause. */
export function missingAction(said: Said | null, operation: S3Operation): string | null {
  switch (said?.cause) {
    case 'kms':
      return said.action ?? (operation === 'put' ? 'kms:GenerateDataKey' : 'kms:Decrypt');
    case 'permission':
      return said.action ?? ACTIONS[operation];
    default:
      return null;
  }
}

/**
 * Says why an operation is refused, as far as the answer tells. `resource`: the ARN that a policy statement has to
 * name, shown beside the action; null: not shown.
 */
export function refusalWords(
  { reason, said }: { readonly reason: S3Reason | 'content_mismatch'; readonly said: Said | null },
  operation: S3Operation,
  resource: string | null,
): string {
  if (reason === 'clock_skew') return 'the time of the signature is not accepted';
  if (isRejected(said)) return 'the credentials are not accepted';
  const action = said?.action ?? ACTIONS[operation];
  switch (said?.cause) {
    case 'identity':
      return 'the credentials are not accepted';
    case 'permission':
      return said.policy === null || said.policy === 'identity-based policy'
        ? `${action}${resource === null ? '' : ` on ${resource}`} is missing`
        : `no ${said.policy} allows ${action}`;
    case 'explicit_deny':
      return `a ${said.policy ?? 'policy'} denies ${action} explicitly`;
    case 'kms':
      return `${missingAction(said, operation) ?? ''} on the key of the bucket is missing`;
    case 'kms_state':
      return 'the key of KMS that encrypts the bucket cannot be used';
    case 'object_lock':
      if (operation !== 'put') return 'Object Lock holds the object';
      return reason === 'denied'
        ? 'Object Lock forbids it'
        : 'Object Lock asks for a checksum that the request lacks';
    case 'quota':
      return 'there is no room, or a quota is reached';
    case 'account':
      return 'the account or the bucket is closed';
    case 'not_supported':
      return 'the storage does not take such a request';
    case 'archived':
      return 'the object is in an archive';
    default:
      return said?.code === null ? 'an answer to HEAD does not say why' : 'the answer does not say more';
  }
}

/** The remedy for a refusal. `resource`: the ARN that a policy statement has to name. */
export function refusalFix(said: Said | null, operation: S3Operation, resource: string): string {
  const action = said?.action ?? ACTIONS[operation];
  switch (said?.cause) {
    case 'explicit_deny':
      return `Find the statement that denies ${action} in ${said.policy === null ? 'the bucket policy, or a policy of the organization or the VPC endpoint' : `the ${said.policy}`}: no Allow outweighs it. Its condition may ask for TLS or for a header of encryption.`;
    case 'kms':
      return `Allow ${missingAction(said, operation) ?? ''} on the key of KMS that encrypts the bucket, for the workers and the exporter.`;
    case 'kms_state':
      return 'Enable the key of KMS that encrypts the bucket, or give the bucket another one.';
    case 'object_lock':
      return operation === 'put'
        ? 'Take the default retention off the bucket, or use one without Object Lock.'
        : 'Use a bucket without retention: Airflow deletes the objects of a task before the task runs again, and fails if it may not.';
    case 'quota':
      return 'Make room, or raise the quota of the bucket or of its owner.';
    case 'account':
      return 'Ask the provider of the storage why the account or the bucket is closed.';
    case 'not_supported':
      return 'Let the endpoint take plain PUT requests: Airflow sends the same.';
    default: {
      const where =
        said?.policy == null || said.policy === 'identity-based policy' ? '' : ` in the ${said.policy}`;
      const key = operation === 'put' ? ', and kms:GenerateDataKey if the bucket is encrypted by KMS' : '';
      return `Allow ${action} on ${resource}${where}${key}.`;
    }
  }
}

/** Whether a refusal concerns the bucket or the way to it, and not one operation. */
export function isOfTheBucket(said: Said | null): boolean {
  switch (said?.cause) {
    case 'explicit_deny':
    case 'account':
      return true;
    case 'permission':
      return said.policy !== null && said.policy !== 'identity-based policy';
    default:
      return false;
  }
}
