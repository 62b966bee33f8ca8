import { awsProfile } from '../airflow/aws-profile.ts';
import type { AwsProfile } from '../airflow/aws-profile.ts';
import type { AirflowConnection } from '../airflow/connection.ts';
import { stsEndpointOf } from '../airflow/worker-endpoint.ts';
import type { WorkerWorld } from '../airflow/worker-s3.ts';
import { profileOf } from '../airflow/worker-s3.ts';
import type { NamedConnection } from './connections.ts';
import type { Warning } from './push-fault.ts';

/** Endpoints of S3 or of STS that botocore calls invalid. The exporter's SDK takes them. */
export function refusedEndpoints(
  { id, given, s3 }: Pick<NamedConnection, 'id' | 'given' | 's3'>,
  { env, files }: WorkerWorld,
): readonly Warning[] {
  if (s3 === null) return [];
  const who = id === '' ? 'The way without a connection' : `The connection ${id}`;
  const profile = awsProfile(files, profileOf(given, env));
  const isIdentity =
    s3.secretAccessKey === null && ((env['AWS_WEB_IDENTITY_TOKEN_FILE'] ?? '') !== '' || profile.takesRole);
  const asked = [
    s3.role === null ? null : s3.role.endpoint,
    isIdentity ? stsEndpointOf(null, { env, profile }) : null,
  ].filter((endpoint) => endpoint !== null);
  return [
    ...(isSaidEmpty(given)
      ? [
          {
            pushFault: `${who} has an empty endpoint_url, which botocore refuses: every push of Airflow fails. Leave it out`,
          },
        ]
      : []),
    ...(s3.endpoint !== null && isAccelerated(given, profile)
      ? [
          {
            pushFault: `${who} has an endpoint beside use_accelerate_endpoint, which botocore refuses: every push of Airflow fails. Give one of the two`,
          },
        ]
      : []),
    ...(s3.endpoint === null ? [] : refused(s3.endpoint, `${who} has an endpoint`)),
    ...[...new Set(asked)].flatMap((sts) => refused(sts, `${who} asks STS at an endpoint`)),
  ];
}

/** The endpoint of the service takes precedence over the other one. */
function isSaidEmpty(given: AirflowConnection | null): boolean {
  const ofService = given?.extra.service_config?.s3?.endpoint_url;
  return (ofService === undefined ? given?.extra.endpoint_url : ofService) === '';
}

function isAccelerated(given: AirflowConnection | null, { accelerates }: AwsProfile): boolean {
  return Boolean(given?.extra.config_kwargs?.s3?.use_accelerate_endpoint ?? accelerates);
}

function refused(endpoint: string, what: string): Warning[] {
  if (endpoint.includes('?'))
    return [
      { pushFault: `${what} with a question mark, which botocore refuses: every push of Airflow fails` },
    ];
  if (isTaken(endpoint)) return [];
  return [
    {
      pushFault: `${what} whose host botocore refuses: every push of Airflow fails. Between its dots stand letters, digits and inner hyphens, at most 63, and no underscore`,
    },
  ];
}

/** botocore's `is_valid_endpoint_url`. An address in brackets has a rule of its own. */
function isTaken(endpoint: string): boolean {
  const host = /^ *https?:\/\/(\[|[^/:?#]*)/i.exec(endpoint)?.[1] ?? '';
  return (
    host === '[' ||
    (host.length <= 255 && /^(?:(?!-)[a-z\d-]{1,63}(?<!-)\.)*(?!-)[a-z\d-]{1,63}(?<!-)\.?$/i.test(host))
  );
}
