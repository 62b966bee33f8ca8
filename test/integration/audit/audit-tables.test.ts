import { afterEach, beforeEach, expect, test } from 'vitest';
import { betweenQueries } from '../../support/between-queries.ts';
import type { Audited, RunOptions } from '../../support/audit.ts';
import type { SmallStore } from '../../support/audit-small.ts';
import { addGone, addRow, auditSmall } from '../../support/audit-small.ts';
import { uuid4 } from '../../support/plant.ts';
import { usePostgres } from '../../support/postgres.ts';
import type { Stage } from '../../support/seed.ts';
import { openStage } from '../../support/seed.ts';

const postgres = usePostgres();
const ARCHIVE = '_airflow_deleted__xcom__20260101000000';
const SLOW = `DO $$ BEGIN RAISE SQLSTATE '57014'; END $$`;
let stage: Stage;
let objects: SmallStore;
beforeEach(async () => {
  stage = await openStage(postgres(), '3.3.2');
  objects = new Map();
});
afterEach(() => stage.close());

function audited(changes: Partial<RunOptions> = {}): Promise<Audited> {
  return auditSmall(stage, objects, changes);
}

test('a database that quotes every name is read as any other', async () => {
  const location = await addRow(stage, 'bucket/xcom');
  const { pathname } = new URL(stage.url);
  await stage.writer.query(`ALTER DATABASE ${pathname.slice(1)} SET quote_all_identifiers = on`);
  const { lists } = await audited();
  expect(lists.missing.map(({ key }) => `bucket/${String(key)}`)).toEqual([location]);
});

test('a path with a NUL, which Airflow 2 may store, is a path as any other', async () => {
  const old = await openStage(postgres(), '2.10.5');
  try {
    const run = await old.addRun({ dagId: 'dag', runId: 'run', state: 'success', agoSeconds: 86_400 });
    const stored = Buffer.from(`"s3://bucket/x\\u0000y/dag/run/task/${uuid4()}"`);
    await old.push({ run, taskId: 'task', stored, agoSeconds: 86_400 });
    const { lists, places } = await audited({ url: old.url });
    expect(places.map(({ prefix }) => prefix)).toEqual(['xcom', 'x\0y']);
    expect(lists.missing).toHaveLength(1);
  } finally {
    await old.close();
  }
});

test('an archive with partitions is refused, since the numbers of its pages are not of one file', async () => {
  await addRow(stage, 'bucket/xcom');
  await stage.writer.query(`CREATE TABLE ${ARCHIVE} (LIKE xcom) PARTITION BY RANGE (timestamp)`);
  await stage.writer.query(`CREATE TABLE other PARTITION OF ${ARCHIVE} DEFAULT`);
  await stage.writer.query(`INSERT INTO ${ARCHIVE} SELECT * FROM xcom`);
  await expect(audited()).rejects.toThrow(
    `Cannot read the table ${ARCHIVE}: it is a view or has partitions, and Airflow makes neither; move its rows to a plain table of this name, or give it another name if no object that it names is to stay`,
  );
});

test('before Postgres 14 an archive is read by the places of its rows, and none is left out', async () => {
  await addGone(stage, 9_000);
  await stage.writer.query(`CREATE TABLE ${ARCHIVE} AS SELECT * FROM xcom`);
  await stage.writer.query(`ANALYZE ${ARCHIVE}`);
  const plans: string[] = [];
  const result = await audited({
    database: (database) =>
      betweenQueries(database, (query) => async (statement) => {
        if (statement.name === `open_audit_rows_${ARCHIVE}`)
          plans.push(
            JSON.stringify(
              await query({
                ...statement,
                text: `EXPLAIN ${statement.text.replace(/^DECLARE .* CURSOR FOR /, '')}`,
              }),
            ),
          );
        const text = statement.text.replace(`current_setting('server_version_num')::int`, '130021');
        return query({ ...statement, text });
      }),
  });
  expect(result.figures.references).toMatchObject({ archived: 9_000, absent: 9_000 });
  expect(plans.length).toBeGreaterThan(1);
  for (const plan of plans) {
    expect(plan).toContain('Tid Scan');
    expect(plan).not.toContain('Seq Scan');
  }
}, 60_000);

test('the second look asks for fewer runs at once where the server is too slow for many', async () => {
  const locations = [];
  for (let row = 0; row < 7; row += 1) locations.push(await addRow(stage, 'bucket/xcom'));
  const asked: number[] = [];
  const result = await audited({
    database: (database) =>
      betweenQueries(database, (query) => async (statement) => {
        const [owners] = statement.values;
        if (statement.name !== 'open_audit_owners_xcom' || !Array.isArray(owners)) return query(statement);
        asked.push(owners.length);
        return owners.length > 2
          ? query({ ...statement, name: 'slow', text: SLOW, values: [] })
          : query(statement);
      }),
  });
  expect(result.confirmed).toMatchObject({ absent: 7, missing: 7 });
  expect(asked).toEqual([7, 4, 2, 2, 3, 2, 1]);
});
