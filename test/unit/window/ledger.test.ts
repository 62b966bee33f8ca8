import { expect, test } from 'vitest';
import type { LedgerState } from '../../../src/window/ledger-state.ts';
import { emptyState } from '../../../src/window/ledger-state.ts';
import { createLedger } from '../../../src/window/ledger.ts';
import { openLiveRun } from '../../support/live-run.ts';

const NOW = 1_800_000_000_000;
const HOUR = 3_600_000;
const origin = { tables: '7: 1, 2', files: '3, 4', timeline: 2 };

test.each([
  { what: 'new rows is listed again', rows: 2, listedAt: 0, changes: 1 },
  { what: 'no new row is not', rows: 0, listedAt: NOW - HOUR, changes: 0 },
])('a run with $what, and keeps its figure until then', async ({ rows, listedAt, changes }) => {
  const state: LedgerState = {
    ...emptyState(),
    schema: 'xcom-jsonb',
    lastRunId: 1,
    origin,
    lastReading: { at: NOW - HOUR, horizon: '7', from: NOW - 24 * HOUR, position: null },
  };
  const run = openLiveRun(state, { id: 1, dagId: 'dag', runId: 'run' });
  run.listed = { at: NOW - HOUR, unseen: false, orphans: 3, orphanBytes: 30 };
  const ledger = createLedger(state);
  const staging = ledger.stage({ schema: 'xcom-jsonb', origin, from: NOW - 23 * HOUR }, () => ({
    storage: 'db',
    bytes: 1,
    leastBytes: 1,
    exact: true,
    byDesign: null,
  }));
  const staged = staging.openKnown(run);
  for (let mapIndex = 0; mapIndex < rows; mapIndex += 1)
    staging.add(staged, {
      ...{ table: 'xcom', dagRunId: 1, taskInstanceId: null, taskId: 'task', mapIndex, key: 'return_value' },
      ...{ dagId: 'dag', runId: 'run', version: '8', at: NOW, isNull: false, text: null },
      ...{ stored: 1, bytes: 1, leastBytes: 1 },
    });
  const { sweep, runSweep } = state;
  const fresh = await ledger.takeIn(
    {
      ...{ shape: { name: 'xcom-jsonb' }, origin, now: NOW, horizon: '9', position: null, lastRunId: 1 },
      ...{ staging, goneRuns: [], canaryDagId: '', lost: [], sweep, runSweep },
    },
    { windowMs: 24 * HOUR },
  );
  expect(fresh).toHaveLength(rows);
  expect(run.listed).toEqual({ at: listedAt, unseen: false, orphans: 3, orphanBytes: 30 });
  expect(run.changes).toBe(changes);
});
