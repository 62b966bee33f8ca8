import type { Bases } from '../window/bases.ts';

/** What rows are measured by. */
export interface Measures {
  /** A value that is as large is oversize. */
  readonly oversize: number;
  /** NaN: it is not known, or none. No size is above or below that. */
  readonly threshold: number;
  /** A value of a task that has so many bytes and is in the database was kept there. */
  readonly large: number;
  readonly bases: Bases;
}

export function measuresOf({
  oversize,
  threshold,
  bases,
}: {
  readonly oversize: number;
  /** Null: not known. */
  readonly threshold: number | null;
  readonly bases: Bases;
}): Measures {
  return {
    oversize,
    threshold: threshold === null || threshold < 0 ? Number.NaN : threshold,
    large: Math.max(oversize, threshold ?? 0),
    bases,
  };
}
