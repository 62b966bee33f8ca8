import { withoutPasswords } from '../lib/without-passwords.ts';
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
  /**
   * Ended runs whose objects no listing leads to. Objects without a row there are not counted as orphans, but for those
   * that were listed before a path could not be listed any more, and those below the other paths of the run.
   */
  readonly unseenRuns: number;
  /** Those among them with a path that could not be listed, and these paths, each with the reason. */
  readonly unlistable: { readonly runs: number; readonly paths: readonly string[] };
}

/** How many paths are named; the others are counted. */
const PATHS_NAMED = 3;

export function unlistableWords({ runs, paths }: WindowTotals['unlistable']): string {
  const named = withoutPasswords(paths.slice(0, PATHS_NAMED).join(', '));
  const more = paths.length > PATHS_NAMED ? ` and ${paths.length - PATHS_NAMED} other paths` : '';
  return `${runs === 1 ? 'one ended run' : `${runs} ended runs`} of ${named}${more}`;
}

export function orphans(
  ledger: Ledger,
): Pick<WindowTotals, 'orphanObjects' | 'orphanBytes' | 'unseenRuns' | 'unlistable'> {
  let known = ledger.runs().size === 0;
  let orphanObjects = 0;
  let orphanBytes = 0;
  let unseenRuns = 0;
  let refusedRuns = 0;
  const paths = new Set<string>();
  for (const { listed } of ledger.runs().values()) {
    if (listed === null) continue;
    if (listed.refused !== undefined) {
      refusedRuns += 1;
      paths.add(listed.refused);
    }
    if (listed.unseen || listed.refused !== undefined) unseenRuns += 1;
    if (listed.unseen) continue;
    known = true;
    orphanObjects += listed.orphans;
    orphanBytes += listed.orphanBytes;
  }
  const figures = known ? { orphanObjects, orphanBytes } : { orphanObjects: null, orphanBytes: null };
  return { ...figures, unseenRuns, unlistable: { runs: refusedRuns, paths: [...paths].sort() } };
}
