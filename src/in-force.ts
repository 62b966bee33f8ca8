import type { Reference } from './airflow/reference.ts';
import type { Config } from './config.ts';
import type { Ledger } from './ledger.ts';

export type InForceRule = (reference: Omit<Reference, 'key'>) => boolean;

/** Whether Airflow, as configured, can read a reference back. Nothing configured: nothing is known against it. */
export function inForceRule({ paths }: Config['xcom']): InForceRule {
  const [path] = paths;
  if (path === undefined) return () => true;
  return ({ scheme, connection, bucket, prefix }) =>
    scheme === path.scheme &&
    connection === (path.connection ?? '') &&
    bucket === path.bucket &&
    prefix === path.prefix;
}

/** The rule for the bases that there are now, by their number in the columns. */
export function basesInForce(ledger: Ledger, rule: InForceRule): (base: number) => boolean {
  const { bases } = ledger.rows();
  const answers = new Uint8Array(bases.limit());
  for (const [id, , base] of bases.entries()) answers[id] = rule(base) ? 1 : 0;
  return (base) => answers[base] === 1;
}
