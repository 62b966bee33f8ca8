import { describe, expect, test } from 'vitest';
import { shapeOf, listShapes, openCycle, openStage, sumUp } from '../../support/seed.ts';
import type { Run, Stage } from '../../support/seed.ts';
import { BASE, BUCKET, uuid4 } from '../../support/plant.ts';
import { usePostgres } from '../../support/postgres.ts';
import { useS3 } from '../../support/s3.ts';

/** A fault of a try is over when another try has taken its place: Airflow 3.4 keeps the rows of both. */

const postgres = usePostgres();
const s3 = useS3(BUCKET);
const KEPT = listShapes().filter(({ release }) => shapeOf(release).keepsTries);
const MOVED = `s3://aws_xcom@${BUCKET}/moved`;
const CODES = ['objects_missing', 'objects_empty', 'path_mismatch', 'path_leaked', 'local_path'] as const;

const ALL_BROKEN = { missing: 1, empty: 1, unreadable: 0, path_mismatch: 1, leaked: 1 };
const NONE_BROKEN = { missing: 0, empty: 0, unreadable: 0, path_mismatch: 0, leaked: 0 };

async function put(path: string, bytes: number): Promise<void> {
  const key = path.slice(path.indexOf(BUCKET));
  await fetch(`${s3().endpoint}/${key}`, { method: 'PUT', body: 'x'.repeat(bytes) });
}

const pathOf = (run: Run, taskId: string, base = BASE) =>
  `${base}/${run.dagId}/${run.runId}/${taskId}/${uuid4()}`;

async function pushWhole(stage: Stage, run: Run, taskId: string): Promise<string> {
  const path = pathOf(run, taskId);
  await put(path, 2_000);
  await stage.push({ run, taskId, stored: JSON.stringify(path) });
  return path;
}

/** Pushes the values of tasks that went wrong, each in another way. */
async function pushWrong(stage: Stage, run: Run): Promise<void> {
  const wrong = {
    moved: pathOf(run, 'moved', MOVED),
    missing: pathOf(run, 'missing'),
    empty: pathOf(run, 'empty'),
    handed: pathOf(run, 'moved', MOVED),
  };
  await put(wrong.empty, 0);
  await put(wrong.moved, 2_000);
  for (const [taskId, path] of Object.entries(wrong))
    await stage.push({ run, taskId, stored: JSON.stringify(path) });
}

describe.each(KEPT)('$shape', ({ release }) => {
  test('a task that was cleared and ran well is no fault any more, whatever its earlier try had left', async () => {
    const stage = await openStage(postgres(), release);
    const cycle = openCycle(stage, { endpoint: s3().endpoint });
    try {
      await cycle.pass();
      const run = await stage.addRun({ dagId: 'etl', runId: `manual__${release}` });
      await pushWrong(stage, run);
      const before = await cycle.pass();
      expect(before.window?.broken).toEqual(ALL_BROKEN);
      expect(CODES.filter((code) => before.states[code] === 'raised')).toEqual(CODES.slice(0, 4));

      for (const taskId of ['missing', 'empty', 'moved', 'handed']) {
        await stage.clearTask({ run, taskId });
        await pushWhole(stage, run, taskId);
      }
      const after = await cycle.pass();
      expect(after.window?.broken).toEqual(NONE_BROKEN);
      expect(after.window?.rows).toEqual({ db: 0, s3: 8, other: 0 });
      expect(CODES.map((code) => after.states[code])).toEqual(CODES.map(() => 'clear'));
      // The objects are looked up again and still exist: the earlier try still counts as past.
      expect((await cycle.pass()).window?.broken).toEqual(NONE_BROKEN);
    } finally {
      await cycle.close();
      await stage.close();
    }
  });

  test('whoever starts after the task was cleared says nothing of the earlier try, however many rows it left', async () => {
    const stage = await openStage(postgres(), release);
    const cycle = openCycle(stage, { endpoint: s3().endpoint });
    try {
      const run = await stage.addRun({ dagId: 'etl', runId: `cleared__${release}` });
      const whole = await pushWhole(stage, run, 'whole');
      await stage.push({ run, taskId: 'handed', key: 'part', stored: JSON.stringify(whole) });
      await stage.multiply('part', 2_500);
      await stage.push({ run, taskId: 'local', stored: JSON.stringify(pathOf(run, 'local', '')) });
      for (const taskId of ['handed', 'local']) {
        await stage.clearTask({ run, taskId });
        await pushWhole(stage, run, taskId);
      }
      const { window, states } = await cycle.pass();
      expect(window?.broken).toEqual(NONE_BROKEN);
      expect(window?.rows).toEqual({ db: 0, s3: 2_504, other: 1 });
      expect(CODES.map((code) => states[code])).toEqual(CODES.map(() => 'clear'));
    } finally {
      await cycle.close();
      await stage.close();
    }
  });

  test('a fault of the latest try stands beside those of earlier ones, and each is counted once', async () => {
    const stage = await openStage(postgres(), release);
    const cycle = openCycle(stage, { endpoint: s3().endpoint });
    try {
      await cycle.pass();
      const run = await stage.addRun({ dagId: 'etl', runId: `again__${release}` });
      await pushWrong(stage, run);
      const first = await cycle.pass();
      expect(sumUp(first.increments).counters['references_broken_total etl leaked']).toBe(1);
      await stage.clearTask({ run, taskId: 'handed' });
      await stage.push({ run, taskId: 'handed', stored: JSON.stringify(pathOf(run, 'moved')) });
      const second = await cycle.pass();
      expect(second.window?.broken.leaked).toBe(1);
      expect(second.states.path_leaked).toBe('raised');
      expect(sumUp(second.increments).counters['references_broken_total etl leaked']).toBe(1);
      const third = await cycle.pass();
      expect(sumUp(third.increments).counters['references_broken_total etl leaked']).toBeUndefined();
    } finally {
      await cycle.close();
      await stage.close();
    }
  });
});
