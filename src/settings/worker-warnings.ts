import { awsProfile } from '../airflow/aws-profile.ts';
import type { AirflowConnection } from '../airflow/connection.ts';
import { CONFIG_OPTIONS, ROLE_ARGUMENTS } from '../airflow/connection.ts';
import { holderAmong } from '../airflow/secrets-backend.ts';
import { shownKey } from '../airflow/shown-key.ts';
import { stsEndpointOf } from '../airflow/worker-endpoint.ts';
import type { WorkerWorld } from '../airflow/worker-s3.ts';
import { ownKeysOf, profileOf, regionOf } from '../airflow/worker-s3.ts';
import type { XComPath } from '../airflow/xcom-path.ts';
import { isS3Path } from '../airflow/xcom-path.ts';
import { fileWarnings, profileWarnings } from './aws-file-warnings.ts';
import type { NamedConnection } from './connections.ts';
import { isKnownMethod, raisingExtras } from './raising-extras.ts';
import { refusedEndpoints } from './refused-endpoint.ts';
import { refusedOptions } from './refused-options.ts';
import { refusedRegion } from './refused-region.ts';
import type { Warning } from './push-fault.ts';
import { merged, sentenceOf } from './push-fault.ts';
import { halfOfVariables, reachWarnings, variableWarnings } from './worker-keys.ts';

type World = WorkerWorld & { readonly paths: readonly XComPath[] };

type Reach = Pick<NamedConnection, 'id' | 'given' | 's3'>;

/**
 * Warns if the exporter's way to S3 differs from that of an Airflow worker with the same connection and environment, or
 * if the worker's way leads nowhere. docs/worker-s3.md lists all of it. No sentence repeats a value except a name.
 */
export function workerWarnings(named: readonly NamedConnection[], world: World): readonly Warning[] {
  const s3Paths = world.paths.filter(isS3Path);
  const isUsedBare = s3Paths.length === 0 || s3Paths.some(({ connection }) => connection === null);
  // The contents of a connection that is not known here are not known either.
  const connections = named.filter(({ id, isSet }) => (id === '' ? isUsedBare : isSet));
  return merged([
    ...accessPoints(world.paths),
    ...fileWarnings(world.files),
    ...variableWarnings(world),
    ...regionVariable(connections, world),
    ...connections.flatMap((one) =>
      // A worker may have another connection of this id: then no push fails over this one.
      one.given !== null && holderAmong(world.secretsBackends, one.id) !== null
        ? wayWarnings(one, world).map(sentenceOf)
        : wayWarnings(one, world).map((warning) =>
            typeof warning === 'string' ? warning : { ...warning, connections: [one.id] },
          ),
    ),
  ]);
}

function wayWarnings({ id, given, s3 }: Reach, world: World): readonly Warning[] {
  return [
    ...(given === null ? [] : ofConnection(given, `The connection ${id}`)),
    ...refusedRegion({ id, given, s3 }, world),
    ...refusedEndpoints({ id, given, s3 }, world),
    ...refusedOptions({ id, given }, world),
    ...profileWarnings({ id, given, s3 }, world),
    ...halfOfVariables(given, world),
    ...reachWarnings({ id, s3 }, world),
    ...roleWithoutRegion({ id, given, s3 }, world),
  ];
}

/** Keys in `extra` that change a worker's way to the bucket and that the exporter does not follow. */
export function unusedExtras(given: AirflowConnection | null): readonly string[] {
  if (given === null) return [];
  const { extra } = given;
  const { config_kwargs: config, service_config: services } = extra;
  return [
    ...(isGiven(extra.role_arn) && !isPlainMethod(extra.assume_role_method) ? ['assume_role_method'] : []),
    ...(isGiven(config?.signature_version) && !isVersion4(config?.signature_version)
      ? ['config_kwargs.signature_version']
      : []),
    ...OPTIONS_LEFT_OUT.flatMap((name) => (isGiven(config?.[name]) ? [`config_kwargs.${name}`] : [])),
    ...(isGiven(services?.s3?.signer) ? ['service_config.s3.signer'] : []),
    ...ofOldProvider(extra),
  ];
}

