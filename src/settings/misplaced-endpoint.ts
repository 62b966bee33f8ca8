import { misplacedEndpoint } from '../airflow/connection.ts';
import type { NamedConnection } from './connections.ts';

/**
 * Warns if Airflow's requests go to AWS although a connection names somebody's own server. The Amazon provider 8.26
 * still takes `host` in extra. A connection without a variable is kept in Airflow's database.
 */
export function misplacedEndpoints(connections: readonly NamedConnection[]): readonly string[] {
  return connections.flatMap(({ id, variable, given, s3 }) => {
    if (given === null || s3 === null || s3.endpoint !== null) return [];
    const [place] = misplacedEndpoint(given);
    if (place === undefined) return [];
    const who = variable === '' ? `The connection ${id}` : variable;
    return [
      place === 'its host'
        ? `${who}: Airflow does not take its host for the endpoint, and its requests go to AWS: write endpoint_url in extra`
        : `${who}: only an older Amazon provider, as of Airflow 2.9, takes host in extra for the endpoint; with any later one requests go to AWS, as the exporter's do: write endpoint_url in extra`,
    ];
  });
}
