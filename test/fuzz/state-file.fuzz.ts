import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { StateFileError } from '../../src/state/failure.ts';
import { openStateFile } from '../../src/state/file.ts';
import type { LedgerState } from '../../src/window/ledger-state.ts';
import { useOwnPostgres } from '../support/postgres.ts';
import { useS3 } from '../support/s3.ts';
import { listShapes, openCycle, openStage } from '../support/seed.ts';
import type { Chance } from './chance.ts';
import { rounds } from './chance.ts';
import { WHOLE } from '../support/whole.ts';

const postgres = useOwnPostgres();
const s3 = useS3('airflow-xcom');

/** The first bytes tell who wrote a file, and when. */
const HEADER_BYTES = 256;

function damage(whole: Buffer, chance: Chance): Buffer {
  const damaged = Buffer.from(whole);
  const at = chance.int(damaged.length);
  switch (chance.int(5)) {
    case 0:
      damaged[at] = (damaged[at] ?? 0) ^ (1 << chance.int(8));
      return damaged;
    case 1:
      return damaged.subarray(0, at);
    case 2:
      return Buffer.concat([damaged, chance.bytes(1 + chance.int(20))]);
    case 3:
      return damaged.fill(0, at, Math.min(damaged.length, at + 1 + chance.int(200)));
    default:
      chance.bytes(chance.int(100)).copy(damaged, at);
      return damaged;
  }
}

test('a state file that was damaged is refused or set aside, never counted from', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'xcom-exporter-fuzz-'));
  const path = join(dir, 'state');
  const stage = await openStage(postgres(), listShapes().at(-2)?.release ?? '');
  const cycle = openCycle(stage, { endpoint: s3().endpoint });
  try {
    await cycle.pass();
    const run = await stage.addRun({ dagId: 'orders', runId: 'manual__1' });
    for (let at = 0; at < 12; at += 1)
      await stage.push({ run, taskId: `task_${at}`, stored: JSON.stringify('x'.repeat(at * 200)) });
    await cycle.pass();
    await openStateFile(path, WHOLE).write({ window: cycle.state(), problems: {}, cleared: [] });
    const whole = readFileSync(path);
    // Two states are compared by the files that are written from them.
    const printed = async (state: LedgerState | null) => {
      const again = join(dir, 'again');
      rmSync(again, { force: true });
      if (state === null) return 'none';
      await openStateFile(again, WHOLE).write({ window: state, problems: {}, cleared: [] });
      return readFileSync(again).subarray(HEADER_BYTES).toString('base64');
    };
    const sound = await printed((await openStateFile(path, WHOLE).read())?.window ?? null);
    expect(sound).not.toBe('none');
    let refused = 0;
    await rounds(async (chance) => {
      for (let i = 0; i < 20; i += 1) {
        writeFileSync(path, damage(whole, chance));
        let state: LedgerState | null = null;
        try {
          state = (await openStateFile(path, WHOLE).read())?.window ?? null;
        } catch (error) {
          if (!(error instanceof StateFileError)) throw error;
          refused += 1;
          continue;
        }
        // Damage in the first line can look like another version or another number of shards.
        if (state === null) continue;
        expect((await printed(state)) === sound, 'what a damaged file is taken for is what it was').toBe(
          true,
        );
      }
    });
    expect(refused).toBeGreaterThan(0);
  } finally {
    await cycle.close();
    await stage.close();
    rmSync(dir, { recursive: true, force: true });
  }
});
