import { expect, test } from 'vitest';
import { BUCKET, dumps, uuid4 } from '../../support/plant.ts';
import { usePostgres } from '../../support/postgres.ts';
import { useS3 } from '../../support/s3.ts';
import { openCycle, openStage } from '../../support/seed.ts';

const postgres = usePostgres();
const oldServer = useS3(BUCKET);
const newServer = useS3(BUCKET);
type Connection = 'old' | 'new';
const endpointOf = (connection: Connection) => (connection === 'old' ? oldServer() : newServer()).endpoint;
const variable = (connection: Connection) =>
  `aws://key:secret@/?region_name=us-east-1&endpoint_url=${encodeURIComponent(endpointOf(connection))}`;

test('while a bucket moves to another server, each object is looked for where its row says', async () => {
  const stage = await openStage(postgres(), '3.3.2');
  const cycle = openCycle(stage, {
    endpoint: oldServer().endpoint,
    env: {
      AIRFLOW_CONN_NEW: variable('new'),
      AIRFLOW_CONN_OLD: variable('old'),
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: `s3://new@${BUCKET}/base,s3://old@${BUCKET}/base`,
    },
  });
  const run = await stage.addRun({ dagId: 'orders', runId: 'manual__1', agoSeconds: 400 });
  async function push(taskId: string, { named, at }: { named: Connection; at: Connection }) {
    const key = `base/${run.dagId}/${run.runId}/${taskId}/${uuid4()}`;
    await stage.push({ run, taskId, stored: dumps(`s3://${named}@${BUCKET}/${key}`) });
    await fetch(`${endpointOf(at)}/${BUCKET}/${key}`, { method: 'PUT', body: 'x'.repeat(2_000) });
  }

  for (let n = 0; n < 60; n += 1) {
    await push(`old_${n}`, { named: 'old', at: 'old' });
    await push(`new_${n}`, { named: 'new', at: 'new' });
  }
  const { states, window } = await cycle.pass();
  expect([states.objects_missing, window?.broken.missing]).toEqual(['clear', 0]);

  // A copy at the server that is left does not help a worker, which reads from the other one.
  for (let n = 0; n < 60; n += 1) await push(`lost_${n}`, { named: 'new', at: 'old' });
  for (let n = 0; n < 60; n += 1) await push(`kept_${n}`, { named: 'old', at: 'old' });
  expect((await cycle.pass()).window?.broken.missing).toBe(60);
  await cycle.close();
  await stage.close();
});
