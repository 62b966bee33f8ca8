import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { SHAPE_TABLES } from '../../../src/airflow/shape.ts';
import { createCycle } from '../../../src/daemon/cycle.ts';
import { openDatabase } from '../../../src/postgres/client.ts';
import type { ObjectStore } from '../../../src/s3/client.ts';
import { openStores } from '../../../src/s3/stores.ts';
import { requireDatabase } from '../../../src/settings/config.ts';
import { ALWAYS_COMPARED } from '../../support/compared.ts';
import { BUCKET, dumps, uuid4 } from '../../support/plant.ts';
import { usePostgres } from '../../support/postgres.ts';
import { PROBED } from '../../support/probed.ts';
import { connectionTo, recordRequests, useS3 } from '../../support/s3.ts';
import { openCycle, openStage, stageConfig } from '../../support/seed.ts';

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
      XCOM_EXPORTER_XCOM_PATH: `s3://new@${BUCKET}/base,s3://old@${BUCKET}/base`,
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

/** The jobs of the daemon share the stores: the probe may learn a connection while a cycle asks. */
describe('a connection is learnt that leads to the server with all the objects', () => {
  const variables = (given: boolean) => ({
    AWS_ACCESS_KEY_ID: 'own',
    AWS_SECRET_ACCESS_KEY: 'own',
    AWS_DEFAULT_REGION: 'us-east-1',
    AWS_ENDPOINT_URL_S3: oldServer().endpoint,
    AIRFLOW_CONN_AWS_XCOM: given ? variable('old') : undefined,
  });

  test.each([
    { name: 'after answers through what stands in', isGiven: false, sawProbe: true, isAtStart: false },
    { name: 'after answers of another server', isGiven: true, sawProbe: false, isAtStart: false },
    { name: 'after the probe, which asked another server', isGiven: true, sawProbe: true, isAtStart: true },
  ])('$name: no object is missing that was not looked for there', async (when) => {
    const stage = await openStage(postgres(), '3.3.2');
    const config = stageConfig(stage, variables(when.isGiven));
    const stores = openStores(config.s3, { observer: recordRequests(), log: pino({ level: 'silent' }) });
    const database = openDatabase(requireDatabase(config), { lock: null, tables: SHAPE_TABLES });
    let times = 0;
    const learn = () => {
      times += 1;
      if (times === 1) stores.learn(new Map([['aws_xcom', connectionTo(newServer().endpoint, newServer())]]));
    };
    const learning = (store: ObjectStore): ObjectStore => ({
      ...store,
      head: async (...asked) => {
        const answer = await store.head(...asked);
        learn();
        return answer;
      },
    });
    const cycle = createCycle({
      config,
      database,
      stores: when.isAtStart ? stores : { ...stores, of: (id) => learning(stores.of(id)) },
      stored: { pushFaults: () => [] },
      restored: null,
      workersACycle: 1_000,
      random: Math.random,
      clock: Date.now,
      comparison: ALWAYS_COMPARED,
    });
    try {
      const run = await stage.addRun({ dagId: 'etl', runId: `r_${uuid4()}`, agoSeconds: 400 });
      for (let n = 0; n < 40; n += 1) {
        const key = `base/${run.dagId}/${run.runId}/t${n}/${uuid4()}`;
        const stored = dumps(`s3://aws_xcom@${BUCKET}/${key}`);
        await stage.push({ run, taskId: `t${n}`, stored, agoSeconds: 300 });
        // The probe’s own object is the only one that anybody has seen.
        if (when.isAtStart) continue;
        await fetch(`${newServer().endpoint}/${BUCKET}/${key}`, { method: 'PUT', body: 'x'.repeat(2_000) });
      }
      const probedStore = when.isAtStart ? stores.of('aws_xcom') : null;
      if (when.isAtStart) learn();
      const probe = when.sawProbe ? PROBED : null;
      const { states } = await cycle.run(probe, new AbortController().signal, probedStore);
      expect([times > 0, states.objects_missing]).toEqual([true, 'unknown']);
    } finally {
      stores.close();
      await database.close();
      await stage.close();
    }
  });
});
