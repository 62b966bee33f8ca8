import type { EndpointVariants } from '../s3/connection.ts';
import type { AwsProfile } from './aws-profile.ts';
import type { AirflowConnection } from './connection.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** The endpoints of AWS that a worker asks. Looks in botocore's order: the connection, the variable, the files. */
export function variantsOf(
  given: AirflowConnection | null,
  { env, profile, region }: { env: Environment; profile: AwsProfile; region: string | null },
): EndpointVariants {
  const config = given?.extra.config_kwargs;
  const isTrue = (text: string | null | undefined): boolean | undefined =>
    text == null ? undefined : text.toLowerCase() === 'true';
  const accelerates = config?.s3?.use_accelerate_endpoint ?? profile.accelerates;
  const isDual =
    config?.use_dualstack_endpoint ??
    config?.s3?.use_dualstack_endpoint ??
    isTrue(env['AWS_USE_DUALSTACK_ENDPOINT']) ??
    isTrue(profile.option('use_dualstack_endpoint')) ??
    profile.isDualstack;
  const isFips =
    config?.use_fips_endpoint ??
    isTrue(env['AWS_USE_FIPS_ENDPOINT']) ??
    isTrue(profile.option('use_fips_endpoint'));
  const ofUsEast1 =
    config?.s3?.us_east_1_regional_endpoint ??
    env['AWS_S3_US_EAST_1_REGIONAL_ENDPOINT'] ??
    profile.usEast1 ??
    'legacy';
  const isGlobal = region === null || (region === 'us-east-1' && ofUsEast1 !== 'regional');
  return {
    ...(isGlobal ? { useGlobalEndpoint: true } : {}),
    ...(Boolean(accelerates) ? { useAccelerateEndpoint: true } : {}),
    ...(Boolean(isDual) ? { useDualstackEndpoint: true } : {}),
    ...(Boolean(isFips) ? { useFipsEndpoint: true } : {}),
  };
}
