import { misplacedEndpoint } from '../airflow/connection.ts';
import type { NamedConnection } from './connections.ts';

/** Requests of Airflow go to AWS although a connection names a server of somebody's own, as with an old provider. */
export function misplacedEndpoints(connections: readonly NamedConnection[]): readonly string[] {
  return connections.flatMap(({ variable, given, s3 }) => {
    if (given === null || s3 === null || s3.endpoint !== null) return [];
    const [place] = misplacedEndpoint(given);
    return place === undefined
      ? []
      : [
          `${variable}: Airflow does not take ${place} for the endpoint, and its requests go to AWS: write endpoint_url in extra`,
        ];
  });
}
