import type { Figures } from './figures.ts';

/**
 * The least number of days with which a rule that expires objects takes no object that is named; null when no such
 * number is known. `reason` explains either.
 */
export interface SafeDays {
  readonly days: number | null;
  readonly reason: string;
}

const DAY_MS = 86_400_000;

/**
 * `rowsAsOf`: the moment up to which the rows are known; null when a standby cannot say. The age counts up to `now`: a
 * rule acts on today's age, however far behind the rows are. Both epoch ms.
 */
export function safeDays(
  { oldest, references }: Pick<Figures, 'oldest' | 'references'>,
  { rowsAsOf, now }: { readonly rowsAsOf: number | null; readonly now: number },
): SafeDays {
  if (rowsAsOf === null)
    return {
      days: null,
      reason: 'the standby does not say how far it is, so the age of what its rows name is not known',
    };
  if (references.outside > 0)
    return {
      days: null,
      reason: `${references.outside} references point to places that were not listed, so their age is not known`,
    };
  if (references.unjudged > 0)
    return {
      days: null,
      reason: `${references.unjudged} references have a connection that is not known here or leads to another server, so the age of their objects is not known`,
    };
  if (references.undated > 0)
    return {
      days: null,
      reason: `${references.undated} references name objects that the listing lacks and that are or may be there, so their age is not known`,
    };
  if (oldest === null) return { days: null, reason: 'no object that a row names was found' };
  // A rule rounds up to the next midnight of UTC. One day more keeps the rule away from objects that are named today.
  const days = Math.max(1, Math.ceil((now - oldest.at) / DAY_MS)) + 1;
  const since = new Date(oldest.at).toISOString().slice(0, 10);
  return {
    days,
    reason: `the oldest object that a row names is of ${since} (s3://${oldest.location}, named in ${oldest.source}); it holds as long as rows are deleted before they are ${days} days old`,
  };
}
