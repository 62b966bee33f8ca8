import type { S3ClientConfig } from '@aws-sdk/client-s3';
import { CreateSessionCommand, S3Client } from '@aws-sdk/client-s3';
import { createBucketRegions } from './bucket-regions.ts';
import type { S3Connection } from './connection.ts';
import { endByStorage } from './credentials-end.ts';
import { tellCredentials } from './credentials-failure.ts';
import { credentialsOf } from './credentials.ts';
import { createSessions } from './sessions.ts';

const DEFAULT_REGION = 'us-east-1';

/**
 * Otherwise the SDK reads its credential files once per process, and a reload would not find new keys in them. The
 * SDK's default chain takes this option from the client's configuration, although its type does not name it.
 */
const READ_FILES_ANEW = { ignoreCache: true };

/**
 * `cacheMiddleware` is left off. It works only for calls without options, hence without an abort signal. It also shares
 * one context among concurrent calls, so the endpoint of one bucket may reach another.
 */
function clientConfig(connection: S3Connection): S3ClientConfig {
  const { endpoint, region, profile, variants } = connection;
  const common: S3ClientConfig = {
    ...READ_FILES_ANEW,
    ...(profile === null ? {} : { profile }),
    region: region ?? DEFAULT_REGION,
    // A second attempt helps against brief faults; more attempts would only lengthen the time without an answer.
    maxAttempts: 2,
    // Otherwise the SDK reads AWS_DEFAULTS_MODE, and finds no credentials when that variable is empty.
    defaultsMode: 'legacy',
    // The connection has the endpoint of the variables and the files, unless botocore ignores it.
    ...(endpoint === null ? { ignoreConfiguredEndpointUrls: true } : { endpoint }),
    forcePathStyle: connection.forcePathStyle,
    // An access point is asked in its own region.
    useArnRegion: true,
    // Otherwise the SDK reads AWS's variables, does not accept `True` as true, and refuses both options beside an
    // endpoint.
    useDualstackEndpoint: false,
    useFipsEndpoint: false,
    ...variants,
    // A PUT carries the same checksum as s3fs sends: a server that refuses the checksum also fails Airflow's pushes.
    requestChecksumCalculation: connection.sendsChecksums ? 'WHEN_SUPPORTED' : 'WHEN_REQUIRED',
    // Many S3-compatible servers do not know the checksums that AWS has added.
    ...(endpoint === null ? {} : { responseChecksumValidation: 'WHEN_REQUIRED' }),
  };
  return { ...common, credentials: credentialsOf(connection, common) };
}

/**
 * A client, which sends nothing yet. An ARN is no part of a path: botocore asks for an access point by its host name,
 * whatever the style, also at an endpoint of one's own. The SDK refuses it beside path style.
 */
export function openClient(
  connection: S3Connection,
  more: Pick<S3ClientConfig, 'requestHandler' | 'credentials'>,
): S3Client {
  const regions = createBucketRegions(connection.region ?? DEFAULT_REGION);
  const client: S3Client = new S3Client({
    ...clientConfig(connection),
    forcePathStyle: false,
    s3ExpressIdentityProvider: createSessions({
      create: (bucket, abortSignal) =>
        client.send(new CreateSessionCommand({ Bucket: bucket }), { abortSignal }),
      now: () => Date.now() + client.config.systemClockOffset,
    }),
    ...more,
  });
  tellCredentials(client);
  endByStorage(client);
  const { endpointProvider, httpAuthSchemeProvider } = client.config;
  // The SDK itself asks by the path for a name that fits in no host.
  const isPath = ({ Bucket: bucket, ForcePathStyle: isForced }: Styled): boolean =>
    isForced === true || (connection.forcePathStyle && bucket?.startsWith('arn:') !== true);
  const styled = <P extends Styled>(parameters: P): P => ({
    ...parameters,
    Region: regions.of(parameters.Bucket) ?? parameters.Region,
    ForcePathStyle: isPath(parameters),
  });
  // The choice of a signature resolves the host as well, and fails if a name fits in none.
  Object.assign<S3Client['config'], Partial<S3Client['config']>>(client.config, {
    endpointProvider: (parameters, context) => endpointProvider(styled(parameters), context),
    httpAuthSchemeProvider: (parameters) => httpAuthSchemeProvider(styled(parameters)),
  });
  if (connection.endpoint === null)
    client.middlewareStack.add(regions.follow, { step: 'initialize', name: 'followRegion' });
  return client;
}

/** The parameters of the SDK's rules for hosts that are given in another way. */
interface Styled {
  readonly Bucket?: string | undefined;
  readonly Region?: string | undefined;
  readonly ForcePathStyle?: boolean | undefined;
}
