import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createKeeper } from '../../../src/daemon/state-keeper.ts';
import { openStateFile } from '../../../src/state/file.ts';
import type { State } from '../../../src/state/records.ts';
import { emptyState } from '../../../src/window/ledger-state.ts';
import { WHOLE } from '../../support/whole.ts';

const MINUTE = 60_000;
const logged: string[] = [];
const log = pino({ level: 'warn' }, { write: (line) => logged.push(line) });
const stateOf = (lastRunId: number): State => ({
  window: { ...emptyState(), lastRunId },
  problems: {},
  cleared: [],
});

let path = '';
beforeEach(() => {
  path = join(tmpdir(), `xcom-state-${randomUUID()}`);
  logged.length = 0;
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(path, { force: true });
});

/** An exporter that has just started. */
async function started({ isLed = true } = {}) {
  const file = openStateFile(path, WHOLE);
  await file.read();
  const keeper = createKeeper({ file, finished: () => undefined, isLed, cyclesApartMs: () => MINUTE, log });
  return {
    keeper,
    leads: (lastRunId: number, publish = () => undefined) =>
      keeper.save(stateOf(lastRunId), { isNews: true, publish }),
    /** The last run that it knows of after it stood by and takes over. */
    takesOver: async () => {
      const found = await keeper.found({ remembered: false });
      return found === null ? null : found?.window.lastRunId;
    },
  };
}

test('the file that this exporter wrote before it stood by is not used again', async () => {
  const one = await started();
  await one.leads(1);
  expect(await one.takesOver()).toBeNull();
  // Its next counts are written over the old file.
  await one.leads(2);
  expect(await (await started()).takesOver()).toBe(2);
});

test('a file that both use is used, whoever wrote it first', async () => {
  const one = await started();
  await one.leads(1);
  const other = await started();
  await other.leads(2);
  expect(await one.takesOver()).toBe(2);
});

test.each([
  { what: 'of a leader shows none of its counts: another one has counted the same rows', isLed: true },
  { what: 'without a lock shows them all the same: each of the two counts for itself', isLed: false },
])('a state that another exporter was quicker to write $what', async ({ isLed }) => {
  const one = await started({ isLed });
  await one.leads(1);
  await (await started({ isLed })).leads(2);
  let shown = 0;
  const isShown = await one.leads(3, () => {
    shown += 1;
    return undefined;
  });
  expect([isShown, shown]).toEqual(isLed ? [false, 0] : [true, 1]);
  // It goes on from what the other one left.
  expect(await one.takesOver()).toBe(2);
});

test('the file of a former process is used as long as the leader may have written it', async () => {
  await (await started()).leads(1);
  const again = await started();
  vi.advanceTimersByTime(5 * MINUTE);
  expect(await again.takesOver()).toBe(1);
  // Reading it once more makes it no younger.
  vi.advanceTimersByTime(2 * MINUTE);
  expect(await again.takesOver()).toBeNull();
  // Perhaps nobody led: the database may have been away for all of them.
  expect(logged.join('')).toContain('another exporter may have led since this state file was written');
});

test('a memory that is as good as the file stays', async () => {
  const one = await started();
  await one.leads(1);
  expect(await one.keeper.found({ remembered: true })).toBeUndefined();
});
