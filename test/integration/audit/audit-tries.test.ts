import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { auditCode, auditText } from '../../../src/audit/summary.ts';
import type { Audited, RunOptions } from '../../support/audit.ts';
import { aged, DAY_MS } from '../../support/audit.ts';
import type { SmallStore } from '../../support/audit-small.ts';
import { auditSmall, storeOf } from '../../support/audit-small.ts';
import { betweenQueries } from '../../support/between-queries.ts';
import { uuid4 } from '../../support/plant.ts';
import { usePostgres } from '../../support/postgres.ts';
import type { Stage } from '../../support/seed.ts';
import { openStage } from '../../support/seed.ts';

const postgres = usePostgres();
const agoSeconds = (30 * DAY_MS) / 1_000;
let stage: Stage;
let objects: SmallStore;

beforeAll(async () => {
  stage = await openStage(postgres(), '3.4.0b2');
});
afterAll(() => stage.close());
beforeEach(async () => {
  await stage.clear();
  objects = new Map();
});

function audited(changes: Partial<RunOptions> = {}): Promise<Audited> {
  return auditSmall(stage, objects, changes);
}

/** A row of each of two tasks, of which the first was cleared since. Gives the locations of their objects. */
async function pushTwo(table: 'xcom_v1' | 'xcom_v2'): Promise<{ cleared: string; current: string }> {
  const run = await stage.addRun({ dagId: 'etl', runId: 'r', state: 'success', agoSeconds });
  const push = async (taskId: string) => {
    const location = `bucket/xcom/etl/r/${taskId}/${uuid4()}`;
    await stage.push({ run, taskId, stored: JSON.stringify(`s3://${location}`), agoSeconds, table });
    return location;
  };
  const locations = { cleared: await push('cleared'), current: await push('current') };
  await stage.clearTask({ run, taskId: 'cleared' });
  return locations;
}

const keysOf = (list: Audited['lists']['missing']) => list.map(({ key }) => `bucket/${String(key)}`);

describe.each(['xcom_v1', 'xcom_v2'] as const)('a row of an earlier try in %s', (table) => {
  test('is not missing', async () => {
    const { current } = await pushTwo(table);
    const result = await audited();
    expect(keysOf(result.lists.missing)).toEqual([current]);
    expect(result.confirmed).toMatchObject({ absent: 2, missing: 1, vanished: 1, unknown: 0 });
  });

  test('is not unreadable', async () => {
    const { cleared, current } = await pushTwo(table);
    const storageClass = 'GLACIER';
    const said = new Map([cleared, current].map((location) => [location, { storageClass }]));
    for (const location of said.keys()) objects.set(location, Date.now() - 30 * DAY_MS);
    const result = await audited({ store: aged(storeOf(objects), said) });
    expect(keysOf(result.lists.unreadable)).toEqual([current]);
    expect(result.figures.references).toMatchObject({
      live: 0,
      unsure: 0,
      unreadable: [{ storageClass, references: 1 }],
    });
  });
});

test('a row of before 3.4 is not known if the role may not read whose it is', async () => {
  await pushTwo('xcom_v1');
  const result = await audited({
    database: (database) =>
      betweenQueries(database, (query) => (statement) => {
        const allowed = `has_column_privilege(c.oid, a.attnum, 'SELECT')`;
        const text = statement.text.replace(allowed, `c.relname <> 'legacy_task_data_owner'`);
        return query({ ...statement, text });
      }),
  });
  expect(result.confirmed).toMatchObject({ missing: 0, vanished: 0, unknown: 2 });
  expect(auditCode(result)).toBe(2);
  expect(auditText(result, { folder: '', plain: (name) => name })).toContain(
    'the role may not read legacy_task_data_owner, which tells whether a task still reads the row. Run docs/sql/role.sql and audit-role.sql again.\n',
  );
});

test('a view beside xcom_v2 that has the name of an older table counts no row twice', async () => {
  const { current } = await pushTwo('xcom_v2');
  objects.set(current, Date.now() - 30 * DAY_MS);
  await stage.writer.query(`CREATE VIEW xcom AS
    SELECT r.id AS dag_run_id, ti.task_id, ti.region_index AS map_index, x.key, r.dag_id, r.run_id, x.value, x.timestamp
    FROM xcom_v2 x JOIN task_instance ti ON ti.id = x.task_instance_id
    JOIN dag_run r ON r.dag_id = ti.dag_id AND r.run_id = ti.run_id`);
  try {
    const { figures, confirmed } = await audited();
    expect(figures.references).toMatchObject({ live: 1, archived: 2 });
    expect(confirmed).toMatchObject({ absent: 1, vanished: 1 });
  } finally {
    await stage.writer.query('DROP VIEW xcom');
  }
});

test('a row that is gone by the second look is not unreadable', async () => {
  const { cleared, current } = await pushTwo('xcom_v2');
  for (const location of [cleared, current]) objects.set(location, Date.now() - 30 * DAY_MS);
  const store = aged(storeOf(objects), new Map([[current, { storageClass: 'GLACIER' }]]));
  const result = await audited({
    store: {
      ...store,
      head: async (target, signal) => {
        await stage.writer.query('DELETE FROM xcom_v2');
        return store.head(target, signal);
      },
    },
  });
  expect(result.lists.unreadable).toEqual([]);
  expect(result.figures.references).toMatchObject({ live: 1, unsure: 0, unreadable: [] });
  expect(auditCode(result)).toBe(0);
});
