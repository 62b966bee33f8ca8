import type { S3ClientConfig } from '@aws-sdk/client-s3';
import { S3Client } from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { readFileSync } from 'node:fs';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Secret } from '../lib/secret.ts';

/** Where object storage is and who asks. Null: not said, the default of the AWS SDK is meant. */
export interface S3Connection {
  readonly region: string | null;
  readonly endpoint: string | null;
  readonly accessKeyId: string | null;
  readonly secretAccessKey: Secret | null;
  readonly sessionToken: Secret | null;
  readonly roleArn: string | null;
  readonly forcePathStyle: boolean;
  /** Whether the server's certificate is checked; a string names the file of the authorities to trust. */
  readonly verify: boolean | string;
}

const connectTimeoutMs = 2_000;

/**
 * One attempt may take half of what the whole call may, so that a second one still fits. `requestTimeout` covers
 * the wait for the headers, `socketTimeout` every later silence.
 *
 * @throws {Error} when the file of certificate authorities cannot be read.
 */
export function openTransport(
  connection: S3Connection,
  limits: { readonly requestTimeoutMs: number; readonly concurrency: number },
): NodeHttpHandler {
  const attemptMs = Math.ceil(limits.requestTimeoutMs / 2);
  const agent = { keepAlive: true, maxSockets: limits.concurrency };
  return new NodeHttpHandler({
    connectionTimeout: Math.min(connectTimeoutMs, attemptMs),
    requestTimeout: attemptMs,
    // Without it the timeout is a warning and the request goes on.
    throwOnRequestTimeout: true,
    socketTimeout: attemptMs,
    httpAgent: new HttpAgent(agent),
    httpsAgent: new HttpsAgent({ ...agent, ...trust(connection.verify) }),
  });
}

/** What Node takes for it. @throws {Error} when the file of authorities cannot be read. */
export function trust(verify: boolean | string): { rejectUnauthorized?: false; ca?: Buffer } {
  if (verify === true) return {};
  if (verify === false) return { rejectUnauthorized: false };
  try {
    return { ca: readFileSync(verify) };
  } catch (cause) {
    throw new Error(`Cannot read the certificate authorities in ${verify}: ${String(cause)}`, { cause });
  }
}

/**
 * Else the SDK reads its files of credentials once in the life of the process, and a reload would not find other keys in
 * them. Its default chain takes this of the client's configuration, whose type does not name it.
 */
export const READ_FILES_ANEW = { ignoreCache: true };

/** The keys as the SDK takes them; undefined lets it look through its default chain. */
export function staticCredentials(
  connection: S3Connection,
): { accessKeyId: string; secretAccessKey: string; sessionToken?: string } | undefined {
  const { accessKeyId, secretAccessKey, sessionToken } = connection;
  if (accessKeyId === null || secretAccessKey === null) return undefined;
  return {
    accessKeyId,
    secretAccessKey: secretAccessKey.reveal(),
    ...(sessionToken === null ? {} : { sessionToken: sessionToken.reveal() }),
  };
}

/**
 * `cacheMiddleware` is left off: it takes effect only for calls without options, hence without an abort signal,
 * and it shares one context among concurrent calls, in which the endpoint of one bucket may reach another.
 */
export function clientConfig(connection: S3Connection): S3ClientConfig {
  const { endpoint, region, roleArn } = connection;
  const credentials = staticCredentials(connection);
  const common: S3ClientConfig = {
    ...READ_FILES_ANEW,
    region: region ?? 'us-east-1',
    followRegionRedirects: endpoint === null,
    // A second attempt for what passes; more would fill the time in which nothing is known.
    maxAttempts: 2,
    ...(endpoint === null ? {} : { endpoint }),
    forcePathStyle: connection.forcePathStyle,
    // Many servers that speak S3 do not know the checksums which AWS has added since.
    ...(endpoint === null
      ? {}
      : { requestChecksumCalculation: 'WHEN_REQUIRED', responseChecksumValidation: 'WHEN_REQUIRED' }),
    ...(credentials === undefined ? {} : { credentials }),
  };
  return roleArn === null ? common : { ...common, credentials: assumeRole(common, roleArn) };
}

/** Asked again by the SDK when the credentials are about to expire. The role's source is what we would be without it. */
function assumeRole(source: S3ClientConfig, roleArn: string): NonNullable<S3ClientConfig['credentials']> {
  return async () => {
    // The SDK has no public way to STS short of one more package; its own providers take this one.
    const { getDefaultRoleAssumer } = await import('@aws-sdk/nested-clients/sts');
    const requestHandler = { connectionTimeout: 2_000, requestTimeout: 5_000, throwOnRequestTimeout: true };
    const assume = getDefaultRoleAssumer({ region: source.region ?? 'us-east-1', requestHandler });
    const holder = new S3Client(source);
    try {
      return await assume(await holder.config.credentials(), {
        RoleArn: roleArn,
        RoleSessionName: 'airflow-xcom-exporter',
      });
    } finally {
      holder.destroy();
    }
  };
}
