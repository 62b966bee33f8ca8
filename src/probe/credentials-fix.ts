import type { Said } from '../s3/failure.ts';
import { isOfFile } from '../s3/failure.ts';
import type { Refused } from './preflight-answers.ts';

/**
 * Whether the bucket cannot be asked at all: there are no credentials, no host that the SDK would send to, or no such
 * region. A request whose turn did not come is sent next time.
 */
export function isUnasked({
  reason,
  said,
}: {
  readonly reason: string;
  readonly said: Said | null;
}): boolean {
  if (said?.by === 'sdk' || isAboutAsking(said)) return true;
  return said?.unasked === true && reason !== 'throttled' && reason !== 'aborted';
}

/** Whether the bucket was not asked at all, because there were no credentials. */
export function isAboutAsking(said: Said | null | undefined): boolean {
  return said?.by === 'credentials' || said?.by === 'sts' || said?.by === 'agent' || isProxyOfSts(said);
}

/** Whether a proxy opened no way to STS. */
function isProxyOfSts(said: Said | null | undefined): boolean {
  return said?.by === 'proxy' && said.unasked === true;
}

/** Whether the storage does not know the caller, or does not accept the proof of identity. */
export function isRejected(said: Said | null | undefined): boolean {
  return said?.by === 's3' && (said.cause === 'identity' || said.status === 401);
}

/** The remedy for missing credentials and for rejected ones. */
export function credentialsFix({ reason, said }: Pick<Refused, 'reason' | 'said'>): string {
  if (isProxyOfSts(said)) return 'Let the proxy pass requests to STS, or name the host of STS in NO_PROXY.';
  if (said?.status != null && isAboutAsking(said) && (reason === 'throttled' || reason === 'server_error'))
    return 'Run the check again in a minute. If this stays, look at what answered.';
  switch (said?.by) {
    case 'credentials':
      if (reason === 'timeout')
        return 'Open the way from the exporter to what gives its credentials (STS, the agent, or the metadata of the instance), or give the connection that the path names (AIRFLOW_CONN_…).';
      if (said.code === 'ERR_INVALID_CHAR')
        return 'Take the line break out of the access key or its token, where it was given.';
      return isOfFile(said.code)
        ? 'Let the exporter read the file, or correct the variable that names it.'
        : 'Give the connection that the path names (AIRFLOW_CONN_…), or credentials of AWS.';
    case 'sts':
      return said.status === null
        ? 'Open the way from the exporter to STS, or correct AWS_ENDPOINT_URL_STS.'
        : 'Let the trust policy of the role name the exporter, with the ExternalId of assume_role_kwargs or the service account of its pod.';
    case 'agent':
      return said.status === null
        ? 'Open the way from the exporter to the agent of credentials: on EKS port 80 of 169.254.170.23, and the eks-pod-identity-agent has to run on the node.'
        : 'On EKS, associate a role with the service account of the exporter (aws eks create-pod-identity-association), and let its trust policy name pods.eks.amazonaws.com.';
    default:
      return 'Renew or correct the access key, its secret and its token in the connection that the path names.';
  }
}