/** Options of `config_kwargs`: for what a worker shows or trusts in a way of its own. */
const OPTIONS_LEFT_OUT = ['client_cert', 'proxies_config'] as const;

/** Keys that only the Amazon provider of Airflow 2.9 follows. */
function ofOldProvider({
  region_name,
  profile_name,
  role_arn,
  aws_account_id,
  aws_iam_role,
  external_id,
  assume_role_kwargs,
  session_kwargs: session,
}: AirflowConnection['extra']): string[] {
  return [
    ...(isGiven(session?.region_name) && !isGiven(region_name) ? ['session_kwargs.region_name'] : []),
    ...(isGiven(session?.profile_name) && !isGiven(profile_name) ? ['session_kwargs.profile_name'] : []),
    ...(isGiven(aws_account_id) && isGiven(aws_iam_role) && !isGiven(role_arn) ? ['aws_iam_role'] : []),
    ...(isGiven(external_id) && !isGiven(assume_role_kwargs?.ExternalId) ? ['external_id'] : []),
  ];
}

const IN_PLACE_OF_OLD: Readonly<Record<string, string>> = {
  'session_kwargs.region_name': 'region_name',
  'session_kwargs.profile_name': 'profile_name',
  aws_iam_role: 'role_arn',
  external_id: 'ExternalId into assume_role_kwargs',
};

function ofConnection(given: AirflowConnection, who: string): Warning[] {
  const { extra } = given;
  const config = extra.config_kwargs;
  const method = extra.assume_role_method;
  const unknown = isGiven(extra.role_arn)
    ? Object.keys(extra.assume_role_kwargs ?? {}).filter((name) => !ROLE_ARGUMENTS.includes(name))
    : [];
  return [
    ...(extra.verify == null || extra.verify === true
      ? []
      : [
          `${who} has verify, which Airflow's object storage does not follow, nor does the exporter: name the file of certificate authorities in AWS_CA_BUNDLE, for the workers as for the exporter`,
        ]),
    ...raisingExtras(given, who),
    ...(isGiven(extra.role_arn) && !isPlainMethod(method) && isKnownMethod(extra)
      ? [
          `${who} takes its role by ${method ?? ''}, which the exporter does not follow: it asks STS for the role with the credentials that it has itself`,
        ]
      : []),
    ...unknown.map((name) => ({
      pushFault: `${who} has ${shownKey(name)} in assume_role_kwargs, which botocore does not know: every push of Airflow fails`,
    })),
    ...signatures(config?.signature_version, who),
    ...Object.keys(config ?? {})
      .filter((name) => !CONFIG_OPTIONS.includes(name))
      .map((name) => ({
        pushFault: `${who} has ${shownKey(name)} in config_kwargs, which botocore does not know: every push of Airflow fails`,
      })),
    ...Object.keys(config?.retries ?? {})
      .filter((name) => !['max_attempts', 'total_max_attempts', 'mode'].includes(name))
      .map((name) => ({
        pushFault: `${who} has ${shownKey(name)} in config_kwargs.retries, which botocore does not know: every push of Airflow fails`,
      })),
    ...OPTIONS_LEFT_OUT.filter((name) => isGiven(config?.[name])).map(
      (name) => `${who} has ${name} in config_kwargs, which a worker follows and the exporter does not`,
    ),
    ...halfAPair(given, who),
    ...given.texts
      .filter((name) => name !== 'assume_role_kwargs' || isGiven(extra.role_arn))
      .map(
        (name) =>
          `${who} has ${name} in the query of its URI, which Airflow takes for a text in every release but 3.1: every push fails there. Write the connection as JSON, or all of extra as __extra__`,
      ),
    ...given.strays.map(
      ({ name, meant }) =>
        `${who} has ${name} in extra, of which Airflow takes no notice: did you mean ${meant}?`,
    ),
    ...ofOldProvider(extra).map(
      (name) =>
        `${who} has ${name}, which only an older Amazon provider follows, as of Airflow 2.9: later ones and the exporter do not. Write ${IN_PLACE_OF_OLD[name] ?? ''} in extra`,
    ),
    ...(isGiven(extra.service_config?.s3?.signer)
      ? [
          `${who} has a signer, which the exporter does not follow: it signs with the credentials of the connection`,
        ]
      : []),
  ];
}

