import type { Bases } from '../window/bases.ts';

/** The sizes and bases that rows are measured by. */
export interface Measures {
  /** A value of this size or more is oversize. */
  readonly oversize: number;
  /** NaN: the threshold is not known, or there is none. No size is above or below NaN. */
  readonly threshold: number;
  /** A task's value of this size or more that is in the database was kept there. */
  readonly large: number;
  readonly bases: Bases;
  /** Whether the role may not read whose rows those of `xcom_v1` are. */
  readonly ownersUnread: boolean;
}

export function measuresOf({
  oversize,
  threshold,
  bases,
  ownersUnread,
}: {
  readonly oversize: number;
  /** Null: not known. */
  readonly threshold: number | null;
  readonly bases: Bases;
  readonly ownersUnread: boolean;
}): Measures {
  return {
    oversize,
    threshold: threshold === null || threshold < 0 ? Number.NaN : threshold,
    large: Math.max(oversize, threshold ?? 0),
    bases,
    ownersUnread,
  };
}
