import { isTurned } from './chance.ts';
import type { History, Sizes, WorkerHistory } from './worker-histories.ts';

/**
 * The verdict on workers that kept large values, from the order and the sizes of their values.
 * `bypassing`: nothing speaks against the assumption that they lack the backend.
 * `over`: they have turned to object storage since, so it is no fault of today.
 * `threshold`: they put only larger values than all that they kept, at the same time: another threshold.
 * `open`: one of these, and the rows do not show which.
 */
export type Standing = 'bypassing' | 'over' | 'threshold' | 'open';

/** The fewest rows on both sides from whose sizes a threshold is inferred, or from whose order a change is inferred. */
export const FEW = 3;

/** The host counts if it lasts. A host that has fallen silent is judged by its pool, which may have got other hosts. */
export function standingOf({ own, pool, isHostLasting }: WorkerHistory): Standing {
  const together = standingOfHistory(pool);
  if (!isHostLasting) return together;
  const alone = standingOfHistory(own);
  if (together !== 'over' || alone === 'over' || alone === 'threshold') return alone;
  return allOf(own.since) > 0 || pool.wellBefore === 0 ? 'over' : 'open';
}

export function standingOfHistory({ kept, earlier, between, since }: History): Standing {
  const small = earlier.small + between.small;
  const maySmall = mayBeSmall(earlier) + mayBeSmall(between);
  const isCut = maySmall + mayBeSmall(since) === 0;
  if (isCut && kept.rows >= FEW && between.larger >= FEW) return 'threshold';
  /** Larger references beside what was kept show a threshold in between: a larger one since then is nothing new. */
  const hasShown = earlier.larger + between.larger >= FEW;
  const turned = {
    // The first value that was kept only opens the sequence.
    turned: kept.rows - 1,
    others: hasShown ? mayBeSmall(between) : allOf(between),
    since: hasShown ? mayBeSmall(since) : allOf(since),
  };
  if ((maySmall === 0 && turned.since >= FEW) || isTurned(turned)) return 'over';
  // No threshold keeps one value and puts another that is as small.
  if (small > 0) return 'bypassing';
  return hasShown || turned.since > 0 || allOf(between) > 0 ? 'open' : 'bypassing';
}

/** How many references are not known to be larger. */
function mayBeSmall({ small, unsized }: Sizes): number {
  return small + unsized;
}

export function allOf({ small, unsized, larger }: Sizes): number {
  return small + unsized + larger;
}
