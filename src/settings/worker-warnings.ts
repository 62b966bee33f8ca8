import { isBroken, awsProfile } from '../airflow/aws-profile.ts';
import type { AirflowConnection } from '../airflow/connection.ts';
import { ROLE_ARGUMENTS } from '../airflow/connection.ts';
import type { WorkerWorld } from '../airflow/worker-s3.ts';
import { profileOf } from '../airflow/worker-s3.ts';
import type { XComPath } from '../airflow/xcom-path.ts';
import { isS3Path } from '../airflow/xcom-path.ts';
import type { NamedConnection } from './connections.ts';
import { proxyOf } from './proxy-of.ts';

type World = WorkerWorld & { readonly paths: readonly XComPath[] };

type Reach = Pick<NamedConnection, 'id' | 'given' | 's3'>;

/**
 * Where the exporter's way to S3 is not that of an Airflow worker with the same connection and environment, and where
 * the worker's leads nowhere. docs/worker-s3.md has all of it. No sentence repeats a value but a name.
 */
export function workerWarnings(named: readonly NamedConnection[], world: World): readonly string[] {
  const s3Paths = world.paths.filter(isS3Path);
  const isUsedBare = s3Paths.length === 0 || s3Paths.some(({ connection }) => connection === null);
  // What a connection says that is not known here is not known either.
  const connections = named.filter(({ id, isSet }) => (id === '' ? isUsedBare : isSet));
  return [
    ...accessPoints(world.paths),
    ...files(world),
    ...keyHalves(world),
    ...regionVariable(connections, world),
    ...connections.flatMap(({ id, given, s3 }) => [
      ...(given === null ? [] : ofConnection(given, `The connection ${id}`)),
      ...profiles({ id, given, s3 }, world),
      ...proxies({ id, given, s3 }, world),
    ]),
  ].filter((sentence, index, all) => all.indexOf(sentence) === index);
}

/** Keys in `extra` that change a worker's way to the bucket and that the exporter does not follow. */
export function unusedExtras(given: AirflowConnection | null): readonly string[] {
  if (given === null) return [];
  const { extra } = given;
  const { config_kwargs: config, service_config: services } = extra;
  return [
    ...(isGiven(extra.role_arn) && !isPlainMethod(extra.assume_role_method) ? ['assume_role_method'] : []),
    ...(config?.signature_version === 'unsigned' ? ['config_kwargs.signature_version'] : []),
    ...(isGiven(config?.proxies) ? ['config_kwargs.proxies'] : []),
    ...(isGiven(services?.s3?.['proxy-uri']) ? ['service_config.s3.proxy-uri'] : []),
    ...(isGiven(services?.s3?.signer) ? ['service_config.s3.signer'] : []),
  ];
}

function ofConnection({ extra }: AirflowConnection, who: string): string[] {
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
    ...(isGiven(extra.role_arn) && !isPlainMethod(method)
      ? [
          `${who} takes its role by ${method ?? ''}, which the exporter does not follow: it asks STS for the role with the credentials that it has itself`,
        ]
      : []),
    ...unknown.map(
      (name) =>
        `${who} has ${name} in assume_role_kwargs, which botocore does not know: every push of Airflow fails`,
    ),
    ...(extra.config_kwargs?.signature_version === 'unsigned'
      ? [
          `${who} has the signature_version unsigned, which Airflow's object storage does not take: every push fails. Give no credentials for requests without a signature`,
        ]
      : []),
    ...(isGiven(extra.service_config?.s3?.signer)
      ? [
          `${who} has a signer, which the exporter does not follow: it signs with the credentials of the connection`,
        ]
      : []),
  ];
}

function proxies({ id, given, s3 }: Reach, { env }: World): string[] {
  const who = id === '' ? 'Without a connection' : `With the connection ${id}`;
  const isOwn =
    isGiven(given?.extra.config_kwargs?.proxies) || isGiven(given?.extra.service_config?.s3?.['proxy-uri']);
  if (isOwn)
    return [
      `${who} Airflow's workers reach S3 through the proxy that it names: the exporter goes there directly`,
    ];
  if (s3 === null) return [];
  const proxy = proxyOf(s3.endpoint ?? `https://s3.${s3.region ?? 'us-east-1'}.amazonaws.com`, env);
  if (proxy === null) return [];
  return [
    `${who} Airflow's workers reach S3 through the proxy ${proxy.host} if they have ${proxy.variable} as well: the exporter does not go through it`,
  ];
}

function profiles({ id, given, s3 }: Reach, { env, files: held }: World): string[] {
  const profile = profileOf(given, env);
  if (profile === null || s3?.secretAccessKey != null) return [];
  if (awsProfile(held, profile).isKnown) return [];
  const who = id === '' ? 'Without a connection' : `The connection ${id}`;
  return [
    `${who} takes the profile ${profile}, which the exporter's AWS files do not have: a worker without it fails, and the exporter asks with other credentials or none. Give it the same files`,
  ];
}

function files({ files: { config, credentials } }: World): string[] {
  return Object.entries({ config, credentials }).flatMap(([name, content]) =>
    isBroken(content)
      ? [
          `The AWS ${name} file cannot be read by botocore's parser: an Airflow worker with this file fails at every push`,
        ]
      : [],
  );
}

function keyHalves({ env }: World): string[] {
  const has = (name: string): boolean => (env[name] ?? '') !== '';
  return has('AWS_ACCESS_KEY_ID') && !has('AWS_SECRET_ACCESS_KEY')
    ? [
        'AWS_ACCESS_KEY_ID is set without AWS_SECRET_ACCESS_KEY: an Airflow worker with these variables fails, and the exporter takes other credentials or none',
      ]
    : [];
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
    .map(
      () =>
        "xcom.path: an access point is named by its ARN, which Airflow's workers follow and the exporter does not: give its alias (…-s3alias) in its place",
    );
}

function isPlainMethod(method: string | null | undefined): boolean {
  return (method ?? 'assume_role') === 'assume_role';
}

function isGiven(value: unknown): boolean {
  return value != null && value !== '';
}
