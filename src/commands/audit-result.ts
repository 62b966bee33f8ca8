import type { Audit } from '../audit/audit.ts';
import type { Amount } from '../audit/figures.ts';
import type { AuditResult } from '../state/audit-result.ts';

type ConfirmedCounts = Omit<Audit['confirmed'], 'unjudged' | 'unanswered'>;

/** The figures of an audit that an exporter shows. `at`: when it ended, epoch ms. */
export function auditResult(
  {
    figures,
    confirmed,
    unlisted,
    rowsAsOf,
  }: {
    readonly rowsAsOf: Audit['rowsAsOf'];
    readonly unlisted: readonly unknown[];
    readonly confirmed: ConfirmedCounts;
    readonly figures: {
      readonly objects: Readonly<Record<keyof AuditResult['objects'], Amount>>;
      readonly references: Pick<Audit['figures']['references'], 'outside' | 'young'>;
    };
  },
  at: number,
): AuditResult {
  const { named, orphaned, young, other } = figures.objects;
  // If the listing may name objects otherwise than rows do, nothing shows which objects rows name.
  const compared = (amount: Amount) => (confirmed.doubts.length > 0 ? null : plain(amount));
  // Nothing is judged if the rows come from a standby that cannot say how far behind it is.
  const judged = (amount: Amount) => (rowsAsOf === null ? null : compared(amount));
  return {
    at,
    objects: {
      named: compared(named),
      orphaned: judged(orphaned),
      young: judged(young),
      other: compared(other),
    },
    missing: missingOf(confirmed, figures.references),
    unlistedPlaces: unlisted.length,
  };
}

function plain({ objects, bytes }: Amount): { objects: number; bytes: number } {
  return { objects, bytes };
}

/**
 * A sample does not speak for all. Nobody looked for the objects of references that are outside of what was listed, or
 * too young for the inventory.
 */
function missingOf(
  { absent, looked, missing, unknown }: ConfirmedCounts,
  references: Pick<Audit['figures']['references'], 'outside' | 'young'>,
): number | null {
  if (unknown + references.outside + references.young > 0) return null;
  return looked === absent ? missing : null;
}
