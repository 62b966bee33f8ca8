import type { AirflowConnection } from '../airflow/connection.ts';
import { connectionVariable, parseConnection } from '../airflow/connection.ts';
import type { ConfigurationTexts } from '../airflow/config-option.ts';
import { secretsBackend } from '../airflow/config-option.ts';
import type { WorkerWorld } from '../airflow/worker-s3.ts';
import { s3Connection } from '../airflow/worker-s3.ts';
import type { XComPath } from '../airflow/xcom-path.ts';
import { isS3Path } from '../airflow/xcom-path.ts';
import type { S3Connection } from '../s3/connection.ts';
import type { Attempts } from './attempts.ts';

export interface NamedConnection {
  /** '' is the one that a path without an id uses. */
  readonly id: string;
  /** Null when no variable holds it. */
  readonly given: AirflowConnection | null;
  readonly isSet: boolean;
  /** Null when what was given is wrong. */
  readonly s3: S3Connection | null;
}

/** The connections that the paths name, and '' which is there for a reference without one. */
export function readConnections(
  paths: readonly XComPath[],
  world: WorkerWorld,
  { attempt }: Attempts,
): readonly NamedConnection[] {
  const ids = new Set(['', ...paths.filter(isS3Path).map((path) => path.connection ?? '')]);
  return [...ids].map((id) => {
    const variable = connectionVariable(id);
    const text = id === '' ? '' : (world.env[variable] ?? '');
    const given = text === '' ? null : attempt(variable, () => parseConnection(text));
    const from =
      text === '' ? 'AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or endpoint_url of the AWS config file' : variable;
    return { id, given, isSet: text !== '', s3: attempt(from, () => s3Connection({ id, given }, world)) };
  });
}

/** Airflow asks a secrets backend before its environment, and the exporter cannot. */
export function secretsBackendWarnings(
  connections: readonly NamedConnection[],
  from: ConfigurationTexts,
): string[] {
  const backend = secretsBackend(from);
  if (backend === null) return [];
  return connections
    .filter(({ id, isSet }) => id !== '' && !isSet)
    .map(
      ({ id }) =>
        `Airflow asks ${backend} for the connection ${id}, and the exporter does not: give it as ${connectionVariable(id)}`,
    );
}

/** A missing file of authorities would be missed at the first request, hence in each cycle. */
export function checkConnectionFiles(connections: readonly NamedConnection[], { readText }: Attempts): void {
  for (const { s3 } of connections)
    if (s3 !== null && s3.authorities !== null)
      readText(s3.authorities, 'AWS_CA_BUNDLE, REQUESTS_CA_BUNDLE or ca_bundle of the AWS config file');
}
