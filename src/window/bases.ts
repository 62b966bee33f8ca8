import type { InForceRule } from '../airflow/xcom-path.ts';
import type { Ledger } from './ledger.ts';

/** Answers about the bases that there are now, by their numbers in the columns. */
export interface Bases {
  /** It is as configured. */
  readonly isInForce: (base: number) => boolean;
  /** Its objects have the size that Airflow measured. */
  readonly isUncompressed: (base: number) => boolean;
}

export function basesOf(ledger: Ledger, inForce: InForceRule): Bases {
  const { bases } = ledger.rows();
  const inForceById = new Uint8Array(bases.limit());
  const uncompressedById = new Uint8Array(bases.limit());
  for (const [id, , base] of bases.entries()) {
    inForceById[id] = inForce(base) ? 1 : 0;
    uncompressedById[id] = base.suffix === '' ? 1 : 0;
  }
  return {
    isInForce: (base) => inForceById[base] === 1,
    isUncompressed: (base) => uncompressedById[base] === 1,
  };
}
