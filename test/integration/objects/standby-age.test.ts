import { expect, test } from 'vitest';
import type { Statement } from '../../../src/postgres/client.ts';
import { betweenQueries } from '../../support/between-queries.ts';
import { BASE, BUCKET, uuid4 } from '../../support/plant.ts';
import { usePostgres } from '../../support/postgres.ts';
import { useS3 } from '../../support/s3.ts';
import { openCycle, openStage } from '../../support/seed.ts';

const postgres = usePostgres();
const s3 = useS3(BUCKET);

test('a standby that catches up while S3 is asked: the figures are as old as the rows that were read', async () => {
  const stage = await openStage(postgres(), '3.3.2');
  let behindMs = 20_000;
  const cycle = openCycle(stage, {
    endpoint: s3().endpoint,
    through: (database) =>
      betweenQueries(database, (query) => async <Row>(statement: Statement) => {
        if (statement.name === 'replay') {
          const replayedTo = Date.now() - behindMs;
          const isThrough = behindMs === 0;
          return [{ isThrough, heardAt: Date.now(), position: '0/1', replayedTo, isPaused: false } as Row];
        }
        const rows = await query<Row>(statement);
        if (statement.name === 'role') return rows.map((row) => ({ ...row, isStandby: true }));
        if (statement.name === 'instant') behindMs = 0;
        return rows;
      }),
  });
  // A look-up of an object that is not there leads to the second question.
  const run = await stage.addRun({ dagId: 'etl', runId: 'r', agoSeconds: 400 });
  const stored = JSON.stringify(`${BASE}/etl/r/extract/${uuid4()}`);
  await stage.push({ run, taskId: 'extract', stored, agoSeconds: 400 });
  const { lagSeconds } = await cycle.pass();
  expect(lagSeconds).not.toBeNull();
  expect(lagSeconds).not.toBe(0);
  await cycle.close();
  await stage.close();
});
