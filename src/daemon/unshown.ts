import type { Report } from '../diagnosis/report.ts';

/** Counts of cycles whose report was not shown. The memory holds their rows, so no later cycle finds them again. */
export type Unshown = Pick<Report, 'increments'> & Pick<Report['canary'], 'refusals'>;

export const NOTHING_UNSHOWN: Unshown = { increments: [], refusals: new Map() };

/** The report with the counts of those before it that were not shown. */
export function withUnshown(report: Report, { increments, refusals }: Unshown): Report {
  const sums = new Map(refusals);
  for (const [reason, count] of report.canary.refusals) sums.set(reason, (sums.get(reason) ?? 0) + count);
  return {
    ...report,
    increments: [...increments, ...report.increments],
    canary: { ...report.canary, refusals: sums },
  };
}

/** The figures of a report alone: another exporter has counted the same rows. */
export function withoutCounts(report: Report): Report {
  return {
    ...report,
    increments: NOTHING_UNSHOWN.increments,
    canary: { ...report.canary, refusals: NOTHING_UNSHOWN.refusals },
  };
}
