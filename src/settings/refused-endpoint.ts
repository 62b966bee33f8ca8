import type { NamedConnection } from './connections.ts';

/** A host that botocore calls an invalid endpoint. The exporter's SDK takes it. */
export function refusedEndpoint({ id, s3 }: Pick<NamedConnection, 'id' | 's3'>): readonly string[] {
  if (s3 === null || s3.endpoint === null || isTaken(s3.endpoint)) return [];
  const who = id === '' ? 'The way without a connection' : `The connection ${id}`;
  return [
    `${who} has an endpoint whose host botocore refuses: every push of Airflow fails. Between its dots stand letters, digits and inner hyphens, at most 63, and no underscore`,
  ];
}

/** botocore's `is_valid_endpoint_url`. An address in brackets has a rule of its own. */
function isTaken(endpoint: string): boolean {
  const host = /^https?:\/\/(\[|[^/:?#]*)/i.exec(endpoint)?.[1] ?? '';
  return (
    host === '[' ||
    (host.length <= 255 && /^(?:(?!-)[a-z\d-]{1,63}(?<!-)\.)*(?!-)[a-z\d-]{1,63}(?<!-)\.?$/i.test(host))
  );
}
