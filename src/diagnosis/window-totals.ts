import type { BrokenReason, Storage } from '../window/flags.ts';
import type { Ledger } from '../window/ledger.ts';

/** The figures of the window now. A figure that is not known is null: it becomes an absent series, never 0. */
export interface WindowTotals {
  readonly seconds: number;
  readonly rows: Readonly<Record<Storage, number>>;
  readonly bytes: Readonly<Record<Storage, number | null>>;
  readonly oversizeRows: number;
  readonly oversizeBytes: number;
  readonly broken: Readonly<Record<BrokenReason, number | null>>;
  readonly orphanObjects: number | null;
  readonly orphanBytes: number | null;
  /** Ended runs whose objects no listing leads to: objects without a row there are not counted as orphans. */
  readonly unseenRuns: number;
}

export function orphans(ledger: Ledger): Pick<WindowTotals, 'orphanObjects' | 'orphanBytes' | 'unseenRuns'> {
  let known = ledger.runs().size === 0;
  let orphanObjects = 0;
  let orphanBytes = 0;
  let unseenRuns = 0;
  for (const { listed } of ledger.runs().values()) {
    if (listed === null) continue;
    if (listed.unseen) {
      unseenRuns += 1;
      continue;
    }
    known = true;
    orphanObjects += listed.orphans;
    orphanBytes += listed.orphanBytes;
  }
  const figures = known ? { orphanObjects, orphanBytes } : { orphanObjects: null, orphanBytes: null };
  return { ...figures, unseenRuns };
}
