import { expect, test } from 'vitest';
import type { Report } from '../../../src/diagnosis/report.ts';
import { BUCKET } from '../../support/plant.ts';
import { usePostgres } from '../../support/postgres.ts';
import { useS3 } from '../../support/s3.ts';
import { openCycle, openStage } from '../../support/seed.ts';

const postgres = usePostgres();
const s3 = useS3(BUCKET);

/** The REST API wrote three large values after their task had ended, and one cycle asks about the writers of two. */
test('nothing is said of large values while nobody knows who wrote them', async () => {
  const stage = await openStage(postgres(), '3.3.2');
  const cycle = openCycle(stage, { endpoint: s3().endpoint, workersACycle: 2 });
  try {
    const run = await stage.addRun({ dagId: 'etl', runId: 'manual', agoSeconds: 400 });
    const stored = JSON.stringify('x'.repeat(2_000));
    for (const taskId of ['one', 'two', 'three']) await stage.push({ run, taskId, stored, agoSeconds: 60 });
    await stage.writer.query(
      `UPDATE task_instance SET state = 'success', updated_at = now() - interval '5 minutes'`,
    );
    const told = ({ states, undecided }: Report) => [states.backend_inactive, undecided.backend_inactive];
    expect(told(await cycle.pass())).toEqual(['unknown', 'who wrote 1 more large value is not known yet']);
    expect(told(await cycle.pass())).toEqual([
      'unknown',
      'no worker wrote a value that is large enough to show whether it would go to object storage',
    ]);
  } finally {
    await cycle.close();
    await stage.close();
  }
});
