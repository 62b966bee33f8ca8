import { randomUUID } from 'node:crypto';
import { readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createKeeper } from '../../../src/daemon/state-keeper.ts';
import { openStateFile } from '../../../src/state/file.ts';
import type { State } from '../../../src/state/records.ts';
import type { JobEnd } from '../../../src/status/jobs.ts';
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
  const failures: (string | null)[] = [];
  const finished = ({ failure }: JobEnd) => {
    failures.push(failure?.reason ?? null);
  };
  const keeper = createKeeper({ file, finished, isLed, cyclesApartMs: () => MINUTE, log });
  return {
    keeper,
    /** How each writing ended. */
    failures,
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

/** Changes the header of the file, which another exporter wrote then. */
function rewriteHeader(change: (header: Record<string, unknown>) => Record<string, unknown>): void {
  const [line = '', ...rest] = readFileSync(path, 'latin1').split('\n');
  const header = JSON.stringify(change(JSON.parse(line) as Record<string, unknown>)).padEnd(line.length);
  writeFileSync(path, [header, ...rest].join('\n'), 'latin1');
}

describe.each([{ isLed: true }, { isLed: false }])(
  'a file that cannot be used (a leader: $isLed)',
  ({ isLed }) => {
    test.each([
      {
        what: 'is damaged',
        harm: () => {
          writeFileSync(path, 'torn');
        },
      },
      {
        what: 'cannot be opened',
        harm: () => {
          rmSync(path);
          symlinkSync(path, path);
        },
      },
      { what: 'gives an error when it is read', harm: errsWhenRead },
      {
        what: 'is of another shard',
        harm: () => {
          rewriteHeader((header) => ({ ...header, owner: 'another', shard: '1/3' }));
        },
      },
    ])(
      'and $what is no other leader: the counts are shown, and the failure is no conflict',
      async ({ harm }) => {
        const one = await started({ isLed });
        await one.leads(1);
        harm();
        let shown = 0;
        const publish = () => {
          shown += 1;
          return undefined;
        };
        expect([await one.leads(2, publish), await one.leads(3, publish)]).toEqual([true, true]);
        expect(shown).toBe(2);
        expect(one.failures).toEqual([null, 'write_failed', 'write_failed']);
      },
    );
  },
);

/** As a bad disk does, or NFS that is away: nothing is mapped at the first address of this process. */
function errsWhenRead(): void {
  rmSync(path, { force: true });
  symlinkSync('/proc/self/mem', path);
}

test.each([
  {
    what: 'is cut short',
    harm: () => {
      truncateSync(path, 300);
    },
  },
  { what: 'gives an error when it is read', harm: errsWhenRead },
])(
  'a leader that takes over with a file that $what counts from then on, and leaves the file',
  async ({ harm }) => {
    const one = await started();
    await (await started()).leads(1);
    harm();
    expect(await one.takesOver()).toBeNull();
    let shown = 0;
    const publish = () => {
      shown += 1;
      return undefined;
    };
    expect([await one.leads(2, publish), await one.leads(3, publish)]).toEqual([true, true]);
    expect(shown).toBe(2);
    expect(one.failures).toEqual(['write_failed', 'write_failed']);
  },
);

test('of two leaders that write at the same time one shows its counts', async () => {
  const one = await started();
  await one.leads(1);
  const other = await started();
  let shown = 0;
  const publish = () => {
    shown += 1;
    return undefined;
  };
  const isShown = await Promise.all([one.leads(2, publish), other.leads(2, publish)]);
  expect([isShown.toSorted(), shown]).toEqual([[false, true], 1]);
  expect([...one.failures, ...other.failures].toSorted()).toEqual(['conflict', null, null]);
});

test('counts whose display fails are not shown once more', async () => {
  const one = await started();
  let shown = 0;
  await one.leads(1, () => {
    shown += 1;
    throw new Error('a fault of the display');
  });
  expect(shown).toBe(1);
});
