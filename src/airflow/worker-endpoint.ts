import type { EndpointVariants } from '../s3/connection.ts';
import type { AwsProfile } from './aws-profile.ts';
import type { AirflowConnection } from './connection.ts';
import { isRegionName } from './region-name.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** The variables, and the profile of the session that makes the client. */
interface Sources {
  readonly env: Environment;
  readonly profile: AwsProfile;
}

/**
 * Whether botocore takes no endpoint from the variables and the files. The first place that says so counts: the
 * connection, the variable, though it be empty, and the files.
 */
function ignoresEndpoints(given: AirflowConnection | null, { env, profile }: Sources): boolean {
  const told = given?.extra.config_kwargs?.['ignore_configured_endpoint_urls'];
  if (told != null) return Boolean(told);
  const text = env['AWS_IGNORE_CONFIGURED_ENDPOINT_URLS'];
  return text === undefined ? profile.ignoresEndpoints : text.toLowerCase() === 'true';
}

/**
 * The endpoint of STS for a role of the connection, or with null for an identity, which botocore asks for without the
 * settings of a connection. Null: that of AWS. The `endpoint_url` of the connection is never one of STS:
 * `get_service_endpoint_url` leaves it out.
 */
export function stsEndpointOf(given: AirflowConnection | null, { env, profile }: Sources): string | null {
  const ofService = given?.extra.service_config?.sts?.endpoint_url;
  if (ofService) return ofService;
  if (ignoresEndpoints(given, { env, profile })) return null;
  return env['AWS_ENDPOINT_URL_STS'] || env['AWS_ENDPOINT_URL'] || profile.stsEndpoint || null;
}

/** The address of STS at AWS. */
export function stsAddress(region: string | null): string {
  return addressAt('sts', region);
}

/** Reads an endpoint as botocore does: without leading spaces, repeated slashes and the part after a number sign. */
function asAsked(endpoint: string): string {
  const [, authority, path] = /^ *(https?:\/\/[^/]*)([^#]*)/i.exec(endpoint) ?? [];
  return authority === undefined || path === undefined
    ? endpoint
    : `${authority}${path.replaceAll(/\/{2,}/g, '/')}`;
}

/** The endpoint of S3 that was told, as botocore reads it; '': none. */
export function s3EndpointOf(given: AirflowConnection | null, sources: Sources): string {
  return asAsked(endpointOf(given, sources) ?? '');
}

function endpointOf(given: AirflowConnection | null, { env, profile }: Sources): string | null | undefined {
  const ofService = given?.extra.service_config?.s3?.endpoint_url;
  const ofConnection = ofService === undefined ? given?.extra.endpoint_url : ofService;
  if (ofConnection != null) return ofConnection;
  if (ignoresEndpoints(given, { env, profile })) return null;
  return env['AWS_ENDPOINT_URL_S3'] || env['AWS_ENDPOINT_URL'] || profile.endpoint;
}

/** The partitions of AWS with names of their own, by their regions. */
const SUFFIXES: readonly (readonly [region: RegExp, suffix: string])[] = [
  [/^cn-/, 'amazonaws.com.cn'],
  [/^eusc-/, 'amazonaws.eu'],
  [/^us-iso-/, 'c2s.ic.gov'],
  [/^us-isob-/, 'sc2s.sgov.gov'],
  [/^us-isof-/, 'csp.hci.ic.gov'],
  [/^eu-isoe-/, 'cloud.adc-e.uk'],
];

/**
 * The endpoint of a client for AWS itself, which NO_PROXY is matched against. No client is made for a region whose name
 * is not valid.
 */
function addressAt(service: string, region: string | null): string {
  const suffix = SUFFIXES.find(([ofRegion]) => ofRegion.test(region ?? ''))?.[1] ?? 'amazonaws.com';
  return `https://${service}.${region === null || !isRegionName(region) ? '' : `${region}.`}${suffix}`;
}

/** The endpoint of S3's client. With two stacks it names the region even where the global one is asked. */
export function s3Address(
  region: string | null,
  { useFipsEndpoint: isFips, useDualstackEndpoint: isDual, useGlobalEndpoint: isGlobal }: EndpointVariants,
): string {
  const service = `${isFips ? 's3-fips' : 's3'}${isDual ? '.dualstack' : ''}`;
  if (!isGlobal || isDual) return addressAt(service, region ?? 'us-east-1');
  return addressAt(service, isFips ? 'aws-global' : null);
}