function signatures(version: unknown, who: string): Warning[] {
  if (!isGiven(version) || isVersion4(version)) return [];
  if (version === 'unsigned')
    return [
      {
        pushFault: `${who} has the signature_version unsigned, which Airflow's object storage does not take: every push fails. Give no credentials for requests without a signature`,
      },
    ];
  return [
    `${who} has a signature_version of its own, which a worker follows and the exporter does not: it signs with version 4`,
  ];
}

function isVersion4(version: unknown): boolean {
  return version === 's3v4' || version === 'v4';
}

/**
 * A worker signs with the parts that are there, or cannot sign with nothing for the rest. Only a role that is taken by
 * another method is asked for without a signature.
 */
function halfAPair(given: AirflowConnection, who: string): Warning[] {
  const { aws_access_key_id: id, aws_secret_access_key: key, aws_session_token: token } = given.extra;
  if (ownKeysOf(given) !== null) return [];
  if (isGiven(id) === isGiven(key) && (isGiven(id) || !isGiven(token))) return [];
  if (isGiven(given.extra.role_arn) && !isPlainMethod(given.extra.assume_role_method)) return [];
  return [
    {
      pushFault: `${who} has a part of aws_access_key_id, aws_secret_access_key and aws_session_token alone: a worker signs with just that or cannot sign, and every push fails`,
    },
  ];
}

/**
 * Without a region botocore asks STS of AWS, but no STS at an endpoint of its own; with an empty region it is the other
 * way round. Tested: botocore 1.34.106 and 1.44.8, for the role of a connection and that of a profile.
 */
function roleWithoutRegion({ id, given, s3 }: Reach, world: World): Warning[] {
  const region = regionOf(given, world)?.text;
  if (s3 === null || (region !== undefined && region !== '')) return [];
  const profile = awsProfile(world.files, profileOf(given, world.env));
  if (s3.role === null && !(s3.secretAccessKey === null && profile.takesRole)) return [];
  const endpoint = s3.role === null ? stsEndpointOf(null, { env: world.env, profile }) : s3.role.endpoint;
  const isOfAws = endpoint === null;
  if ((region === undefined) === isOfAws) return [];
  const who = id === '' ? 'Without a connection a role is taken' : `The connection ${id} takes a role`;
  const why =
    region === undefined
      ? 'no region is given, with STS at an endpoint of its own: botocore makes no client for it'
      : 'its region is empty: botocore finds no address of STS';
  return [{ pushFault: `${who} and ${why}, and every push fails. Give region_name or AWS_DEFAULT_REGION` }];
}

function regionVariable(connections: readonly NamedConnection[], { env }: World): string[] {
  const told = env['AWS_REGION'] ?? '';
  if (told === '') return [];
  return connections
    .filter(({ s3 }) => s3 !== null && s3.endpoint === null && (s3.region ?? 'us-east-1') !== told)
    .map(({ s3 }) =>
      s3?.region == null
        ? `AWS_REGION is not read by Airflow's workers, nor for them by the exporter: both ask in us-east-1. Give AWS_DEFAULT_REGION`
        : `AWS_REGION is not read by Airflow's workers, nor for them by the exporter: both ask in ${s3.region}`,
    );
}

function accessPoints(paths: readonly XComPath[]): string[] {
  return paths
    .filter((path) => isS3Path(path) && /^arn:/i.test(path.bucket))
    .filter(({ bucket }) => !/^arn:aws[^:]*:s3:[a-z0-9-]+:\d{12}:accesspoint[:/][^/]+$/.test(bucket))
    .map(
      () =>
        'xcom.path: an ARN that is no access point of one region is followed by workers and not by the exporter: give the alias of the access point in its place',
    );
}

function isPlainMethod(method: string | null | undefined): boolean {
  return (method ?? 'assume_role') === 'assume_role';
}

function isGiven(value: unknown): boolean {
  return value != null && value !== '';
}
