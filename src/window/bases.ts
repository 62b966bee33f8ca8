import type { InForceRule } from '../airflow/xcom-path.ts';
import type { Ledger } from './ledger.ts';

/** The rule for the bases that there are now, by their number in the columns. */
export function basesInForce(ledger: Ledger, rule: InForceRule): (base: number) => boolean {
  const { bases } = ledger.rows();
  const answers = new Uint8Array(bases.limit());
  for (const [id, , base] of bases.entries()) answers[id] = rule(base) ? 1 : 0;
  return (base) => answers[base] === 1;
}

/** By the number of a base: whether it is as configured, and whether its objects have the size that was measured. */
export function basesOf(ledger: Ledger, inForce: InForceRule): { inForce: Uint8Array; plain: Uint8Array } {
  const { bases } = ledger.rows();
  const result = { inForce: new Uint8Array(bases.limit()), plain: new Uint8Array(bases.limit()) };
  for (const [id, , base] of bases.entries()) {
    result.inForce[id] = inForce(base) ? 1 : 0;
    result.plain[id] = base.suffix === '' ? 1 : 0;
  }
  return result;
}
