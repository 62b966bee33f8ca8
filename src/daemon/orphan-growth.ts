import type { Ledger } from '../window/ledger.ts';

/** How long growth of the orphans stays a problem. */
const GROWTH_MS = 3_600_000;

/** The memory of objects without a row: how many there were, and when their number last grew. */
export interface OrphanGrowth {
  readonly orphans: number | null;
  readonly grew: { readonly from: number; readonly to: number; readonly at: number } | null;
}

export const NO_GROWTH: OrphanGrowth = { orphans: null, grew: null };

/** Growth is measured between two moments at which every quiet run had been listed. `now`: epoch ms. */
export function withOrphans(
  before: OrphanGrowth,
  orphans: number | null,
  { now, isListed }: { readonly now: number; readonly isListed: boolean },
): OrphanGrowth {
  const isPast = before.grew !== null && now - before.grew.at > GROWTH_MS;
  const grew = isPast ? null : before.grew;
  if (orphans === null || !isListed) return { orphans: before.orphans, grew };
  const isMore = before.orphans !== null && orphans > before.orphans;
  return { orphans, grew: isMore ? { from: before.orphans, to: orphans, at: now } : grew };
}

export function isListed(ledger: Pick<Ledger, 'runs'>): boolean {
  return [...ledger.runs().values()].every((run) => run.live || run.listed !== null);
}
