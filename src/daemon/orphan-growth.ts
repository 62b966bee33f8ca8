import type { Sampled } from '../diagnosis/diagnose.ts';
import { isQuiet, RELIST_MS } from '../objects/orphans.ts';
import type { Ledger } from '../window/ledger.ts';

/** How long growth of the orphans stays a problem, and how long a count shows that there is none. */
const GROWTH_MS = 3_600_000;
/** How long a listing tells what is there: twice the time after which a run is listed again. */
const LISTED_MS = 2 * RELIST_MS;

/** The memory of objects without a row: how many there were, and when their number last grew. */
export interface OrphanGrowth {
  /** The last count; null: there was none yet. `at`: epoch ms. */
  readonly last: { readonly orphans: number; readonly at: number } | null;
  /** Whether the last count tells of growth: there was one before it, or it found none, which cannot be growth. */
  readonly isCompared: boolean;
  readonly grew: { readonly from: number; readonly to: number; readonly at: number } | null;
}

export const NO_GROWTH: OrphanGrowth = { last: null, isCompared: false, grew: null };

/** Growth is measured between two moments at which every quiet run had been listed. `now`: epoch ms. */
export function withOrphans(
  before: OrphanGrowth,
  orphans: number | null,
  { now, isListed }: { readonly now: number; readonly isListed: boolean },
): OrphanGrowth {
  const { last } = before;
  const isPast = before.grew !== null && now - before.grew.at > GROWTH_MS;
  const grew = isPast ? null : before.grew;
  if (orphans === null || !isListed) return { ...before, grew };
  const isMore = last !== null && orphans > last.orphans;
  return {
    last: { orphans, at: now },
    isCompared: last !== null || orphans === 0,
    grew: isMore ? { from: last.orphans, to: orphans, at: now } : grew,
  };
}

/** Gives what is known of the growth now. Without a recent count that is nothing, even if earlier ones found none. */
export function growthAt({ last, isCompared, grew }: OrphanGrowth, now: number): Sampled['orphanGrowth'] {
  if (grew !== null) return grew;
  return isCompared && last !== null && now - last.at <= GROWTH_MS ? 'none' : 'unknown';
}

/**
 * Whether every quiet run has been listed lately, and since it last changed. The others are not asked: on a busy site, a
 * run ends all the time. One that cannot be listed may have other orphans now, and may be listed again later.
 */
export function isListed(ledger: Pick<Ledger, 'runs'>, now: number): boolean {
  return [...ledger.runs().values()].every(
    (run) =>
      !isQuiet(run, now) ||
      (run.listed !== null && now - run.listed.at <= LISTED_MS && run.listed.refused === undefined),
  );
}
