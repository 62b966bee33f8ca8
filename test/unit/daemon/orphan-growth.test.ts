import { describe, expect, test } from 'vitest';
import type { OrphanGrowth } from '../../../src/daemon/orphan-growth.ts';
import { growthAt, isListed, NO_GROWTH, withOrphans } from '../../../src/daemon/orphan-growth.ts';
import { emptyState } from '../../../src/window/ledger-state.ts';
import { createLedger } from '../../../src/window/ledger.ts';
import type { Run } from '../../../src/window/run.ts';
import { listAgain } from '../../../src/window/run.ts';
import { openLiveRun } from '../../support/live-run.ts';

const MINUTE = 60_000;
const NOW = 1_000 * MINUTE;

/** The growth after these counts, one a minute; null: not every quiet run was listed. */
function after(...counts: readonly (number | null)[]): OrphanGrowth {
  return counts.reduce<OrphanGrowth>(
    (growth, orphans, minute) =>
      withOrphans(growth, orphans ?? 9, { now: NOW + minute * MINUTE, isListed: orphans !== null }),
    NO_GROWTH,
  );
}

describe('growth', () => {
  test('is unknown until two counts exist', () => {
    const later = NOW + 5 * MINUTE;
    expect(growthAt(after(), later)).toBe('unknown');
    expect(growthAt(after(null, null), later)).toBe('unknown');
    expect(growthAt(after(3), later)).toBe('unknown');
    expect(growthAt(after(3, null), later)).toBe('unknown');
    expect(growthAt(after(3, 3), later)).toBe('none');
    expect(growthAt(after(3, null, 5), later)).toMatchObject({ from: 3, to: 5 });
  });

  test('is ruled out by one count that finds no orphan', () => {
    expect(growthAt(after(0), NOW)).toBe('none');
  });

  test('is said for an hour, and unknown again when nothing was counted for an hour', () => {
    expect(growthAt(after(3, 3), NOW + 61 * MINUTE)).toBe('none');
    expect(growthAt(after(3, 3), NOW + 62 * MINUTE)).toBe('unknown');
    const grown = after(3, 5);
    const at = (minutes: number, isWhole: boolean) => {
      const now = NOW + minutes * MINUTE;
      return growthAt(withOrphans(grown, 5, { now, isListed: isWhole }), now);
    };
    expect(at(61, false)).toMatchObject({ from: 3, to: 5 });
    expect(at(62, true)).toBe('none');
    expect(at(62, false)).toBe('unknown');
  });
});

describe('every quiet run is listed', () => {
  function worldOf(...runs: readonly Partial<Run>[]) {
    const state = emptyState();
    for (const [id, changes] of runs.entries())
      Object.assign(openLiveRun(state, { id, dagId: 'orders', runId: `run ${id}` }), changes);
    return createLedger(state);
  }
  const listed = { at: NOW, unseen: false, orphans: 2, orphanBytes: 20 } as const;
  const quiet = { live: false, activeAt: NOW - 11 * MINUTE, listed };

  test('while others have just ended or are live, as on a busy site', () => {
    const ended = { live: false, activeAt: NOW - 9 * MINUTE, listed: null };
    expect(isListed(worldOf(quiet, ended, { live: true }), NOW)).toBe(true);
    expect(isListed(worldOf(quiet, ended), NOW + 2 * MINUTE)).toBe(false);
  });

  test('but not one whose listing is long past', () => {
    expect(isListed(worldOf(quiet), NOW + 120 * MINUTE)).toBe(true);
    expect(isListed(worldOf(quiet), NOW + 121 * MINUTE)).toBe(false);
  });

  test('but not one that S3 refuses to list, which may have orphans', () => {
    const refused = { at: NOW, unseen: true, refused: 's3://bucket/theirs' } as const;
    expect(isListed(worldOf(quiet, { ...quiet, listed: refused }), NOW)).toBe(false);
  });

  test('but not one that changed since, whose figure stands meanwhile', () => {
    const ledger = worldOf(quiet);
    const run = ledger.runAt(0);
    listAgain(run);
    expect(isListed(ledger, NOW)).toBe(false);
    expect(run.listed).toMatchObject({ orphans: 2, orphanBytes: 20 });
  });
});
