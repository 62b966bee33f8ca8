/**
 * SQL for a UUID as Airflow 3.4 gives it to a row of `xcom_v2` that is written at this instant (RFC 9562, version 7).
 */
export function uuid7(instant: string): string {
  return `(lpad(to_hex((extract(epoch FROM ${instant}) * 1000)::bigint), 12, '0') || '7'
    || substr(md5(random()::text), 1, 3) || '8' || substr(md5(random()::text), 1, 15))::uuid`;
}
