import { awsProfile } from '../airflow/aws-profile.ts';
import type { AirflowConnection } from '../airflow/connection.ts';
import type { WorkerWorld } from '../airflow/worker-s3.ts';
import { isRegionName } from '../airflow/region-name.ts';
import { profileOf, regionOf } from '../airflow/worker-s3.ts';
import type { NamedConnection } from './connections.ts';
import type { Warning } from './push-fault.ts';

/** A region for which botocore makes no client, with the place where it stands. The exporter's SDK refuses it too. */
export function refusedRegion(
  { id, given, s3 }: Pick<NamedConnection, 'id' | 'given' | 's3'>,
  world: WorkerWorld,
): readonly Warning[] {
  const region = regionOf(given, world);
  if (region === null || isRegionName(region.text)) return [];
  const place = placeOf({ id, given, place: region.place }, world);
  if (region.text === '')
    // A server of somebody's own mostly accepts an empty region.
    return s3 === null || s3.endpoint !== null
      ? []
      : [
          {
            pushFault: `${place} has an empty region, which a worker takes in place of any other: it finds no address of AWS, and every push fails`,
          },
        ];
  return [
    {
      pushFault: `${place} has a region that botocore refuses: every push of Airflow fails. It takes letters, digits and hyphens; a quote, a space, a line break or a comment behind it is part of it`,
    },
  ];
}

function placeOf(
  { id, given, place }: { id: string; given: AirflowConnection | null; place: string | null },
  { env, files }: WorkerWorld,
): string {
  if (place === 'AWS_DEFAULT_REGION') return place;
  if (place !== null) return `The connection ${id}, in ${place},`;
  const ofCredentials = awsProfile({ config: '', credentials: files.credentials }, profileOf(given, env));
  return `The AWS ${ofCredentials.region === null ? 'config' : 'credentials'} file, in region,`;
}
